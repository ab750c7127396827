//! Logistic regression on published examples, and against statsmodels and scikit-learn.

use super::{
    Column, close, csv, estimate, has_notice, metric, numbers, predict, statistic, texts, trained,
    truths, weight_of,
};
use crate::ml::{Algorithm, Task, Trained};
use arrow::array::{AsArray, StringArray};
use arrow::datatypes::Float64Type;

fn logistic(data: Vec<Column>, label: &str, given: &[&str]) -> Trained {
    trained(data, Algorithm::LogisticRegression, label, given)
}

/// The 20 rows of MADlib's logistic regression documentation: second attack, treatment, trait anxiety.
const PATIENTS: [(u8, u8, u8); 20] = [
    (1, 1, 70),
    (1, 1, 80),
    (1, 1, 50),
    (1, 0, 60),
    (1, 0, 40),
    (1, 0, 65),
    (1, 0, 75),
    (1, 0, 80),
    (1, 0, 70),
    (1, 0, 60),
    (0, 1, 65),
    (0, 1, 50),
    (0, 1, 45),
    (0, 1, 35),
    (0, 1, 40),
    (0, 1, 50),
    (0, 0, 55),
    (0, 0, 45),
    (0, 0, 50),
    (0, 0, 60),
];

#[test]
fn madlib_patients() {
    let data = vec![
        truths("second_attack", PATIENTS.map(|p| Some(p.0 == 1))),
        numbers("treatment", PATIENTS.map(|p| f64::from(p.1))),
        numbers("trait_anxiety", PATIENTS.map(|p| f64::from(p.2))),
    ];
    let trained = logistic(data, "second_attack", &[]);
    let model = &trained.model;
    // Standard errors: statsmodels 0.15.
    let expected = [
        ("(intercept)", -6.36346994, 3.2139045247337),
        ("treatment", -1.02410605, 1.1710801464951675),
        ("trait_anxiety", 0.119044917, 0.0549791755750788),
    ];
    for (term, b, error) in expected {
        close(estimate(model, term), b, 1e-8);
        close(weight_of(model, term, Some("true"), 1).unwrap(), error, 1e-8);
    }
    close(statistic(model, "log_likelihood"), -9.41018298388876, 1e-9);
    close(metric(model, "all", "accuracy"), 0.75, 1e-12);
    assert_eq!(model.task(), Task::BinaryClassification);
}

fn mtcars(wanted: &[&str]) -> Vec<Column> {
    let mut data = csv(include_str!("../testdata/mtcars.csv"), wanted);
    let manual = data.pop().unwrap().1;
    data.push(truths(
        "am",
        manual.as_primitive::<Float64Type>().values().iter().map(|v| Some(*v == 1.0)),
    ));
    data
}

// Coefficients: R; the rest: statsmodels 0.15 Logit.
#[test]
fn mtcars_by_weight() {
    let trained = logistic(mtcars(&["wt", "am"]), "am", &[]);
    let model = &trained.model;
    close(estimate(model, "(intercept)"), 12.04036973, 1e-9);
    close(estimate(model, "wt"), -4.023969962, 1e-9);
    close(weight_of(model, "(intercept)", None, 1).unwrap(), 4.5100662389667585, 1e-8);
    close(weight_of(model, "wt", None, 1).unwrap(), 1.4365277526235578, 1e-8);
    close(weight_of(model, "wt", None, 3).unwrap(), 0.005091642306971417, 1e-7);
    close(statistic(model, "log_likelihood"), -9.588042403722543, 1e-10);
    close(statistic(model, "null_deviance"), 2.0 * 21.614866638844596, 1e-10);
    close(statistic(model, "aic"), 23.176084807445086, 1e-10);
    close(statistic(model, "bic"), 26.10755661304454, 1e-10);
    let p = predict(model, &[numbers("wt", [3.0])])[0];
    close(1.0 - p, 1.0 / (1.0 + (-(12.04036973 - 3.0 * 4.023969962f64)).exp()), 1e-8);
}

// scikit-learn 1.9.1: C = 2, and class_weight = 'balanced' without a penalty.
#[test]
fn penalties_and_class_weights() {
    let trained = logistic(mtcars(&["wt", "hp", "am"]), "am", &["l2 = 0.5"]);
    close(estimate(&trained.model, "(intercept)"), 7.53893516041577, 1e-7);
    close(estimate(&trained.model, "wt"), -3.240876460267111, 1e-7);
    close(estimate(&trained.model, "hp"), 0.01401787988338125, 1e-6);
    assert_eq!(weight_of(&trained.model, "wt", None, 1), None);
    let trained = logistic(mtcars(&["wt", "am"]), "am", &["class_weight = balanced"]);
    close(estimate(&trained.model, "(intercept)"), 12.578613238626321, 1e-7);
    close(estimate(&trained.model, "wt"), -4.076757305801457, 1e-7);
    assert_eq!(weight_of(&trained.model, "wt", None, 1), None);
}

fn iris() -> Vec<Column> {
    csv(
        include_str!("../testdata/iris.csv"),
        &["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width", "Species"],
    )
}

