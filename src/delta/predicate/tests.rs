//! Predicates against files whose rows are known: nothing that a row satisfies may be refuted.

use super::*;
use crate::delta::stats::FileCollector;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, Operator, binary_expr, col, lit};
use datafusion::prelude::SessionContext;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

const DECIMAL: (u8, i8) = (20, 2);

fn columns() -> Columns {
    let ts = |zone: Option<&str>| {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone.map(Into::into))
    };
    Columns {
        schema: Arc::new(Schema::new(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("f", DataType::Float64, true),
            Field::new("n", DataType::Decimal128(DECIMAL.0, DECIMAL.1), true),
            Field::new("s", DataType::Utf8View, true),
            Field::new("d", DataType::Date32, true),
            Field::new("t", ts(None), true),
            Field::new("z", ts(Some("UTC")), true),
            Field::new("b", DataType::Boolean, true),
            Field::new("p", DataType::Int32, true),
        ])),
        partition_by: vec!["p".into()],
    }
}

/// The statistics that our writer gives to a file of these rows.
fn add(batch: &RecordBatch, p: Option<i32>) -> Add {
    let in_file: Vec<usize> = (0..batch.num_columns() - 1).collect();
    let batch = batch.project(&in_file).expect("the columns but the last");
    let mut file = FileCollector::new(&batch.schema());
    file.add_rows(batch.num_rows() as u64);
    for (i, column) in batch.columns().iter().enumerate() {
        let mut seen = stats::ColumnCollector::new(column.data_type());
        seen.update(column);
        file.merge_column(i, &seen);
    }
    with_stats(&file.to_json(), p)
}

fn with_stats(stats: &str, p: Option<i32>) -> Add {
    Add {
        path: "f".into(),
        partition_values: BTreeMap::from([("p".into(), p.map(|p| p.to_string()))]),
        size: 1,
        modification_time: 0,
        data_change: true,
        stats: Some(stats.into()),
        tags: None,
        deletion_vector: None,
    }
}

fn predicate(filter: &Expr) -> Predicate {
    lower(std::slice::from_ref(filter), &columns().schema)
}

fn may_match(filter: &Expr, stats: &str) -> bool {
    predicate(filter).may_match(&with_stats(stats, Some(7)), &columns())
}

#[test]
fn a_file_is_refuted_by_its_bounds_and_by_nothing_else() {
    let stats = r#"{"numRecords":3,"minValues":{"i":10,"s":"eu"},"maxValues":{"i":20,"s":"us"},"nullCount":{"i":0,"s":1,"n":3}}"#;
    let n = |v: i32| lit(v);
    let refuted = [
        col("i").eq(n(9)),
        col("i").eq(n(21)),
        col("i").lt(n(10)),
        col("i").lt_eq(n(9)),
        col("i").gt(n(20)),
        col("i").gt_eq(n(21)),
        n(21).lt_eq(col("i")),
        col("i").between(n(0), n(9)),
        col("i").not_between(n(10), n(20)),
        col("i").in_list(vec![n(1), n(30)], false),
        col("i").in_list((0..200).map(|i| n(i - 200)).collect(), false),
        !col("i").gt_eq(n(10)),
        !(col("i").gt(n(5)).or(col("s").is_null())),
        col("i").is_null(),
        col("n").is_not_null(),
        col("s").eq(lit("asia")),
        col("i").eq(n(15)).and(col("s").gt(lit("vz"))),
        col("p").eq(n(8)),
        col("p").not_eq(n(7)),
        col("p").is_null(),
    ];
    for filter in refuted {
        assert!(!may_match(&filter, stats), "{filter}");
    }
    let possible = [
        col("i").eq(n(10)),
        col("i").eq(n(20)),
        col("i").lt_eq(n(10)),
        col("i").gt_eq(n(20)),
        col("i").not_eq(n(10)),
        col("i").eq(n(9)).or(col("s").is_null()),
        col("i").is_not_null(),
        col("s").is_null(),
        col("p").eq(n(7)),
        // What cannot be told from the statistics of a file.
        (col("i") + n(1)).eq(n(9)),
        col("i").eq(col("p")),
        col("f").eq(lit(1.0)),
        col("b"),
        col("missing").eq(n(1)),
        col("i").eq(lit(9_i64)),
        binary_expr(col("i"), Operator::IsDistinctFrom, n(9)),
        col("i").in_list(vec![n(1), col("p")], false),
        lit(true),
    ];
    for filter in possible {
        assert!(may_match(&filter, stats), "{filter}");
    }
}

