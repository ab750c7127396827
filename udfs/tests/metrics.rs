//! The metrics in SQL. Expected numbers are those of scikit-learn's docstrings, or were
//! computed with scikit-learn 1.9.1 and SciPy in a scratch environment.

use std::sync::Arc;

use cenote_udfs::{classification, drift, ranking, regression};
use datafusion::arrow::array::{BooleanArray, Float64Array, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionContext;

use crate::{error, numbers, query, session, table};

fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() <= 1e-10 * want.abs().max(1.0),
            "column {i}: got {got}, want {want}"
        );
    }
}

#[tokio::test]
async fn docstring_vectors() {
    let session = session();
    let got = numbers(
        &session,
        "SELECT mae(a, p), mse(a, p), rmse(a, p), r2(a, p), mape(a, p), median_ae(a, p),
                explained_variance(a, p)
         FROM (VALUES (3, 2.5), (-0.5, 0), (2, 2), (7, 8)) AS t(a, p)",
    )
    .await;
    assert_close(
        &got,
        &[
            0.5,
            0.375,
            0.6123724356957945,
            0.9486081370449679,
            0.3273809523809524,
            0.5,
            0.9571734475374732,
        ],
    );
    let got = numbers(
        &session,
        "SELECT auc(a, s), average_precision(a, s)
         FROM (VALUES (0, 0.1), (0, 0.4), (1, 0.35), (1, 0.8)) AS t(a, s)",
    )
    .await;
    assert_close(&got, &[0.75, 0.8333333333333333]);
    let got = numbers(
        &session,
        "SELECT accuracy(a, p), f1(a, p), f1(a, p, 'macro'), f1(a, p, 'micro'),
                precision(a, p, 'weighted'), recall(a, p), mcc(a, p), cohen_kappa(a, p)
         FROM (VALUES (2, 0), (0, 0), (2, 2), (2, 2), (0, 0), (1, 2)) AS t(a, p)",
    )
    .await;
    assert_close(
        &got,
        &[
            2.0 / 3.0,
            0.48888888888888893,
            0.48888888888888893,
            2.0 / 3.0,
            0.5555555555555555,
            5.0 / 9.0,
            0.45226701686664544,
            0.4285714285714286,
        ],
    );
    let got = numbers(
        &session,
        "SELECT log_loss(a, p), brier(a, p)
         FROM (VALUES (true, 0.9), (false, 0.1), (false, 0.2), (true, 0.65)) AS t(a, p)",
    )
    .await;
    // brier = (0.01 + 0.01 + 0.04 + 0.1225) / 4.
    assert_close(&got, &[0.21616187468057912, 0.045625]);
}

#[tokio::test]
async fn classes_of_text_and_booleans() {
    let session = session();
    // Positive is 'yes', the last: tp 2, fp 1, fn 1.
    let got = numbers(
        &session,
        "SELECT precision(a, p), recall(a, p), f1(a, p), accuracy(a, p), precision(a, p, 'macro')
         FROM (VALUES ('yes','yes'), ('yes','yes'), ('no','yes'), ('yes','no'), ('no','no'),
                      ('no','no'), (NULL,'no'), ('no',NULL)) AS t(a, p)",
    )
    .await;
    assert_close(&got, &[2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 4.0 / 6.0, 2.0 / 3.0]);
    // A group without any positive row is still about `true`, and about 1.
    let got = numbers(
        &session,
        "SELECT precision(a, p), recall(a, p), precision(i, i), recall(i, i)
         FROM (VALUES (false, false, 0), (false, false, 0)) AS t(a, p, i)",
    )
    .await;
    assert_close(&got, &[0.0, 0.0, 0.0, 0.0]);
    assert_eq!(
        query(
            &session,
            "SELECT accuracy(a, p), mcc(a, p), cohen_kappa(a, p)
             FROM (VALUES (DATE '2026-01-01', DATE '2026-01-01')) AS t(a, p)",
        )
        .await,
        ["1.0 0.0 NULL"]
    );
}

