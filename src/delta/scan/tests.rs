//! Rows, files read, statistics and row ids of a scan.

use super::super::actions::Action;
use super::super::testing::TestTable;
use super::*;
use crate::catalog::{Column, SqlType};
use datafusion::common::stats::Precision;
use datafusion::physical_plan::displayable;

/// Three files of 100 rows: id 0–99, 100–199, 200–299; `k` is a, b, a.
async fn three_files(partition_by: &[&str]) -> TestTable {
    let columns = vec![
        Column::new("k", SqlType::Text),
        Column::new("id", SqlType::BigInt).required(),
        Column::new("s", SqlType::Text),
    ];
    let mut t = TestTable::new(columns, partition_by);
    t.target.row_group_rows = 30;
    for (k, from) in [("a", 0), ("b", 100), ("a", 200)] {
        t.insert(&format!(
            "SELECT '{k}' AS k, value AS id, CASE WHEN value % 10 = 0 THEN NULL ELSE concat('s', value) END AS s
             FROM generate_series({from}, {from} + 99)"
        ))
        .await;
    }
    t
}

async fn plan(t: &TestTable, query: &str) -> String {
    let plan = t.context(2).sql(query).await.expect("a query");
    let plan = plan.create_physical_plan().await.expect("a plan");
    displayable(plan.as_ref()).indent(false).to_string()
}

fn files(plan: &str) -> usize {
    plan.matches(".parquet").count()
}

#[tokio::test]
async fn files_are_skipped_by_statistics_and_partitions() {
    for partition_by in [&[][..], &["k"]] {
        let t = three_files(partition_by).await;
        for (filter, read, rows) in [
            ("true", 3, 300),
            ("id = 150", 1, 1),
            ("id >= 150 AND id < 201", 2, 51),
            ("k = 'a'", 2, 200),
            ("k = 'a' AND id > 250", 1, 49),
            ("k = 'b' OR id = 5", 2, 101),
            ("k IN ('b', 'c')", 1, 100),
            ("s IS NULL AND id < 100", 1, 10),
            ("upper(k) = 'B'", if partition_by.is_empty() { 3 } else { 1 }, 100),
        ] {
            let query = format!("SELECT id FROM t WHERE {filter}");
            let shown = plan(&t, &query).await;
            assert_eq!(files(&shown), read, "{filter} {partition_by:?}\n{shown}");
            let count = t.show(&format!("SELECT count(*) AS n FROM t WHERE {filter}")).await;
            assert!(count.contains(&format!("| {rows} ")), "{filter}\n{count}");
        }
        let none = plan(&t, "SELECT * FROM t WHERE id > 1000").await;
        assert!(none.contains("EmptyExec"), "{none}");
        assert_eq!(files(&plan(&t, "SELECT * FROM t LIMIT 120").await), 2);
        assert!(
            t.show("SELECT count(*) AS n FROM (SELECT * FROM t LIMIT 120)")
                .await
                .contains("| 120 ")
        );
    }
}

#[tokio::test]
async fn a_filter_on_partitions_needs_no_filter_above() {
    let t = three_files(&["k"]).await;
    let shown = plan(&t, "SELECT id FROM t WHERE k = 'a'").await;
    assert!(!shown.contains("FilterExec"), "{shown}");
    let shown = plan(&t, "SELECT count(*), min(id), max(id) FROM t WHERE k = 'a'").await;
    assert!(!shown.contains(".parquet"), "answered from statistics:\n{shown}");
    let answer =
        t.show("SELECT count(*) AS n, min(id) AS a, max(id) AS b FROM t WHERE k = 'a'").await;
    assert!(answer.contains("| 200 | 0 | 299 |"), "{answer}");
    let shown = plan(&t, "SELECT id FROM t WHERE k = 'a' AND random() < 2").await;
    assert!(shown.contains("FilterExec"), "{shown}");
}

#[tokio::test]
async fn columns_come_in_the_tables_order() {
    for partition_by in [&[][..], &["k"], &["id", "k"]] {
        let mut t = three_files(partition_by).await;
        t.insert("SELECT arrow_cast(NULL, 'Utf8') AS k, 1000 AS id, 'x' AS s").await;
        let shown = t.show("SELECT * FROM t WHERE id IN (101, 1000) ORDER BY id").await;
        let expected = "\
+---+------+------+
| k | id   | s    |
+---+------+------+
| b | 101  | s101 |
|   | 1000 | x    |
+---+------+------+";
        assert_eq!(shown, expected, "{partition_by:?}");
        let nulls = t.show("SELECT s, k FROM t WHERE k IS NULL").await;
        assert!(nulls.contains("| x | "), "{nulls}");
        assert!(t.show("SELECT count(*) AS n FROM t WHERE k <> 'a'").await.contains("| 100 "));
    }
}