/// What was read under a column or a type that the table does not have any more may be anything.
#[test]
fn what_cannot_be_evaluated_is_true() {
    let stats = r#"{"numRecords":1,"minValues":{"i":10},"maxValues":{"i":10},"nullCount":{"i":0}}"#;
    let file = with_stats(stats, Some(7));
    let compare = |column: &str, value: &str| {
        Predicate::Compare(column.into(), Comparison::Equal, value.into())
    };
    assert!(!compare("i", "9").may_match(&file, &columns()), "this one can be");
    assert!(compare("i", "nine").may_match(&file, &columns()));
    for unknown in ["i2", ""] {
        assert!(compare(unknown, "9").may_match(&file, &columns()));
        assert!(Predicate::IsNull(unknown.into()).may_match(&file, &columns()));
        assert!(Predicate::IsNotNull(unknown.into()).may_match(&file, &columns()));
    }
}

/// A NaN is above all numbers for some readers and below for others, and no text tells them apart.
#[test]
fn floats_with_nan_and_two_zeros_are_not_refuted_wrongly() {
    let nan_among_them = r#"{"numRecords":3,"nullCount":{"f":0}}"#;
    assert!(may_match(&col("f").gt(lit(1e300)), nan_among_them));
    let zero =
        r#"{"numRecords":1,"minValues":{"f":0.0},"maxValues":{"f":0.0},"nullCount":{"f":0}}"#;
    for sign in [0.0, -0.0] {
        assert!(may_match(&col("f").lt(lit(sign)), zero));
        assert!(may_match(&col("f").gt(lit(sign)), zero));
    }
    assert!(!may_match(&col("f").gt(lit(0.5)), zero));
    assert_eq!(predicate(&col("f").gt(lit(-f64::NAN))), Predicate::True);
}

#[test]
fn cut_bounds_are_widened_before_they_refute() {
    let stats = r#"{"numRecords":2,"minValues":{"t":"2024-01-01T00:00:00.001"},"maxValues":{"t":"2024-01-01T00:00:00.001"},"nullCount":{"t":0}}"#;
    let at = |micros: i64| {
        lit(ScalarValue::TimestampMicrosecond(Some(1_704_067_200_000_000 + micros), None))
    };
    assert!(may_match(&col("t").eq(at(1_999)), stats), "within the millisecond of the maximum");
    assert!(may_match(&col("t").not_eq(at(1_000)), stats));
    assert!(!may_match(&col("t").eq(at(2_000)), stats));
    assert!(!may_match(&col("t").eq(at(999)), stats));
    // A long decimal may have been rounded by a double on its way.
    let stats = r#"{"numRecords":1,"minValues":{"n":123456789012345678.25},"maxValues":{"n":123456789012345678.25},"nullCount":{"n":0}}"#;
    assert!(may_match(&col("n").eq(lit(ScalarValue::Decimal128(Some(1), 20, 2))), stats));
}

#[test]
fn statistics_that_are_missing_or_broken_refute_nothing() {
    let filter = col("i").eq(lit(1)).and(col("s").is_null());
    for stats in ["{", "{}", r#"{"numRecords":2}"#, r#"{"numRecords":2,"minValues":{"i":"x"}}"#] {
        assert!(may_match(&filter, stats), "{stats}");
    }
    let mut bare = with_stats("{}", Some(7));
    bare.stats = None;
    assert!(predicate(&filter).may_match(&bare, &columns()));
    // NULLs that are counted loosely, since some rows are deleted, prove nothing.
    let loose = r#"{"numRecords":2,"nullCount":{"i":2,"s":0},"tightBounds":false}"#;
    assert!(may_match(&col("i").eq(lit(1)), loose) && may_match(&col("s").is_null(), loose));
}