#[tokio::test]
async fn weights_skip_and_refuse() {
    let session = session();
    let rows =
        "(VALUES (1.0, 2.0, 3), (5.0, 5.0, 1), (9.0, 0.0, 0), (8.0, 0.0, NULL)) AS t(a, p, w)";
    assert_eq!(
        query(&session, &format!("SELECT mae(a, p, w), median_ae(a, p, w) FROM {rows}")).await,
        ["0.75 1.0"]
    );
    let text = error(&session, &format!("SELECT mae(a, p, -w) FROM {rows}")).await;
    assert!(text.contains("a weight must be finite and not negative"), "{text}");
    let got = numbers(
        &session,
        "SELECT f1(a, p, 'binary', w), accuracy(a, p, w), brier(a, s, w)
         FROM (VALUES (1, 1, 0.8, 2), (1, 0, 0.4, 1), (0, 0, 0.1, 3)) AS t(a, p, s, w)",
    )
    .await;
    // f1 = 2·2 / (3 + 2); brier = (2·0.04 + 0.36 + 3·0.01) / 6.
    assert_close(&got, &[0.8, 5.0 / 6.0, 0.47 / 6.0]);
}

#[tokio::test]
async fn nulls_filters_and_groups() {
    let session = session();
    assert_eq!(
        query(
            &session,
            "SELECT k, mae(a, p), mae(a, p) FILTER (WHERE a > 1), auc(a > 1, p)
             FROM (VALUES ('x', 1, 2.0), ('x', 3, 3.5), ('x', NULL, 9), ('y', 5, NULL),
                          ('z', 1, 1), ('z', 0, 'NaN'::double)) AS t(k, a, p)
             GROUP BY k ORDER BY k",
        )
        .await,
        ["x 0.75 0.5 1.0", "y NULL NULL NULL", "z 0.0 NULL NULL"]
    );
    let all: Vec<String> = cenote_udfs::metric_names()
        .iter()
        .map(|name| match *name {
            "log_loss" | "brier" | "auc" | "average_precision" => format!("{name}(a > 0, a)"),
            _ => format!("{name}(a, a)"),
        })
        .collect();
    let sql = format!("SELECT {} FROM (SELECT 1.0 AS a) AS t WHERE a > 5", all.join(", "));
    assert_eq!(query(&session, &sql).await, [vec!["NULL"; all.len()].join(" ")]);
}

#[tokio::test]
async fn growing_windows() {
    let session = session();
    assert_eq!(
        query(
            &session,
            "SELECT mae(a, p) OVER (ORDER BY i)
             FROM (VALUES (1, 1, 2), (2, 4, 4), (3, 5, 10)) AS t(i, a, p) ORDER BY i",
        )
        .await,
        ["1.0", "0.5", "2.0"]
    );
}

#[tokio::test]
async fn drift_of_columns() {
    let session = session();
    // Shares .5 .3 .2 against .4 .3 .3: the acceptance cases.
    let got = numbers(
        &session,
        "SELECT psi(e, a), js_divergence(e, a)
         FROM (VALUES ('a','a'),('a','a'),('a','a'),('a','a'),('a','b'),
                      ('b','b'),('b','b'),('b','c'),('c','c'),('c','c')) AS t(e, a)",
    )
    .await;
    assert_close(&got[..1], &[0.06286086594223739]);
    assert!((got[1] - 0.0078174002).abs() < 1e-10);
    // 1..10 against 3..12, each NULL in the rows of the other: samples of their own.
    let got = numbers(
        &session,
        "SELECT ks_stat(CASE WHEN g = 1 THEN x END, CASE WHEN g = 2 THEN x END),
                psi(x, x), js_divergence(x, x), psi(x, x + 100)
         FROM (SELECT 1 AS g, value AS x FROM range(1, 11)
               UNION ALL SELECT 2, value FROM range(3, 13)) AS t",
    )
    .await;
    assert_close(&got[..3], &[0.2, 0.0, 0.0]);
    assert!(got[3] > 5.0);
}

