//! NIST StRD linear regression: certified values. The acceptance is 1e-9, and 1e-7 for Longley and Wampler.

use super::{Column, close, csv, estimate, linear, numbers, statistic, std_error};
use crate::ml::Model;
use arrow::array::AsArray;
use arrow::datatypes::Float64Type;

#[test]
fn norris() {
    let trained = linear(csv(include_str!("../testdata/norris.csv"), &["y", "x"]), "y", &[]);
    let model = &trained.model;
    close(estimate(model, "(intercept)"), -0.262323073774029, 1e-9);
    close(std_error(model, "(intercept)"), 0.232818234301152, 1e-9);
    close(estimate(model, "x"), 1.00211681802045, 1e-9);
    close(std_error(model, "x"), 4.29796848199937e-4, 1e-9);
    close(statistic(model, "sigma"), 0.884796396144373, 1e-9);
    close(statistic(model, "r2"), 0.999993745883712, 1e-9);
}

#[test]
fn no_intercept() {
    let trained = linear(
        csv(include_str!("../testdata/noint1.csv"), &["y", "x"]),
        "y",
        &["intercept = false"],
    );
    let model = &trained.model;
    close(estimate(model, "x"), 2.07438016528926, 1e-9);
    close(std_error(model, "x"), 0.0165289256198347, 1e-9);
    close(statistic(model, "sigma"), 3.56753034006338, 1e-9);
    close(statistic(model, "r2"), 0.999365492298663, 1e-9);
}

#[test]
fn longley() {
    let names = ["y", "x1", "x2", "x3", "x4", "x5", "x6"];
    let trained = linear(csv(include_str!("../testdata/longley.csv"), &names), "y", &[]);
    let model = &trained.model;
    let expected = [
        ("(intercept)", -3482258.63459582, 890420.383607373),
        ("x1", 15.0618722713733, 84.9149257747669),
        ("x2", -0.035819179292591, 0.0334910077722432),
        ("x3", -2.02022980381683, 0.488399681651699),
        ("x4", -1.03322686717359, 0.214274163161675),
        ("x5", -0.0511041056535807, 0.22607320006937),
        ("x6", 1829.15146461355, 455.478499142212),
    ];
    for (term, b, error) in expected {
        close(estimate(model, term), b, 1e-11);
        close(std_error(model, term), error, 1e-11);
    }
    close(statistic(model, "sigma"), 304.854073561965, 1e-11);
    close(statistic(model, "r2"), 0.995479004577296, 1e-11);
    // statsmodels 0.15: the raw condition number.
    close(statistic(model, "condition_number"), 4.859257e9, 1e-4);
}

/// y and the powers of x.
fn polynomial(text: &str, degree: i32) -> Vec<Column> {
    let mut data = csv(text, &["y", "x"]);
    let x: Vec<f64> = data.pop().unwrap().1.as_primitive::<Float64Type>().values().to_vec();
    for power in 1..=degree {
        data.push(numbers(&format!("x{power}"), x.iter().map(|x| x.powi(power))));
    }
    data
}

fn check_wampler(text: &str, residual: Option<(f64, f64)>, errors: Option<[f64; 6]>) -> Model {
    let trained = linear(polynomial(text, 5), "y", &[]);
    let names = ["(intercept)", "x1", "x2", "x3", "x4", "x5"];
    for (i, name) in names.into_iter().enumerate() {
        close(estimate(&trained.model, name), 1.0, 1e-10);
        if let Some(errors) = errors {
            close(std_error(&trained.model, name), errors[i], 1e-10);
        }
    }
    if let Some((sigma, r2)) = residual {
        close(statistic(&trained.model, "sigma"), sigma, 1e-10);
        close(statistic(&trained.model, "r2"), r2, 1e-10);
    }
    assert!(trained.notices.iter().all(|n| !n.message.contains("digits")), "{:?}", trained.notices);
    trained.model
}

#[test]
fn wampler() {
    let model = check_wampler(include_str!("../testdata/wampler1.csv"), None, None);
    assert!(statistic(&model, "sigma") < 1e-8);
    // NIST's certified standard errors of Wampler3; those of Wampler5 are ten thousand times as large.
    let errors = [
        2152.32624678170,
        2363.55173469681,
        779.343524331583,
        101.475507550350,
        5.64566512170752,
        0.112324854679312,
    ];
    check_wampler(
        include_str!("../testdata/wampler3.csv"),
        Some((2360.14502379268, 0.99999555902582)),
        Some(errors),
    );
    let errors = errors.map(|e| e * 1e4);
    check_wampler(
        include_str!("../testdata/wampler5.csv"),
        Some((23601450.2379268, 0.0022466892157494)),
        Some(errors),
    );
}

/// A tenth-degree polynomial on a short range, as hard as NIST's Filip: the exact solution is all ones.
#[test]
fn beyond_double_precision_digits_hold_or_a_warning_says_so() {
    let x: Vec<f64> = (0..82).map(|i| -8.75 + f64::from(i) / 16.0).collect();
    let powers: Vec<Vec<f64>> = (1..=6).map(|p| x.iter().map(|x| x.powi(p)).collect()).collect();
    let mut data: Vec<Column> = powers
        .iter()
        .enumerate()
        .map(|(i, values)| numbers(&format!("x{}", i + 1), values.iter().copied()))
        .collect();
    // Powers up to the sixth of sixteenths below 9 are exact, and so is their sum.
    data.push(numbers("y", (0..82).map(|row| 1.0 + powers.iter().map(|p| p[row]).sum::<f64>())));
    let trained = linear(data, "y", &[]);
    for term in ["(intercept)", "x1", "x3", "x6"] {
        close(estimate(&trained.model, term), 1.0, 1e-9);
    }
}
