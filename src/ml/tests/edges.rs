//! Degenerate input ends in a clear error or a warning with finite numbers, never NaN, never a panic.

use super::*;
use crate::sqlstate::SqlState;
use arrow::datatypes::DataType;
use std::sync::atomic::{AtomicUsize, Ordering};

const EACH: [Algorithm; 3] =
    [Algorithm::LinearRegression, Algorithm::LogisticRegression, Algorithm::GradientBoosting];

/// Everything that a model tells is finite or NULL.
fn check_finite(trained: &Trained) {
    let model = &trained.model;
    for weight in &model.weights {
        assert!(weight.values.iter().flatten().all(|v| v.is_finite()), "{weight:?}");
    }
    assert!(
        model.statistics.iter().all(|(_, v)| v.is_none_or(f64::is_finite)),
        "{:?}",
        model.statistics
    );
    for evaluation in model.evaluations() {
        assert!(evaluation.values.iter().flatten().all(|v| v.is_finite()), "{evaluation:?}");
    }
}

/// Columns for a label that suits the algorithm.
fn data(algorithm: Algorithm, features: Vec<Column>, n: usize) -> Vec<Column> {
    let mut columns = features;
    columns.push(match algorithm {
        Algorithm::LogisticRegression => {
            texts("y", (0..n).map(|i| Some(["no", "yes"][usize::from(i % 3 == 0)])))
        }
        _ => numbers("y", (0..n).map(|i| (i * i % 7) as f64)),
    });
    columns
}

#[test]
fn no_rows_and_no_labels() {
    for algorithm in EACH {
        let empty = data(algorithm, vec![numbers("x", [])], 0);
        let error = failure(empty, algorithm, "y", &[]);
        assert_eq!(error.code(), SqlState::InvalidParameterValue);
        let null_labels = vec![numbers("x", [1.0]), texts("y", [None])];
        let error = failure(null_labels, Algorithm::LogisticRegression, "y", &[]);
        assert!(error.get_detail().unwrap().contains("1 row"), "{error:?}");
    }
}

#[test]
fn few_rows_duplicates_and_null_columns() {
    for algorithm in EACH {
        let five = data(
            algorithm,
            vec![
                numbers("x", (0..5).map(f64::from)),
                numbers("z", (0..5).map(|i| f64::from(i % 2))),
            ],
            5,
        );
        check_finite(&trained(five, algorithm, "y", &[]));
        let copies = data(algorithm, vec![numbers("x", (0..60).map(|_| 1.0))], 60);
        check_finite(&trained(copies, algorithm, "y", &[]));
        let null_number: ArrayRef = Arc::new(Float64Array::from(vec![None; 30]));
        let nulls = vec![
            ("n".to_string(), null_number),
            texts("t", [None; 30]),
            numbers("x", (0..30).map(f64::from)),
        ];
        let trained = trained(data(algorithm, nulls, 30), algorithm, "y", &[]);
        has_notice(&trained, "\"n\" is NULL in every training row");
        check_finite(&trained);
    }
}

#[test]
fn dependent_columns_get_no_weight() {
    let x: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.37).collect();
    for algorithm in [Algorithm::LinearRegression, Algorithm::LogisticRegression] {
        let columns = vec![
            numbers("x", x.iter().copied()),
            numbers("twice", x.iter().map(|x| 2.0 * x)),
            numbers("constant", x.iter().map(|_| 5.0)),
        ];
        let trained = trained(data(algorithm, columns, 40), algorithm, "y", &[]);
        has_notice(&trained, "\"twice\", \"constant\" can be computed from other columns");
        assert_eq!(weight_of(&trained.model, "twice", None, 0), None);
        check_finite(&trained);
    }
}