#[tokio::test]
async fn wrong_arguments_are_errors_of_planning() {
    let session = session();
    for (call, want) in [
        (
            "mae(1, 'x')",
            "mae takes (actual, predicted [, weight]): predicted must be a number, not Utf8",
        ),
        ("mae(1)", "mae takes (actual, predicted [, weight]), not 1 arguments"),
        ("psi(1, 2, 3)", "psi takes (expected, actual), not 3 arguments"),
        (
            "accuracy(1, 'x')",
            "accuracy takes (actual, predicted [, weight]) of one type, not Int64 and Utf8",
        ),
        (
            "auc('x', 1)",
            "auc takes (actual, score [, weight]): actual must be boolean or 0 and 1, not Utf8",
        ),
        (
            "f1(1, 1, 2)",
            "f1 takes (actual, predicted [, average [, weight]]): the average must be text, not Int64",
        ),
        (
            "f1(1, 1, 'mean')",
            "f1: the average must be 'macro', 'micro', 'weighted' or 'binary', not 'mean'",
        ),
        ("mae(DISTINCT 1, 2)", "mae does not take DISTINCT"),
    ] {
        let text = error(&session, &format!("SELECT {call}")).await;
        assert!(text.starts_with("Error during planning: "), "{call}: {text}");
        assert!(text.contains(want), "{call}: {text}");
    }
    let text = error(&session, "SELECT auc(2, 0.5)").await;
    assert!(
        text.contains("auc: an actual value must be 0 or 1 (or boolean), but one is 2"),
        "{text}"
    );
    let text = error(&session, "SELECT brier(1, 1.5)").await;
    assert!(text.contains("a probability must be between 0 and 1, but one is 1.5"), "{text}");
    let text =
        error(&session, "SELECT f1(a, a, 'binary') FROM (VALUES (1), (2), (3)) AS t(a)").await;
    assert!(text.contains("the average 'binary' needs two classes, but there are 3"), "{text}");
}

/// A generator of the table below: SplitMix64, with its seed printed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Rows {
    group: Vec<i32>,
    actual: Vec<f64>,
    predicted: Vec<f64>,
    class: Vec<usize>,
    predicted_class: Vec<usize>,
    weight: Vec<f64>,
}

/// 6,000 rows in 5 groups, which the table `t` holds in 6 partitions.
fn random_table(session: &SessionContext) -> Rows {
    let seed =
        std::env::var("CENOTE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("CENOTE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let n = 6000;
    let mut rows = Rows {
        group: Vec::new(),
        actual: Vec::new(),
        predicted: Vec::new(),
        class: Vec::new(),
        predicted_class: Vec::new(),
        weight: Vec::new(),
    };
    for _ in 0..n {
        rows.group.push((random.next() % 5) as i32);
        let actual = (random.uniform() * 50.0).round() / 50.0;
        rows.actual.push(actual);
        rows.predicted.push((actual + random.uniform()) / 2.0);
        let class = (random.next() % 4) as usize;
        rows.class.push(class);
        let guess = (random.next() % 4) as usize;
        rows.predicted_class.push(if random.uniform() < 0.6 { class } else { guess });
        rows.weight.push(random.uniform() + 0.1);
    }
    const NAMES: [&str; 4] = ["ant", "bee", "cat", "dog"];
    let schema = Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int32, true),
        Field::new("a", DataType::Float64, true),
        Field::new("p", DataType::Float64, true),
        Field::new("c", DataType::Utf8, true),
        Field::new("pc", DataType::Utf8, true),
        Field::new("w", DataType::Float64, true),
        Field::new("high", DataType::Boolean, true),
    ]));
    let batches = (0..6)
        .map(|part| {
            let range = part * n / 6..(part + 1) * n / 6;
            let names = |classes: &[usize]| -> StringArray {
                classes.iter().map(|class| Some(NAMES[*class])).collect()
            };
            let high = rows.actual[range.clone()].iter().map(|a| Some(*a > 0.7));
            RecordBatch::try_new(
                schema.clone(),
                vec![
                    Arc::new(Int32Array::from(rows.group[range.clone()].to_vec())),
                    Arc::new(Float64Array::from(rows.actual[range.clone()].to_vec())),
                    Arc::new(Float64Array::from(rows.predicted[range.clone()].to_vec())),
                    Arc::new(names(&rows.class[range.clone()])),
                    Arc::new(names(&rows.predicted_class[range.clone()])),
                    Arc::new(Float64Array::from(rows.weight[range.clone()].to_vec())),
                    Arc::new(high.collect::<BooleanArray>()),
                ],
            )
            .unwrap()
        })
        .collect();
    table(session, "t", batches);
    rows
}

