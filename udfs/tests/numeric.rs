//! `sum` and `avg` in SQL, by PostgreSQL's types. Expected values are arithmetic by hand, or
//! that of 128-bit integers.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Decimal128Array, Int32Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionConfig;

use crate::{error, query, session, table, with_config};

const ROWS: &str = "(VALUES (1, 1, 2.50, 0.5), (1, 2, 0.25, 1.5), (2, NULL, 1.00, 2.0),
                            (2, 4, NULL, 'NaN'::double), (3, NULL, NULL, NULL)) AS t(k, i, d, f)";

/// The same with numerics, and an integer beside the bigint. (Of `sum(i::int)` and `sum(i)` DataFusion
/// derives one name, so that they cannot stand in one SELECT without this.)
fn with_small() -> String {
    format!("(SELECT k, i, i::int AS small, d::numeric(10, 2) AS d, f FROM {ROWS}) AS t")
}

#[tokio::test]
async fn result_types_are_those_of_postgresql() {
    let session = session();
    for (from, sum, avg) in [
        ("smallint", "Int64", "Decimal128(38, 16)"),
        ("int", "Int64", "Decimal128(38, 16)"),
        ("bigint", "Decimal128(38, 0)", "Decimal128(38, 16)"),
        ("bigint unsigned", "Decimal128(38, 0)", "Decimal128(38, 16)"),
        ("numeric(10, 2)", "Decimal128(38, 2)", "Decimal128(38, 16)"),
        ("numeric(38, 20)", "Decimal128(38, 20)", "Decimal128(38, 20)"),
        ("numeric(30, 2)", "Decimal128(38, 2)", "Decimal128(38, 10)"),
        ("real", "Float32", "Float64"),
        ("double", "Float64", "Float64"),
    ] {
        let sql = format!(
            "SELECT arrow_typeof(sum(x)) || ' / ' || arrow_typeof(avg(x)) || ' / ' ||
                    arrow_typeof(sum(DISTINCT x)) || ' / ' || arrow_typeof(mean(x))
             FROM (SELECT 1::{from} AS x) AS t"
        );
        assert_eq!(query(&session, &sql).await, [format!("{sum} / {avg} / {sum} / {avg}")]);
    }
    assert_eq!(
        query(
            &session,
            "SELECT sum(i) FROM (VALUES (INTERVAL '1 day'), (INTERVAL '2 months')) AS t(i)"
        )
        .await,
        ["2 mons 1 days"]
    );
}

#[tokio::test]
async fn sums_of_groups_with_nulls_and_filters() {
    let session = session();
    assert_eq!(
        query(
            &session,
            &format!(
                "SELECT k, sum(small), sum(i), sum(d), sum(f), sum(i) FILTER (WHERE d > 1)
                 FROM {} GROUP BY k ORDER BY k",
                with_small()
            ),
        )
        .await,
        ["1 3 3 2.75 2.0 1", "2 4 4 1.00 NaN NULL", "3 NULL NULL NULL NULL NULL"]
    );
    assert_eq!(
        query(&session, &format!("SELECT sum(i), sum(d), sum(i) FILTER (WHERE k > 9) FROM {ROWS}"))
            .await,
        ["7 3.75 NULL"]
    );
    assert_eq!(
        query(&session, &format!("SELECT sum(i), avg(i) FROM {ROWS} WHERE k > 9")).await,
        ["NULL NULL"]
    );
}

