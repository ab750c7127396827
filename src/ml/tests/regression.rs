//! Linear regression on published examples, and penalties against scikit-learn.

use super::{
    Column, close, csv, estimate, linear, metric, numbers, predict, statistic, texts, weight_of,
};
use arrow::array::AsArray;
use arrow::datatypes::Float64Type;

/// The 15 rows of MADlib's linear regression documentation: tax, bedroom, bath, price, size.
const HOUSES: [(f64, u8, f64, f64, f64); 15] = [
    (590.0, 2, 1.0, 50000.0, 770.0),
    (1050.0, 3, 2.0, 85000.0, 1410.0),
    (20.0, 3, 1.0, 22500.0, 1060.0),
    (870.0, 2, 2.0, 90000.0, 1300.0),
    (1320.0, 3, 2.0, 133000.0, 1500.0),
    (1350.0, 2, 1.0, 90500.0, 820.0),
    (2790.0, 3, 2.5, 260000.0, 2130.0),
    (680.0, 2, 1.0, 142500.0, 1170.0),
    (1840.0, 3, 2.0, 160000.0, 1500.0),
    (3680.0, 4, 2.0, 240000.0, 2790.0),
    (1660.0, 3, 1.0, 87000.0, 1030.0),
    (1620.0, 3, 2.0, 118600.0, 1250.0),
    (3100.0, 3, 2.0, 140000.0, 1760.0),
    (2070.0, 2, 3.0, 148000.0, 1550.0),
    (650.0, 3, 1.5, 65000.0, 1450.0),
];

fn houses(bedrooms: Option<u8>) -> Vec<Column> {
    let rows: Vec<_> = HOUSES.iter().filter(|h| bedrooms.is_none_or(|b| b == h.1)).collect();
    vec![
        numbers("tax", rows.iter().map(|h| h.0)),
        numbers("bath", rows.iter().map(|h| h.2)),
        numbers("size", rows.iter().map(|h| h.4)),
        numbers("price", rows.iter().map(|h| h.3)),
    ]
}

#[test]
fn madlib_houses() {
    let trained = linear(houses(None), "price", &[]);
    let model = &trained.model;
    let expected = [
        ("(intercept)", -12849.4168959872, 33453.0344),
        ("tax", 28.9613922651765, 15.8992105),
        ("bath", 10181.6290712648, 19437.7711),
        ("size", 50.516894915354, 32.9280232),
    ];
    for (term, b, error) in expected {
        close(estimate(model, term), b, 1e-9);
        close(weight_of(model, term, None, 1).unwrap(), error, 1e-7);
    }
    close(statistic(model, "r2"), 0.768577580597443, 1e-9);
    close(predict(model, &houses(None))[0], 53317.4426965542, 1e-9);
    close(statistic(&linear(houses(Some(2)), "price", &[]).model, "r2"), 0.968809546465313, 1e-9);
    close(statistic(&linear(houses(Some(3)), "price", &[]).model, "r2"), 0.841699901311252, 1e-9);
    let single = linear(houses(Some(4)), "price", &[]);
    close(predict(&single.model, &houses(Some(4)))[0], 240000.0, 1e-9);
    super::has_notice(&single, "no weight");
}

fn mtcars(wanted: &[&str]) -> Vec<Column> {
    csv(include_str!("../testdata/mtcars.csv"), wanted)
}

#[test]
fn mtcars_by_weight() {
    let trained = linear(mtcars(&["mpg", "wt"]), "mpg", &[]);
    close(estimate(&trained.model, "(intercept)"), 37.28512617, 1e-9);
    close(estimate(&trained.model, "wt"), -5.344471573, 1e-9);
    close(statistic(&trained.model, "r2"), 0.7528327937, 1e-9);
    close(predict(&trained.model, &[numbers("wt", [3.0])])[0], 21.251711, 1e-7);
}

#[test]
fn mtcars_with_a_category() {
    let mut data = mtcars(&["mpg", "wt", "cyl"]);
    let cylinders: Vec<String> = data
        .pop()
        .unwrap()
        .1
        .as_primitive::<Float64Type>()
        .values()
        .iter()
        .map(|c| c.to_string())
        .collect();
    data.push(texts("cyl", cylinders.iter().map(|c| Some(c.as_str()))));
    let trained = linear(data, "mpg", &[]);
    close(estimate(&trained.model, "(intercept)"), 33.99079401, 1e-9);
    close(estimate(&trained.model, "cyl=6"), -4.255582402, 1e-9);
    close(estimate(&trained.model, "cyl=8"), -6.07085968, 1e-9);
    close(estimate(&trained.model, "wt"), -3.205613256, 1e-9);
    close(statistic(&trained.model, "r2"), 0.8374325253, 1e-9);
}

