//! What design/sql.md promises: order, threads, split, unseen levels, NULLs, options.

use super::*;
use crate::ml::{Feature, FeatureKind, content_hash, to_parts};
use crate::sqlstate::SqlState;
use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;

/// 2,000 rows with numbers, a category with NULLs, and both kinds of label.
fn table(n: usize) -> RecordBatch {
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let cities = ["berlin", "kyiv", "lima", "oslo"];
    let (mut a, mut b, mut city, mut y, mut class) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let (x, z, c) = (draw() * 10.0, (draw() * 50.0).floor(), (draw() * 4.4) as usize);
        a.push(if draw() < 0.03 { None } else { Some(x) });
        b.push(z);
        city.push(cities.get(c).copied());
        let target = 3.0 * x - z * 0.2 + c as f64 * 4.0 + draw();
        y.push(target);
        class.push(
            ["high", "low", "middle"][if target > 25.0 {
                0
            } else if target < 10.0 {
                1
            } else {
                2
            }],
        );
    }
    batch(vec![
        ("a".into(), Arc::new(Float64Array::from(a)) as ArrayRef),
        numbers("b", b),
        texts("city", city),
        numbers("y", y),
        texts("class", class.into_iter().map(Some)),
    ])
}

fn without(data: &RecordBatch, name: &str) -> RecordBatch {
    let keep: Vec<usize> =
        (0..data.num_columns()).filter(|i| data.schema().field(*i).name() != name).collect();
    data.project(&keep).unwrap()
}

fn hash(
    batches: Vec<RecordBatch>,
    algorithm: Algorithm,
    label: &str,
    given: &[&str],
    threads: usize,
) -> String {
    let trained =
        block_on(try_train_with(batches, Some(algorithm), label, given, &context(threads)))
            .unwrap();
    content_hash(&to_parts(&trained.model).unwrap())
}

#[test]
fn the_same_rows_give_the_same_bits() {
    let data = table(2000);
    let reversed =
        take_record_batch(&data, &UInt32Array::from_iter_values((0..2000).rev())).unwrap();
    let cases = [
        (Algorithm::LinearRegression, "y", &["l2 = 1"][..]),
        (Algorithm::LinearRegression, "y", &[][..]),
        (Algorithm::LogisticRegression, "class", &["l2 = 1"][..]),
        (Algorithm::GradientBoosting, "y", &["rounds = 20", "subsample = 0.7"][..]),
        (Algorithm::GradientBoosting, "class", &["rounds = 10", "early_stopping = 3"][..]),
    ];
    for (algorithm, label, given) in cases {
        let other = if label == "y" { "class" } else { "y" };
        let (data, reversed) = (without(&data, other), without(&reversed, other));
        let expected = hash(vec![data.clone()], algorithm, label, given, 1);
        assert_eq!(expected, hash(vec![data.clone()], algorithm, label, given, 2), "two threads");
        assert_eq!(expected, hash(vec![reversed], algorithm, label, given, 2), "reversed");
        let pieces: Vec<RecordBatch> = (0..20).map(|i| data.slice(i * 100, 100)).collect();
        assert_eq!(expected, hash(pieces, algorithm, label, given, 1), "in other batches");
        let seeded = [given, &["seed = 43"][..]].concat();
        assert_ne!(
            expected,
            hash(vec![data.clone()], algorithm, label, &seeded, 1),
            "another seed"
        );
        assert_ne!(
            expected,
            hash(vec![data.slice(1, 1999)], algorithm, label, given, 1),
            "a row less"
        );
    }
}

#[test]
fn a_split_holds_rows_back() {
    let data = without(&table(2000), "class");
    let trained = try_train(data.clone(), None, "y", &[]).unwrap();
    assert_eq!(trained.model.algorithm(), Algorithm::LinearRegression);
    let counts: Vec<&str> = trained.split_counts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(counts, ["train", "test"]);
    let test = trained.split_counts[1].1;
    assert!((340..460).contains(&test), "{test}");
    assert_eq!(trained.model.n_rows() + test, 2000);
    has_notice(&trained, "held back for testing (split = random)");
    assert!(metric(&trained.model, "test", "r2_score") > 0.9);
    let refitted = try_train(data, None, "y", &["refit = true"]).unwrap();
    assert_eq!(refitted.model.n_rows(), 2000);
    assert_eq!(
        metric(&refitted.model, "test", "r2_score"),
        metric(&trained.model, "test", "r2_score")
    );
}