#[test]
fn labels_that_cannot_be_learned() {
    let one_class = vec![numbers("x", [1.0, 2.0]), texts("y", [Some("a"), Some("a")])];
    let error = failure(one_class, Algorithm::LogisticRegression, "y", &[]);
    assert!(error.message().contains("only one class"));
    for algorithm in [Algorithm::LinearRegression, Algorithm::GradientBoosting] {
        let constant = vec![numbers("x", (0..30).map(f64::from)), numbers("y", [3.0; 30])];
        let trained = trained(constant.clone(), algorithm, "y", &[]);
        check_finite(&trained);
        close(predict(&trained.model, &constant)[7], 3.0, 1e-6);
    }
    let text = vec![numbers("x", [1.0]), texts("y", [Some("a")])];
    assert_eq!(
        failure(text, Algorithm::LinearRegression, "y", &[]).code(),
        SqlState::DatatypeMismatch
    );
    let error = failure(
        vec![numbers("x", [1.0]), numbers("price", [1.0])],
        Algorithm::LinearRegression,
        "prize",
        &[],
    );
    assert_eq!(error.code(), SqlState::UndefinedColumn);
    assert!(error.get_hint().unwrap().contains("price"));
    let twice = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            arrow::datatypes::Field::new("x", DataType::Float64, true),
            arrow::datatypes::Field::new("x", DataType::Float64, true),
            arrow::datatypes::Field::new("y", DataType::Float64, true),
        ])),
        vec![numbers("", [1.0]).1, numbers("", [1.0]).1, numbers("", [1.0]).1],
    );
    let error = try_train(twice.unwrap(), None, "y", &[]).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), SqlState::DuplicateColumn);
}

#[test]
fn infinite_and_huge_values() {
    for algorithm in EACH {
        let infinite = data(algorithm, vec![numbers("x", [1.0, f64::INFINITY, 3.0])], 3);
        let error = failure(infinite, algorithm, "y", &[]);
        assert_eq!(
            (error.code(), error.object().column.as_deref()),
            (SqlState::NumericValueOutOfRange, Some("x"))
        );
    }
    let huge = data(Algorithm::GradientBoosting, vec![numbers("x", [1.0, 1e300, 3.0])], 3);
    let error = failure(huge, Algorithm::GradientBoosting, "y", &[]);
    assert_eq!(error.code(), SqlState::NumericValueOutOfRange);
    let huge = vec![
        numbers("x", (0..30).map(|i| f64::from(i) * 1e290)),
        numbers("y", (0..30).map(|i| f64::from(i * i) * 1e-290)),
    ];
    check_finite(&linear(huge, "y", &[]));
    let trained =
        linear(vec![numbers("x", [1.0, 2.0, 3.5]), numbers("y", [1.0, 2.0, 4.0])], "y", &[]);
    let infinite: Vec<ArrayRef> = vec![numbers("x", [1.0, f64::NEG_INFINITY]).1];
    let error = trained.model.predict(&infinite, 2).unwrap_err();
    assert_eq!(
        (error.code(), error.object().column.as_deref()),
        (SqlState::NumericValueOutOfRange, Some("x"))
    );
}

#[test]
fn a_category_with_very_many_levels() {
    let levels: Vec<String> = (0..20_000).map(|i| format!("user-{i}")).collect();
    for algorithm in EACH {
        let columns = vec![
            texts("user", levels.iter().map(|l| Some(l.as_str()))),
            numbers("x", (0..20_000).map(|i| f64::from(i % 17))),
        ];
        let given: &[&str] = match algorithm {
            Algorithm::GradientBoosting => &["rounds = 3"],
            _ => &["max_categories = 20"],
        };
        let trained = trained(data(algorithm, columns, 20_000), algorithm, "y", given);
        has_notice(&trained, "distinct values");
        check_finite(&trained);
    }
}

#[test]
fn memory_and_cancellation() {
    let columns = || {
        batch(data(
            Algorithm::LinearRegression,
            vec![numbers("x", (0..100_000).map(f64::from))],
            100_000,
        ))
    };
    let small = context_of(1, 1 << 20);
    let outcome = block_on(try_train_with(
        vec![columns()],
        Some(Algorithm::GradientBoosting),
        "y",
        &[],
        &small,
    ));
    let error = outcome.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), SqlState::OutOfMemory);
    assert!(error.get_hint().unwrap().contains("memory limit"), "{error:?}");
    assert_eq!(small.runtime.memory_pool.reserved(), 0);

    let steps = Arc::new(AtomicUsize::new(0));
    let (mut stopped, seen) = (context(2), Arc::clone(&steps));
    let cancel = stopped.cancel.clone();
    stopped.progress = Some(Arc::new(move |progress| {
        if progress.phase == "fitting" && progress.step == 3 {
            cancel.cancel();
        }
        seen.fetch_max(progress.step as usize, Ordering::SeqCst);
    }));
    let outcome = block_on(try_train_with(
        vec![columns()],
        Some(Algorithm::GradientBoosting),
        "y",
        &["rounds = 100000"],
        &stopped,
    ));
    assert_eq!(outcome.map(|_| ()).unwrap_err().code(), SqlState::QueryCanceled);
    assert!(steps.load(Ordering::SeqCst) < 50);
}

