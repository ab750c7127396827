//! Linear models train on rows that pass by: in bounded memory, with the bits of a training that has room, and on the
//! parts that an algorithm gets which holds its rows.

use super::*;
use crate::ml::{content_hash, to_parts};
use crate::sqlstate::SqlState;
use futures::StreamExt;

const MIB: usize = 1 << 20;

/// Batches of rows on a plane, made while they are read.
fn plane(n_batches: usize) -> SendableRecordBatchStream {
    let make = |i: usize| {
        let rows = || (0..8192).map(move |row| (i * 8192 + row) as f64);
        let (a, b, c) = (|v: f64| v % 1009.0, |v: f64| v % 997.0, |v: f64| v % 991.0);
        batch(vec![
            numbers("a", rows().map(a)),
            numbers("b", rows().map(b)),
            numbers("c", rows().map(c)),
            texts("t", rows().map(|v| Some(["left", "right"][v as usize % 2]))),
            numbers(
                "y",
                rows().map(|v| 1.0 + 2.0 * a(v) - 0.5 * b(v) + 4.0 * c(v) + 8.0 * (v % 2.0)),
            ),
        ])
    };
    let schema = make(0).schema();
    let batches = futures::stream::iter(0..n_batches).map(move |i| Ok(make(i)));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn train_plane(n_batches: usize, bytes: usize, algorithm: Algorithm) -> Result<Trained> {
    let request = TrainRequest {
        algorithm: Some(algorithm),
        label: "y".to_string(),
        options: Vec::new(),
        primary_key: Vec::new(),
    };
    let context = context_of(2, bytes);
    let trained = block_on(train(request, plane(n_batches), &context));
    assert_eq!(context.runtime.memory_pool.reserved(), 0, "memory is given back");
    trained
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    // 25 and 100 times 8,192 rows of six values: 10 and 40 MB.
    for n_batches in [25, 100] {
        let trained = train_plane(n_batches, 24 * MIB, Algorithm::LinearRegression).unwrap();
        let model = &trained.model;
        for (term, expected) in
            [("(intercept)", 1.0), ("a", 2.0), ("b", -0.5), ("c", 4.0), ("t=right", 8.0)]
        {
            close(estimate(model, term), expected, 1e-9);
        }
        assert_eq!(trained.n_rows, n_batches as u64 * 8192);
        assert!(metric(model, "test", "median_absolute_error") < 1e-9);
    }
    let error = train_plane(100, 24 * MIB, Algorithm::GradientBoosting).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), SqlState::OutOfMemory);
    assert!(error.get_hint().unwrap().contains("memory limit"), "{error:?}");
}

#[test]
fn spilled_rows_give_the_same_bits() {
    let hash = |bytes| {
        let trained = train_plane(60, bytes, Algorithm::LinearRegression).unwrap();
        content_hash(&to_parts(&trained.model).unwrap())
    };
    assert_eq!(hash(20 * MIB), hash(1024 * MIB));
}

#[test]
fn rows_that_pass_by_fall_into_the_parts_of_rows_that_are_held() {
    let n = 1500;
    let data = || {
        vec![
            numbers("x", (0..n).map(|i| f64::from(i % 700))),
            integers("time", (0..n).map(|i| i64::from(i * 7 % 400))),
            texts(
                "shop",
                (0..n).map(|i| Some(["a", "b", "c", "d", "e", "f", "g"][i as usize % 7])),
            ),
            texts(
                "part",
                (0..n).map(|i| Some(["train", "validation", "test"][(i * i % 3) as usize])),
            ),
            numbers("y", (0..n).map(|i| f64::from(i % 13))),
        ]
    };
    let cases: [&[&str]; 5] = [
        &["split = random"],
        &["split = random", "split_key = shop", "test_fraction = 0.4"],
        &["split = sequential", "split_column = time", "test_fraction = 0.3"],
        &["split = column", "split_column = part"],
        &["split = none"],
    ];
    for given in cases {
        let linear = linear(data(), "y", given);
        let boosted = [given, &["rounds = 1"]].concat();
        let held = trained(data(), Algorithm::GradientBoosting, "y", &boosted);
        assert_eq!(linear.split_counts, held.split_counts, "{given:?}");
        // The same rows, not only as many: the label's variance follows from what each measured.
        for (part, _) in &held.split_counts {
            let variance = |model: &Model| {
                metric(model, part, "mean_squared_error") / (1.0 - metric(model, part, "r2_score"))
            };
            close(variance(&linear.model), variance(&held.model), 1e-9);
        }
        let copies = |t: &Trained| t.notices.iter().any(|n| n.message.contains("are copies"));
        assert_eq!(copies(&linear), copies(&held), "{given:?}");
    }
}

/// By hand: errors 1, 2, 3, 10 of the line y = 0 have the median 2.5; of weights 1, 1, 1, 5 it is 10.
#[test]
fn the_median_of_weighed_errors_by_hand() {
    let data = |w: [f64; 4]| {
        vec![
            numbers("x", [1.0, -1.0, 1.0, -1.0]),
            numbers("y", [1.0, 2.0, 3.0, 10.0]),
            numbers("w", w),
        ]
    };
    let given = ["weight_column = w", "intercept = false", "l2 = 1000000000000000000"];
    for (weights, median) in [([1.0; 4], 2.5), ([1.0, 1.0, 1.0, 5.0], 10.0)] {
        let trained = linear(data(weights), "y", &given);
        close(metric(&trained.model, "all", "median_absolute_error"), median, 1e-9);
    }
}