#[tokio::test]
async fn averages_are_exact_and_rounded_once() {
    let session = session();
    assert_eq!(
        query(
            &session,
            &format!("SELECT k, avg(small::smallint), avg(d), avg(i) FILTER (WHERE d > 1) FROM {} GROUP BY k ORDER BY k", with_small()),
        )
        .await,
        [
            "1 1.5000000000000000 1.3750000000000000 1.0000000000000000",
            "2 4.0000000000000000 1.0000000000000000 NULL",
            "3 NULL NULL NULL",
        ]
    );
    assert_eq!(
        query(&session, "SELECT avg(x), avg(-x) FROM (VALUES (1), (1), (0)) AS t(x)").await,
        ["0.6666666666666667 -0.6666666666666667"]
    );
    // The sum of two bigints may lie outside of bigint.
    assert_eq!(
        query(&session, "SELECT avg(x), sum(x) FROM (VALUES (9223372036854775807), (9223372036854775805)) AS t(x)").await,
        ["9223372036854775806.0000000000000000 18446744073709551612"]
    );
    assert_eq!(
        query(&session, "SELECT avg(x) FROM (VALUES (0.5::real), (1.5::real)) AS t(x)").await,
        ["1.0"]
    );
}

#[tokio::test]
async fn overflow_is_an_error() {
    let session = session();
    let nines = "9".repeat(38);
    for (sql, want) in [
        (
            format!("SELECT sum({nines}::decimal(38, 0) * 1) FROM range(0, 2)"),
            "numeric field overflow",
        ),
        (
            format!(
                "SELECT value % 2, sum({nines}::decimal(38, 0)) FROM range(0, 4) GROUP BY value % 2"
            ),
            "numeric field overflow",
        ),
        (
            "SELECT sum(x) FROM (VALUES (3e38::real), (3e38::real)) AS t(x)".to_owned(),
            "value out of range: overflow",
        ),
    ] {
        let text = error(&session, &sql).await;
        assert!(text.contains(want), "{sql}: {text}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_errors_of_planning() {
    let session = session();
    for (call, want) in [
        ("sum('x')", "Error during planning: sum takes a number or an interval, not Utf8"),
        ("sum(1, 2)", "Error during planning: sum takes one argument, not 2"),
        ("avg(true)", "Error during planning: avg takes a number, not Boolean"),
        ("avg(DATE '2024-01-01')", "not Date32"),
    ] {
        let text = error(&session, &format!("SELECT {call}")).await;
        assert!(text.contains(want), "{call}: {text}");
    }
}

#[tokio::test]
async fn distinct_sums() {
    let session = session();
    let rows = "(VALUES (1, 2, 0.0::double), (1, 2, -0.0::double), (1, 3, 1.5::double), (2, 3, 1.5::double), (2, NULL, NULL)) AS t(k, i, f)";
    let rows = format!("(SELECT k::int AS k, i, i::int AS small, f FROM {rows}) AS t");
    assert_eq!(
        query(
            &session,
            &format!("SELECT sum(DISTINCT i), avg(DISTINCT i), sum(DISTINCT f) FROM {rows}")
        )
        .await,
        ["5 2.5000000000000000 1.5"]
    );
    // DataFusion would rewrite these into sums of sums, of another type.
    assert_eq!(
        query(&session, &format!("SELECT count(DISTINCT i), sum(k) FROM {rows}")).await,
        ["2 7"]
    );
    assert_eq!(
        query(
            &session,
            &format!("SELECT k, sum(DISTINCT i), sum(small) FROM {rows} GROUP BY k ORDER BY k")
        )
        .await,
        ["1 5 7", "2 3 3"]
    );
}

#[tokio::test]
async fn names_are_those_of_sql() {
    let session = session();
    let frame =
        session.sql(&format!("SELECT sum(i), SUM(k) OVER () AS w FROM {ROWS} GROUP BY i, k")).await;
    assert_eq!(frame.unwrap().schema().field(0).name(), "sum(t.i)");
    let plan = query(&session, &format!("EXPLAIN SELECT k, sum(i) FROM {ROWS} GROUP BY k")).await;
    assert!(plan.iter().any(|line| line.contains("sum(t.i)")), "{plan:?}");
    assert!(!plan.iter().any(|line| line.contains("SUM")), "{plan:?}");
}

#[tokio::test]
async fn sliding_windows() {
    let session = session();
    assert_eq!(
        query(
            &session,
            "SELECT sum(i) OVER w, avg(i) OVER w, sum(d) OVER w, sum(f) OVER w, avg(f) OVER w,
                    sum(r) OVER w, sum(DISTINCT i) OVER w
             FROM (VALUES (1, 1, 1.5, 1.0::double, 0.5::real), (2, NULL, 2.5, 'NaN'::double, 1.5::real),
                          (3, 3, NULL, 4.0::double, 2.5::real), (4, 3, 0.5, 1e300::double, NULL),
                          (5, 1, 0.5, 2.0::double, NULL)) AS t(n, i, d, f, r)
             WINDOW w AS (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY n",
        )
        .await,
        [
            "1 1.0000000000000000 1.5 1.0 1.0 0.5 1",
            "1 1.0000000000000000 4.0 NaN NaN 2.0 1",
            "3 3.0000000000000000 2.5 NaN NaN 4.0 3",
            "6 3.0000000000000000 0.5 1e300 5e299 2.5 3",
            "4 2.0000000000000000 1.0 1e300 5e299 NULL 4",
        ]
    );
}

/// Many groups over many partitions against 128-bit sums made here, with partial
/// aggregation and without (DataFusion gives it up where it does not reduce the rows).
#[tokio::test]
async fn many_groups() {
    let seed = 11u64;
    println!("seed {seed}");
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as i64
    };
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int32, true),
        Field::new("i", DataType::Int32, true),
        Field::new("b", DataType::Int64, true),
        Field::new("d", DataType::Decimal128(15, 2), true),
    ]));
    let mut want: BTreeMap<i32, (i64, i128, i128, i128)> = BTreeMap::new();
    let mut batches = Vec::new();
    for _ in 0..6 {
        let (mut k, mut i, mut b, mut d) = (vec![], vec![], vec![], vec![]);
        for _ in 0..3000 {
            let key = (next() % 2000) as i32;
            let small = (next() % 2_000_001 - 1_000_000) as i32;
            let big = (next() << 31) - (1 << 61);
            let money = (next() % 7 != 0).then(|| i128::from(next() - (1 << 30)));
            k.push(key);
            i.push(small);
            b.push(big);
            d.push(money);
            let sums = want.entry(key).or_default();
            sums.0 += i64::from(small);
            sums.1 += i128::from(big);
            if let Some(money) = money {
                sums.2 += money;
                sums.3 += 1;
            }
        }
        let money = Decimal128Array::from(d).with_precision_and_scale(15, 2).unwrap();
        batches.push(
            RecordBatch::try_new(
                schema.clone(),
                vec![
                    Arc::new(Int32Array::from(k)),
                    Arc::new(Int32Array::from(i)),
                    Arc::new(Int64Array::from(b)),
                    Arc::new(money),
                ],
            )
            .unwrap(),
        );
    }
    let decimal = |value: i128, digits: u32| {
        let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
        let (power, width) = (10u128.pow(digits), digits as usize);
        format!("{sign}{}.{:0width$}", value / power, value % power)
    };
    let expected: Vec<String> = want
        .iter()
        .map(|(key, (i, b, d, n))| {
            if *n == 0 {
                return format!("{key} {i} {b} NULL NULL");
            }
            let scaled = d * 10i128.pow(14) * 2;
            let average = (scaled + n * scaled.signum()) / (2 * n);
            format!("{key} {i} {b} {} {}", decimal(*d, 2), decimal(average, 16))
        })
        .collect();
    for skip in [false, true] {
        let mut config = SessionConfig::new().with_batch_size(500);
        if skip {
            let options = &mut config.options_mut().execution;
            options.skip_partial_aggregation_probe_rows_threshold = 10;
            options.skip_partial_aggregation_probe_ratio_threshold = 0.01;
        }
        let session = with_config(config);
        table(&session, "t", batches.clone());
        let got = query(
            &session,
            "SELECT k, sum(i), sum(b), sum(d), avg(d) FROM t GROUP BY k ORDER BY k",
        )
        .await;
        for (got, want) in got.iter().zip(&expected) {
            assert_eq!(got, want, "skip partial aggregation: {skip}");
        }
        assert_eq!(got.len(), expected.len());
    }
}