#[tokio::test]
async fn statistics_reach_the_planner() {
    let t = three_files(&["k"]).await;
    let all = t.scan(true).statistics().expect("known");
    assert_eq!(all.num_rows, Precision::Exact(300));
    assert_eq!(all.column_statistics.len(), 5);
    let id = &all.column_statistics[1];
    assert_eq!(id.min_value, Precision::Exact(ScalarValue::Int64(Some(0))));
    assert_eq!(id.max_value, Precision::Exact(ScalarValue::Int64(Some(299))));
    assert_eq!(all.column_statistics[2].null_count, Precision::Exact(30));
    let k = &all.column_statistics[0];
    assert_eq!(k.max_value, Precision::Exact(ScalarValue::Utf8View(Some("b".into()))));
}

#[tokio::test]
async fn row_ids_say_where_a_row_stands() {
    for partition_by in [&[][..], &["k"]] {
        let t = three_files(partition_by).await;
        let files = t.scan(true).files().to_vec();
        // The first id of each file, by statistics, gives the expected row numbers.
        let mut first = vec![];
        for add in &files {
            let json: serde_json::Value =
                serde_json::from_str(add.stats.as_deref().expect("statistics")).expect("JSON");
            first.push(json["minValues"]["id"].as_i64().expect("a number"));
        }
        let case: String =
            first.iter().enumerate().map(|(i, f)| format!("WHEN {i} THEN {f} ")).collect();
        for filter in ["true", "id % 7 = 3", "s IS NULL", "id > 130 AND id < 240", "k = 'b'"] {
            let query = format!(
                "SELECT count(*) AS n FROM r WHERE {filter} AND id <> __row + CASE __file {case} END"
            );
            assert!(t.show(&query).await.contains("| 0 "), "{filter}");
        }
        let one = t.show("SELECT id, s FROM r WHERE __row = 42 ORDER BY id").await;
        assert!(one.contains("| 42  | s42  |") && one.contains("| 242 | s242 |"), "{one}");
        let only = t.show("SELECT sum(__row) AS n FROM r").await;
        assert!(only.contains("| 14850 "), "{only}");
    }
}

#[tokio::test]
async fn a_column_that_old_files_lack_is_null() {
    let mut t = three_files(&[]).await;
    t.table.columns.push(Column::new("added", SqlType::Integer));
    t.target.schema = t.table.schema();
    t.insert("SELECT 'c' AS k, 300 AS id, 'n' AS s, arrow_cast(7, 'Int32') AS added").await;
    let shown = t.show("SELECT count(*) AS n, count(added) AS m, max(added) AS x FROM t").await;
    assert!(shown.contains("| 301 | 1 | 7 |"), "{shown}");
    assert!(t.show("SELECT count(*) AS n FROM t WHERE added IS NULL").await.contains("| 300 "));
    assert!(t.show("SELECT id FROM t WHERE added = 7").await.contains("| 300 "));
}

#[tokio::test]
async fn what_cannot_be_read_right_is_refused() {
    let mut t = three_files(&[]).await;
    let mut add = t.state.files().next().expect("a file").as_ref().clone();
    add.deletion_vector = Some(serde_json::json!({"storageType": "u"}));
    t.apply(&[Action::Add(add)]);
    let location =
        TableLocation { object_store_url: t.url.clone(), prefix: t.target.prefix.clone() };
    let error = DeltaTableScan::new(
        &t.state,
        &t.table.schema(),
        &[],
        location.clone(),
        ScanOptions::default(),
    )
    .expect_err("deletion vectors");
    assert_eq!(error.code(), SqlState::FeatureNotSupported);

    let mut t = three_files(&[]).await;
    let mut metadata = t.state.metadata().as_ref().clone();
    metadata.configuration.insert("delta.columnMapping.mode".into(), "name".into());
    t.apply(&[Action::MetaData(metadata)]);
    assert!(
        DeltaTableScan::new(&t.state, &t.table.schema(), &[], location, ScanOptions::default())
            .is_err()
    );
}