/// Seven hundred levels are more columns than are factored, or decomposed, at once.
#[test]
fn a_wide_model_is_right_and_can_be_stopped() {
    const LEVELS: u32 = 700;
    let names: Vec<String> = (0..LEVELS).map(|level| format!("c{level:03}")).collect();
    let columns = || {
        let rows = (0..2 * LEVELS).map(|row| row % LEVELS);
        vec![
            texts("level", rows.clone().map(|level| Some(names[level as usize].as_str()))),
            numbers("y", rows.map(|level| f64::from(level * level))),
        ]
    };
    let trained = trained(columns(), Algorithm::LinearRegression, "y", &["split = none"]);
    for weight in &trained.model.weights {
        let expected = weight.category.as_ref().map_or(0.0, |name| {
            let level: f64 = name[1..].parse().unwrap();
            level * level
        });
        let estimate = weight.values[0].unwrap();
        assert!((estimate - expected).abs() < 1e-6, "{weight:?}");
    }
    // Of a balanced one-way layout of n levels: the larger root of x² - (n + 1) x + 1.
    let n = f64::from(LEVELS + 1);
    let condition = (n + (n * n - 4.0).sqrt()) / 2.0;
    let found = trained.model.statistics.iter().find(|(name, _)| *name == "condition_number");
    let found = found.and_then(|(_, value)| *value).unwrap();
    assert!((found / condition - 1.0).abs() < 1e-4, "{found} is not {condition}");

    let mut stopped = context(2);
    let cancel = stopped.cancel.clone();
    stopped.progress = Some(Arc::new(move |progress| {
        if progress.phase == "fitting" {
            cancel.cancel();
        }
    }));
    let outcome = block_on(try_train_with(
        vec![batch(columns())],
        Some(Algorithm::LinearRegression),
        "y",
        &[],
        &stopped,
    ));
    assert_eq!(outcome.map(|_| ()).unwrap_err().code(), SqlState::QueryCanceled);
    // The thread has given its memory back: it did not go on behind the answer.
    let started = std::time::Instant::now();
    while stopped.runtime.memory_pool.reserved() > 0 {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the training goes on");
        std::thread::yield_now();
    }
}

#[test]
fn types_that_are_numbers_categories_or_refused() {
    let dates: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![1, 2, 3]));
    let error = failure(
        vec![("d".into(), dates), numbers("y", [1.0, 2.0, 3.0])],
        Algorithm::LinearRegression,
        "y",
        &[],
    );
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
    assert!(error.get_hint().unwrap().contains("extract"));
    let decimals = arrow::array::Decimal128Array::from(vec![100, 250, 320, 410])
        .with_precision_and_scale(10, 2)
        .unwrap();
    let features = vec![
        ("price".to_string(), Arc::new(decimals) as ArrayRef),
        truths("paid", [Some(true), Some(false), None, Some(true)]),
        integers("n", [1, 2, 3, 5]),
    ];
    let trained = trained(
        data(Algorithm::GradientBoosting, features, 4),
        Algorithm::GradientBoosting,
        "y",
        &[],
    );
    let wrong: Vec<ArrayRef> =
        vec![numbers("", [1.0]).1, numbers("", [1.0]).1, numbers("", [1.0]).1];
    let error = trained.model.predict(&wrong, 1).unwrap_err();
    assert_eq!(
        (error.code(), error.object().column.as_deref()),
        (SqlState::DatatypeMismatch, Some("paid"))
    );
}
