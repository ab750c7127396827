//! BigQuery ML's penguins tutorial (googleapis/python-bigquery-dataframes), with the one correction that makes the
//! public file Google's table.

use super::{Column, close, csv, estimate, linear, metric, numbers, predict, texts};
use crate::ml::Trained;

const FEATURES: [&str; 7] =
    ["species", "island", "culmen_length", "culmen_depth", "flipper_length", "sex", "body_mass"];

fn table(corrected: bool) -> Vec<Column> {
    let text = include_str!("../testdata/penguins.csv");
    // Individual N36A1 of the Gentoo: sex '.', culmen length 44.5, body mass 4875.
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut values: Vec<&str> = line.split(',').collect();
            if corrected && values[0] == "N36A1" && values[3] == "44.5" && values[6] == "4875" {
                values[7] = ".";
            }
            values.join(",")
        })
        .collect();
    csv(&lines.join("\n"), &FEATURES)
}

fn check_metrics(trained: &Trained, mae: f64, mse: f64, r2: f64) {
    close(metric(&trained.model, "all", "mean_absolute_error"), mae, 1e-8);
    close(metric(&trained.model, "all", "mean_squared_error"), mse, 1e-8);
    close(metric(&trained.model, "all", "r2_score"), r2, 1e-6);
}

#[test]
fn the_tutorial_to_all_printed_digits() {
    let trained = linear(table(true), "body_mass", &[]);
    let model = &trained.model;
    assert_eq!((trained.n_rows, trained.rows_skipped), (342, 2));
    check_metrics(&trained, 227.012237, 81838.159892, 0.872377);
    close(metric(model, "all", "mean_squared_log_error"), 0.00507045, 1e-6);
    close(metric(model, "all", "explained_variance"), 0.872377, 1e-6);
    close(metric(model, "all", "median_absolute_error"), 174.998647, 1e-8);
    let gentoo = "Gentoo penguin (Pygoscelis papua)";
    let adelie = "Adelie Penguin (Pygoscelis adeliae)";
    let rows = vec![
        texts("species", [gentoo, gentoo, adelie, gentoo].map(Some)),
        texts("island", ["Biscoe"; 4].map(Some)),
        numbers("culmen_length", [45.2, 46.5, 37.7, 46.2]),
        numbers("culmen_depth", [16.4, 14.5, 16.0, 14.4]),
        numbers("flipper_length", [223.0, 213.0, 183.0, 214.0]),
        texts("sex", [Some("MALE"), Some("FEMALE"), Some("FEMALE"), None]),
    ];
    for (actual, expected) in
        predict(model, &rows).into_iter().zip([5413.510134, 4768.351092, 3235.896372, 4740.790700])
    {
        close(actual, expected, 1e-9);
    }
    let effects = [
        ("culmen_length", 20.0490469),
        ("culmen_depth", 70.4023601),
        ("flipper_length", 15.8216842),
        ("species=Gentoo penguin (Pygoscelis papua)", 986.9761212),
        ("species=Chinstrap penguin (Pygoscelis antarctica)", -271.2537789),
        ("island=Dream", -17.7026034),
    ];
    for (term, effect) in effects {
        close(estimate(model, term), effect, 1e-8);
    }
    close(estimate(model, "sex=MALE") - estimate(model, "sex=FEMALE"), 379.2414763, 1e-8);
    close(estimate(model, "sex=FEMALE"), 1.0226, 1e-4);
    close(estimate(model, "sex=MALE"), 380.2640, 1e-6);
}

#[test]
fn one_hot_encoding_gives_the_same_model() {
    let dummy = linear(table(true), "body_mass", &[]);
    let one_hot = linear(table(true), "body_mass", &["encoding = one_hot"]);
    assert_eq!(dummy.model.weights, one_hot.model.weights);
}

#[test]
fn the_uncorrected_table_and_complete_cases() {
    check_metrics(&linear(table(false), "body_mass", &[]), 227.101302, 81840.356647, 0.872373828);
    let complete = linear(table(false), "body_mass", &["nulls = skip"]);
    assert_eq!(complete.n_rows, 333);
    check_metrics(&complete, 226.413652, 80658.955707, 0.875223107);
    let complete = linear(table(true), "body_mass", &["nulls = skip"]);
    assert_eq!(complete.n_rows, 334);
    check_metrics(&complete, 225.735767, 80417.461828, 0.875480414);
}