#[test]
fn stratified_parts_have_equal_shares() {
    let trained = try_train(without(&table(2000), "y"), None, "class", &["l2 = 1"]).unwrap();
    has_notice(&trained, "split = stratified");
    let test = trained.split_counts.iter().find(|(name, _)| name == "test").unwrap().1;
    assert!((398..=402).contains(&test), "{test}");
}

#[test]
fn small_tables_are_not_split_unless_asked() {
    let data = without(&table(400), "class");
    let trained = try_train(data.clone(), None, "y", &[]).unwrap();
    assert_eq!(trained.split_counts, vec![("all".to_string(), 400)]);
    has_notice(&trained, "no rows are held back");
    let trained = try_train(data, None, "y", &["split = random"]).unwrap();
    assert_eq!(trained.split_counts.len(), 2);
}

#[test]
fn split_columns_are_no_features() {
    let mut columns: Vec<Column> = vec![
        numbers("x", (0..100).map(f64::from)),
        numbers("y", (0..100).map(|i| f64::from(i) * 2.0)),
    ];
    columns.push(texts("part", (0..100).map(|i| Some(if i < 70 { "train" } else { "test" }))));
    columns.push(integers("day", 0..100));
    columns.push(numbers("w", (0..100).map(|i| f64::from(i % 3))));
    let given = ["split = column", "split_column = part", "weight_column = w", "split_key = day"];
    let trained = linear(columns.clone(), "y", &given);
    let names: Vec<&str> =
        trained.model.signature().features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["x"]);
    assert_eq!(trained.rows_skipped, 34);
    let trained = linear(columns, "y", &["split = sequential", "split_column = day"]);
    assert_eq!(trained.split_counts, vec![("train".to_string(), 80), ("test".to_string(), 20)]);
}

#[test]
fn unseen_levels_predict_near_the_average() {
    let data = || {
        vec![
            texts("species", ["a", "a", "b", "b", "c", "c"].map(Some)),
            numbers("y", [1.0, 2.0, 11.0, 12.0, 21.0, 22.0]),
        ]
    };
    let trained = linear(data(), "y", &[]);
    close(predict(&trained.model, &[texts("species", [Some("new")])])[0], 11.5, 1e-12);
    close(predict(&trained.model, &[texts("species", [None])])[0], 11.5, 1e-12);
    let columns: Vec<ArrayRef> = vec![texts("species", [Some("new"), Some("a")]).1];
    let prediction = trained.model.predict(&columns, 2).unwrap();
    assert_eq!(prediction.unseen(), [("species".to_string(), 1)]);
    let strict = linear(data(), "y", &["unseen = error"]);
    let error = strict.model.predict(&columns, 2).unwrap_err();
    assert_eq!(error.code(), SqlState::InvalidParameterValue);
    assert!(error.message().contains("\"new\""));
}

#[test]
fn nulls_are_imputed_refused_or_skipped() {
    let data = || {
        let x: Float64Array = [Some(1.0), Some(2.0), None, Some(4.0)].into_iter().collect();
        vec![("x".to_string(), Arc::new(x) as ArrayRef), numbers("y", [1.0, 2.0, 3.0, 4.0])]
    };
    let query: Vec<ArrayRef> =
        vec![Arc::new([Some(2.0), None].into_iter().collect::<Float64Array>())];
    let skip = linear(data(), "y", &["nulls = skip"]);
    assert_eq!(skip.rows_skipped, 1);
    let prediction = skip.model.predict(&query, 2).unwrap();
    let values = prediction.values(&skip.model.prediction_type()).unwrap();
    assert!(values.is_valid(0) && values.is_null(1));
    assert_eq!(
        failure(data(), Algorithm::LinearRegression, "y", &["nulls = error"])
            .object()
            .column
            .as_deref(),
        Some("x")
    );
    let impute = linear(data(), "y", &[]);
    let mean = 7.0 / 3.0;
    close(
        predict(&impute.model, &[("x".into(), Arc::clone(&query[0]))])[1],
        predict(&impute.model, &[numbers("x", [mean])])[0],
        1e-12,
    );
}

#[test]
fn rare_levels_fold_into_one() {
    let levels: Vec<String> = (0..30).map(|i| format!("l{i:02}")).collect();
    let rows: Vec<usize> = (0..300).map(|i| if i < 200 { i % 4 } else { i % 30 }).collect();
    let data = vec![
        texts("level", rows.iter().map(|i| Some(levels[*i].as_str()))),
        numbers("y", rows.iter().map(|i| (*i * 3) as f64)),
    ];
    let trained = linear(data, "y", &["max_categories = 4"]);
    has_notice(&trained, "all but the 4 most frequent");
    assert!(estimate(&trained.model, "level=(other)") > 0.0);
}