// statsmodels 0.15 OLS; its AIC and BIC leave sigma out, ours count it as R does.
#[test]
fn inference() {
    let trained = linear(mtcars(&["mpg", "wt", "hp"]), "mpg", &[]);
    let model = &trained.model;
    let expected = [
        37.22727011644705,
        1.5987875379993737,
        23.284688697931067,
        2.5654585119831155e-20,
        33.957382452258365,
        40.49715778063574,
    ];
    for (value, expected) in expected.into_iter().enumerate() {
        close(weight_of(model, "(intercept)", None, value).unwrap(), expected, 1e-9);
    }
    let expected = [
        -0.03177294698216253,
        0.009029709675855783,
        -3.5187119102089266,
        0.0014512285315688661,
        -0.050240776871075254,
        -0.013305117093249798,
    ];
    for (value, expected) in expected.into_iter().enumerate() {
        close(weight_of(model, "hp", None, value).unwrap(), expected, 1e-9);
    }
    close(statistic(model, "adj_r2"), 0.8148396209781563, 1e-9);
    close(statistic(model, "log_likelihood"), -74.32616941282066, 1e-9);
    close(statistic(model, "aic"), 154.65233882564132 + 2.0, 1e-9);
    close(statistic(model, "bic"), 159.0495465340405 + 32f64.ln(), 1e-9);
    close(statistic(model, "f_statistic"), 69.21121339177772, 1e-9);
    close(statistic(model, "f_p_value"), 9.109054385221977e-12, 1e-9);
    close(statistic(model, "condition_number"), 587.710261212971, 1e-9);
}

// statsmodels 0.15 WLS and scikit-learn 1.9.1 Ridge, weights qsec.
#[test]
fn weights() {
    let data = || mtcars(&["mpg", "wt", "hp", "qsec"]);
    let trained = linear(data(), "mpg", &["weight_column = qsec"]);
    let model = &trained.model;
    let expected = [
        ("(intercept)", 37.41418479301828, 1.610283681147859),
        ("wt", -3.892890506304747, 0.6543867232576533),
        ("hp", -0.032532969294091496, 0.009637002795323799),
    ];
    for (term, b, error) in expected {
        close(estimate(model, term), b, 1e-9);
        close(weight_of(model, term, None, 1).unwrap(), error, 1e-9);
    }
    close(statistic(model, "r2"), 0.8249641124380106, 1e-9);
    close(statistic(model, "log_likelihood"), -74.82536889721034, 1e-9);
    close(statistic(model, "f_p_value"), 1.060090556973516e-11, 1e-8);
    close(statistic(model, "sigma"), 11.10212284541159, 1e-9);
    let ridge = linear(data(), "mpg", &["weight_column = qsec", "l2 = 2"]);
    close(estimate(&ridge.model, "(intercept)"), 37.366245427489076, 1e-9);
    close(estimate(&ridge.model, "wt"), -3.8660299281105495, 1e-9);
    close(estimate(&ridge.model, "hp"), -0.0328008451207611, 1e-9);
}

const DIABETES: [&str; 11] =
    ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "target"];

fn diabetes(given: &[&str]) -> crate::ml::Trained {
    linear(csv(include_str!("../testdata/diabetes.csv"), &DIABETES), "target", given)
}

#[test]
fn diabetes_as_in_scikit_learn() {
    let plain = diabetes(&[]);
    close(estimate(&plain.model, "(intercept)"), 152.13348416, 1e-9);
    close(statistic(&plain.model, "r2"), 0.5177484222, 1e-9);
    let ridge = diabetes(&["alpha = 1"]);
    close(metric(&ridge.model, "all", "r2_score"), 0.45123062774361744, 1e-9);
    close(estimate(&ridge.model, "bmi"), 306.35268015068607, 1e-9);
    assert_eq!(weight_of(&ridge.model, "bmi", None, 1), None);
    let lasso = diabetes(&["alpha = 1", "l1_ratio = 1"]);
    close(estimate(&lasso.model, "bmi"), 367.7016258214307, 1e-9);
    close(estimate(&lasso.model, "bp"), 6.309702644174879, 1e-9);
    close(estimate(&lasso.model, "s5"), 307.60214746219634, 1e-9);
    for zero in ["age", "sex", "s1", "s2", "s3", "s4", "s6"] {
        assert_eq!(estimate(&lasso.model, zero), 0.0, "{zero}");
    }
    let net = diabetes(&["alpha = 0.1", "l1_ratio = 0.3"]);
    close(estimate(&net.model, "age"), 8.052849815188715, 1e-9);
    close(estimate(&net.model, "sex"), 0.7965584157261733, 1e-9);
    close(statistic(&net.model, "r2"), 0.07884415198848538, 1e-9);
}