// Accuracy and log loss: scikit-learn's published example; coefficients: scikit-learn 1.9.1 with newton-cholesky (its
// default solver stops two millionths short of the optimum).
#[test]
fn iris_multinomial_with_penalty() {
    let trained = logistic(iris(), "Species", &["l2 = 1"]);
    let model = &trained.model;
    close(metric(model, "all", "accuracy"), 0.97333, 1e-5);
    close(metric(model, "all", "log_loss"), 0.119636695, 1e-6);
    close(metric(model, "all", "log_loss"), 0.1196366779879041, 1e-10);
    close(weight_of(model, "(intercept)", Some("setosa"), 0).unwrap(), 9.849568050482187, 1e-9);
    close(
        weight_of(model, "(intercept)", Some("virginica"), 0).unwrap(),
        -12.086773682685376,
        1e-6,
    );
    close(weight_of(model, "Petal.Length", Some("virginica"), 0).unwrap(), 2.723544448904091, 1e-6);
    close(
        weight_of(model, "Sepal.Width", Some("versicolor"), 0).unwrap(),
        -0.3215878551919344,
        1e-6,
    );
    assert_eq!(model.class_names(), ["setosa", "versicolor", "virginica"]);
    let confusion = model.confusion_matrix().unwrap();
    assert_eq!(confusion.num_rows(), 9);
}

#[test]
fn separable_classes_are_a_warning_with_finite_numbers() {
    for given in [&[][..], &["l2 = 0"][..]] {
        let trained = logistic(iris(), "Species", given);
        has_notice(&trained, "separate some classes perfectly");
        let weights = trained.model.weights().unwrap();
        let estimates = weights.column_by_name("estimate").unwrap().as_primitive::<Float64Type>();
        assert!(estimates.iter().flatten().all(f64::is_finite));
        assert!(metric(&trained.model, "all", "accuracy") > 0.97);
    }
    let mut data = iris();
    let species = data.pop().unwrap().1;
    data.push(truths(
        "setosa",
        species.as_string::<i32>().iter().map(|s| Some(s == Some("setosa"))),
    ));
    let trained = logistic(data, "setosa", &[]);
    has_notice(&trained, "separate the classes perfectly");
    close(metric(&trained.model, "all", "accuracy"), 1.0, 0.0);
}

// statsmodels 0.15 MNLogit: island on body mass and flipper length, Biscoe is the reference.
#[test]
fn multinomial_without_penalty() {
    let data =
        csv(include_str!("../testdata/penguins.csv"), &["body_mass", "flipper_length", "island"]);
    let trained = logistic(data, "island", &["nulls = skip"]);
    let model = &trained.model;
    let expected = [
        ("(intercept)", "Dream", 14.743150989248258, 3.143329303299862),
        ("(intercept)", "Torgersen", 19.646549265185094, 4.114436229708832),
        ("body_mass", "Dream", -0.0017638497028857538, 0.0004051758257688795),
        ("body_mass", "Torgersen", -0.0013176571768140984, 0.0004933693175695682),
        ("flipper_length", "Dream", -0.03853629076265384, 0.02105866352958363),
        ("flipper_length", "Torgersen", -0.07729526591552167, 0.026638542042132684),
    ];
    for (term, class, b, error) in expected {
        close(weight_of(model, term, Some(class), 0).unwrap(), b, 1e-6);
        close(weight_of(model, term, Some(class), 1).unwrap(), error, 1e-6);
    }
    close(statistic(model, "log_likelihood"), -256.80637228945733, 1e-10);
    close(statistic(model, "null_deviance"), 2.0 * 342.56228401242737, 1e-10);
    close(statistic(model, "aic"), 525.6127445789147, 1e-10);
}

#[test]
fn classes_keep_type_and_values() {
    let labels = ["no", "yes", "no", "yes", "no", "yes"];
    let data =
        vec![numbers("x", [1.0, 2.0, 2.5, 2.2, 3.0, 5.0]), texts("answer", labels.map(Some))];
    let trained = logistic(data.clone(), "answer", &[]);
    let columns = vec![data[0].1.clone()];
    let prediction = trained.model.predict(&columns, 6).unwrap();
    let values = prediction.values(&trained.model.prediction_type()).unwrap();
    let values: &StringArray = values.as_string();
    let positive = prediction.probabilities_of(trained.model.class_index("yes").unwrap());
    for row in 0..6 {
        assert_eq!(values.value(row), if positive.value(row) > 0.5 { "yes" } else { "no" });
    }
    assert!(trained.model.class_index("yess").unwrap_err().get_hint().unwrap().contains("yes"));
}

#[test]
fn too_few_iterations_are_no_separation() {
    let trained = logistic(mtcars(&["wt", "am"]), "am", &["max_iterations = 1"]);
    has_notice(&trained, "the weights still change after 1 iterations");
    assert!(!trained.notices.iter().any(|n| n.message.contains("perfectly")));
}

#[test]
fn a_common_factor_of_the_weights_changes_nothing() {
    let mut data = mtcars(&["wt", "am"]);
    data.push(numbers("w", [1e-12; 32]));
    let trained = logistic(data, "am", &["weight_column = w"]);
    assert!(!trained.notices.iter().any(|n| n.message.contains("perfectly")));
    close(estimate(&trained.model, "(intercept)"), 12.04036973, 1e-9);
    close(estimate(&trained.model, "wt"), -4.023969962, 1e-9);
}

#[test]
fn a_small_penalty_beside_a_large_variance_finds_the_optimum() {
    let classes = ["a", "b", "c"].into_iter().cycle().take(300);
    let data = vec![
        numbers("x", (0..300).map(|i| f64::from(i * 37 % 101) * 1e7 + f64::from(i % 3) * 1e8)),
        texts("c", classes.map(Some)),
    ];
    let trained = logistic(data, "c", &["l2 = 1", "split = none"]);
    assert!(!trained.notices.iter().any(|n| n.message.contains("the weights")));
    let weights = ["a", "b", "c"].map(|class| weight_of(&trained.model, "x", Some(class), 0));
    let sum: f64 = weights.iter().flatten().sum();
    assert!(sum.abs() < 1e-18 && weights[2] > weights[1] && weights[1] > weights[0]);
}