/// One pass over slices and a plan of many partitions give the same numbers.
#[tokio::test]
async fn partitions_change_nothing() {
    let session = session();
    let rows = random_table(&session);
    let plan = query(&session, "EXPLAIN SELECT g, mae(a, p) FROM t GROUP BY g").await;
    assert!(plan.join("\n").contains("mode=Partial"), "{plan:?}");
    for group in 0..5 {
        let of = |values: &[f64]| -> Vec<f64> {
            let in_group = values.iter().zip(&rows.group).filter(|(_, g)| **g == group);
            in_group.map(|(value, _)| *value).collect()
        };
        let classes = |values: &[usize]| -> Vec<usize> {
            let in_group = values.iter().zip(&rows.group).filter(|(_, g)| **g == group);
            in_group.map(|(value, _)| *value).collect()
        };
        let (actual, predicted) = (of(&rows.actual), of(&rows.predicted));
        let weight = of(&rows.weight);
        let weights = Some(weight.as_slice());
        let high: Vec<bool> = actual.iter().map(|a| *a > 0.7).collect();
        let stats = regression::RegressionStats::from_slices(&actual, &predicted, weights);
        let totals = classification::ClassTotals::from_slices(
            &classes(&rows.class),
            &classes(&rows.predicted_class),
            None,
        );
        let bins = drift::DecileBins::of_sample(&actual).unwrap();
        let want = [
            stats.mae(),
            stats.r2(),
            stats.explained_variance(),
            stats.msle(),
            regression::median_absolute_error(&actual, &predicted, weights),
            totals.f1(classification::Average::Macro),
            totals.mcc(),
            totals.accuracy(),
            ranking::roc_auc(&high, &predicted, weights),
            ranking::average_precision(&high, &predicted, None),
            classification::log_loss(&high, &predicted, None),
            classification::brier(&high, &predicted, weights),
            Some(drift::psi(&bins.shares(&actual), &bins.shares(&predicted))),
            drift::ks_statistic(&actual, &predicted),
        ]
        .map(Option::unwrap);
        let got = numbers(
            &session,
            &format!(
                "SELECT mae, r2, ev, msle, med, f1, mcc, acc, auc, ap, ll, brier, psi, ks FROM (
                 SELECT g, mae(a, p, w) AS mae, r2(a, p, w) AS r2,
                        explained_variance(a, p, w) AS ev, msle(a, p, w) AS msle,
                        median_ae(a, p, w) AS med, f1(c, pc) AS f1, mcc(c, pc) AS mcc,
                        accuracy(c, pc) AS acc, auc(high, p, w) AS auc,
                        average_precision(high, p) AS ap, log_loss(high, p) AS ll,
                        brier(high, p, w) AS brier, psi(a, p) AS psi, ks_stat(a, p) AS ks
                 FROM t GROUP BY g) AS m WHERE g = {group}"
            ),
        )
        .await;
        assert_close(&got, &want);
    }
}