#[test]
fn flags_taken_for_numbers_are_said() {
    let data = vec![numbers("x", [1.0, 2.0, 3.0, 4.0]), integers("flag", [0, 1, 0, 1])];
    let trained = try_train(batch(data.clone()), None, "flag", &[]).unwrap();
    has_notice(&trained, "taken for a number");
    let trained = try_train(batch(data), None, "flag", &["task = classification"]).unwrap();
    assert_eq!(trained.model.algorithm(), Algorithm::LogisticRegression);
    assert_eq!(trained.model.class_names(), ["0", "1"]);
}

fn has_no_notice(trained: &Trained, part: &str) {
    assert!(!trained.notices.iter().any(|n| n.message.contains(part)), "{:?}", trained.notices);
}

#[test]
fn weights_are_numbers() {
    let columns = |weight: Column| vec![numbers("x", [1.0, 2.0]), numbers("y", [1.0, 3.0]), weight];
    for weight in [texts("w", [Some("2"), Some("many")]), truths("w", [Some(true), Some(false)])] {
        for algorithm in [Algorithm::LinearRegression, Algorithm::GradientBoosting] {
            let error = failure(columns(weight.clone()), algorithm, "y", &["weight_column = w"]);
            assert_eq!(error.code(), SqlState::DatatypeMismatch);
            assert!(error.message().contains("\"w\""), "{}", error.message());
        }
    }
    linear(columns(integers("w", [1, 2])), "y", &["weight_column = w"]);
}

#[test]
fn early_stopping_without_a_validation_part_is_said() {
    let columns = || {
        let parts = ["train", "train", "train", "test"].into_iter().cycle().take(40);
        vec![
            numbers("x", (0..40).map(f64::from)),
            numbers("y", (0..40).map(|i| f64::from(i % 7))),
            texts("part", parts.map(Some)),
        ]
    };
    let stopping = ["split = none", "early_stopping = 3"];
    let whole = trained(columns(), Algorithm::GradientBoosting, "y", &stopping);
    has_notice(&whole, "early stopping is off");
    // The column alone decides the parts; without validation rows nothing is watched.
    let given = ["split_column = part", "early_stopping = 3"];
    let parted = trained(columns(), Algorithm::GradientBoosting, "y", &given);
    has_notice(&parted, "(split = column)");
    has_notice(&parted, "early stopping is off");
    assert_eq!(parted.split_counts, [("train".to_string(), 30), ("test".to_string(), 10)]);
    let plain = trained(columns(), Algorithm::GradientBoosting, "y", &["split_column = part"]);
    has_no_notice(&plain, "early stopping");
}

#[test]
fn a_validation_part_is_watched_only_where_training_stops_early() {
    let parts = ["train", "train", "validation", "test"].into_iter().cycle().take(40);
    let data = vec![
        numbers("x", (0..40).map(f64::from)),
        numbers("y", (0..40).map(|i| f64::from(i % 7))),
        texts("part", parts.map(Some)),
    ];
    for algorithm in [Algorithm::LinearRegression, Algorithm::GradientBoosting] {
        let trained = trained(data.clone(), algorithm, "y", &["split_column = part"]);
        has_notice(&trained, "10 kept for validation");
        has_no_notice(&trained, "watched");
    }
}

#[test]
fn a_constant_label_is_no_flag() {
    let columns = |y: i64| vec![numbers("x", [1.0, 2.0]), integers("y", [1, y])];
    for algorithm in [Algorithm::LinearRegression, Algorithm::GradientBoosting] {
        has_no_notice(&trained(columns(1), algorithm, "y", &[]), "taken for a number");
        has_notice(&trained(columns(0), algorithm, "y", &[]), "taken for a number");
    }
}

#[test]
fn messages_name_types_as_sql_does() {
    let error = FeatureKind::of_type("day", &DataType::Date32).unwrap_err();
    assert!(error.message().contains("\"day\" of type date"), "{}", error.message());
    let feature =
        Feature { name: "n".into(), kind: FeatureKind::Number, data_type: DataType::Int32 };
    let error = feature.check_type(&DataType::Utf8View).unwrap_err();
    assert!(error.message().ends_with("of type text"), "{}", error.message());
    assert!(error.get_hint().is_some_and(|hint| hint.contains("type integer")));
}