#[test]
fn an_unknown_form_counts_as_true() {
    let read = |json: &str| serde_json::from_str::<Predicate>(json).expect("any JSON");
    let known =
        r#"{"and":[{">=":["i","1"]},{"or":[{"=":["s","eu"]},{"null":"s"},{"not null":"i"}]}]}"#;
    let predicate = read(known);
    assert_eq!(serde_json::to_string(&predicate).expect("json"), known);
    for unknown in [
        "null",
        "false",
        "7",
        "[]",
        "{}",
        r#"{"like":["s","a%"]}"#,
        r#"{"=":["i"]}"#,
        r#"{"=":["i",1]}"#,
        r#"{"=":["i","1","more"]}"#,
        r#"{"=":["i","1"],"but":1}"#,
        r#"{"or":[]}"#,
        r#"{"and":{}}"#,
        r#"{"null":1}"#,
    ] {
        assert_eq!(read(unknown), Predicate::True, "{unknown}");
        let within = read(&format!(r#"{{"or":[{{"=":["i","1"]}},{unknown}]}}"#));
        assert!(
            within.may_match(&with_stats(r#"{"numRecords":0}"#, None), &columns()),
            "{unknown}"
        );
    }
}

#[test]
fn what_would_bloat_a_record_is_widened() {
    let many: Vec<Expr> = (0..10_000).map(lit).collect();
    let text = serde_json::to_string(&predicate(&col("i").in_list(many.clone(), false)));
    assert_eq!(text.expect("json"), r#"{"and":[{">=":["i","0"]},{"<=":["i","9999"]}]}"#);
    assert_eq!(predicate(&col("i").in_list(many.clone(), true)), Predicate::True);
    assert_eq!(predicate(&col("s").eq(lit("x".repeat(2000)))), Predicate::True);
    let chain = many.into_iter().take(2000).map(|v| col("i").eq(v)).reduce(Expr::or).expect("some");
    assert_eq!(predicate(&chain), Predicate::True);
    let deep = (0..100).fold(col("i").eq(lit(1)), |e, i| !(e.and(col("p").eq(lit(i)))));
    assert!(may_match(&deep, r#"{"numRecords":1}"#));
}

/// Values of a column, NULL among them: few, so that comparisons hold now and then.
fn pool(name: &str) -> Vec<ScalarValue> {
    let long = "x".repeat(40);
    let micros = [0, 1, 999, 1000, 1001, 1_704_067_200_000_500, -1, i64::MAX];
    match name {
        "i" | "p" => [-3, 0, 1, 2, 7].map(|v| ScalarValue::Int32(Some(v))).to_vec(),
        "f" => [-1.5, -0.0, 0.0, 0.1, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN]
            .map(|v| ScalarValue::Float64(Some(v)))
            .to_vec(),
        "n" => [-5, 0, 125, 12_345_678_901_234_567_825]
            .map(|v| ScalarValue::Decimal128(Some(v), DECIMAL.0, DECIMAL.1))
            .to_vec(),
        "s" => ["", "a", "b", "é", "\u{10FFFF}", &long, &format!("{long}y"), &long[..32]]
            .map(|v| ScalarValue::Utf8View(Some(v.into())))
            .to_vec(),
        "d" => [-1, 0, 1, 19_723, i32::MIN].map(|v| ScalarValue::Date32(Some(v))).to_vec(),
        "t" => micros.map(|v| ScalarValue::TimestampMicrosecond(Some(v), None)).to_vec(),
        "z" => {
            micros.map(|v| ScalarValue::TimestampMicrosecond(Some(v), Some("UTC".into()))).to_vec()
        }
        _ => [true, false].map(|v| ScalarValue::Boolean(Some(v))).to_vec(),
    }
}

fn rows(random: &mut StdRng, p: Option<i32>) -> RecordBatch {
    let count = random.random_range(1..5);
    let schema = columns().schema;
    let arrays = schema.fields().iter().map(|field| -> ArrayRef {
        // A few of the values only, so that files differ.
        let pool = pool(field.name());
        let some: Vec<_> = (0..2).map(|_| pool.choose(random).expect("some").clone()).collect();
        let nulls = [0.0, 0.3, 1.0].choose(random).copied().expect("some");
        let values: Vec<ScalarValue> = (0..count)
            .map(|_| match field.name().as_str() {
                "p" => ScalarValue::Int32(p),
                _ if random.random_bool(nulls) => {
                    ScalarValue::try_from(field.data_type()).expect("a NULL")
                }
                _ => some.choose(random).expect("some").clone(),
            })
            .collect();
        ScalarValue::iter_to_array(values).expect("an array")
    });
    RecordBatch::try_new(schema.clone(), arrays.collect()).expect("rows")
}

fn filter(random: &mut StdRng, depth: u32) -> Expr {
    if depth > 0 && random.random_bool(0.6) {
        let left = filter(random, depth - 1);
        return match random.random_range(0..5) {
            0 => !left,
            1 => left.is_true(),
            2 => left.is_false(),
            3 => left.and(filter(random, depth - 1)),
            _ => left.or(filter(random, depth - 1)),
        };
    }
    let schema = columns().schema;
    let field = schema.fields().choose(random).expect("some").clone();
    let column = || col(field.name().as_str());
    let pool = pool(field.name());
    let mut value = || match random.random_bool(0.05) {
        true => lit(ScalarValue::try_from(field.data_type()).expect("a NULL")),
        false => lit(pool.choose(random).expect("some").clone()),
    };
    let (a, b, c) = (value(), value(), value());
    let boolean = *field.data_type() == DataType::Boolean;
    match random.random_range(0..12) {
        0 => column().eq(a),
        1 => column().not_eq(a),
        2 => column().lt(a),
        3 => column().lt_eq(a),
        4 => column().gt(a),
        5 => a.gt_eq(column()),
        6 => column().is_null(),
        7 => column().is_not_null(),
        8 => column().between(a, b),
        9 => column().not_between(a, b),
        10 if boolean => column(),
        10 => column().in_list(vec![a, b, c], false),
        _ => column().in_list(vec![a, b, c], true),
    }
}

/// Random files and filters: where a row satisfies the filter, the file is never refuted; and files
/// are refuted often enough that this says something.
#[test]
fn no_row_is_ever_missed() {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .map_or_else(|_| rand::random(), |s| s.parse().expect("a number"));
    println!("CENOTE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let context = SessionContext::new();
    let (mut matched, mut refuted) = (0, 0);
    for _ in 0..4000 {
        let p = [None, Some(1), Some(7)].choose(&mut random).copied().expect("some");
        let rows = rows(&mut random, p);
        let filter = filter(&mut random, 3);
        let schema = DFSchema::try_from(rows.schema().as_ref().clone()).expect("a schema");
        let physical = context.create_physical_expr(filter.clone(), &schema).expect("a filter");
        let answers = physical.evaluate(&rows).expect("answers");
        let answers = answers.into_array(rows.num_rows()).expect("an array");
        let is_true = answers.as_boolean().iter().any(|a| a == Some(true));
        let predicate = predicate(&filter);
        let json = serde_json::to_string(&predicate).expect("json");
        let again: Predicate = serde_json::from_str(&json).expect("json");
        assert_eq!(again, predicate, "{json}");
        let may = again.may_match(&add(&rows, p), &columns());
        assert!(may || !is_true, "{filter}\n{json}\n{:?}\n{rows:?}", add(&rows, p).stats);
        matched += usize::from(is_true);
        refuted += usize::from(!may);
    }
    println!("{matched} filters held for a row, {refuted} files were refuted");
    assert!(matched > 400 && refuted > 400);
}
