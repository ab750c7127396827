//! Changes against rows computed by hand, and at random against a plain model.

use super::super::stats;
use super::super::testing::{TestTable, show};
use super::*;
use crate::catalog::{Column, SqlType};
use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};
use object_store::local::LocalFileSystem;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

const NOW_MS: i64 = 1_700_000_000_000;

fn spec(t: &TestTable, kind: ChangeKind) -> ChangeSpec {
    ChangeSpec {
        checks: Arc::new(TableChecks::new(&t.table, vec![])),
        target: t.target.clone(),
        kind,
        duplicates: match kind {
            ChangeKind::Delete => DuplicatePolicy::Ignore,
            ChangeKind::Update => DuplicatePolicy::FirstWins,
            ChangeKind::Merge => DuplicatePolicy::Error21000,
        },
        materialize: None,
        pool: Arc::new(UnboundedMemoryPool::default()),
        now_ms: NOW_MS,
    }
}

async fn run(t: &mut TestTable, spec: &ChangeSpec, query: &str) -> Result<ChangeOutcome> {
    let files = t.scan(true).files().to_vec();
    let stream = t.rows(query).await;
    let outcome = apply_changes(&files, stream, spec).await?;
    t.apply(&outcome.actions);
    Ok(outcome)
}

async fn change(t: &mut TestTable, kind: ChangeKind, query: &str) -> Result<ChangeOutcome> {
    let spec = spec(t, kind);
    run(t, &spec, query).await
}

/// A file of ids 0–99 in row groups of 30, and one of 100–109.
async fn two_files() -> TestTable {
    let columns =
        vec![Column::new("id", SqlType::BigInt).required(), Column::new("s", SqlType::Text)];
    let mut t = TestTable::new(columns, &[]);
    t.target.row_group_rows = 30;
    for range in ["0, 99", "100, 109"] {
        t.insert(&format!(
            "SELECT value AS id, concat('s', value) AS s FROM generate_series({range})"
        ))
        .await;
    }
    t
}

fn counts(outcome: &ChangeOutcome) -> (usize, usize, u64, u64, u64) {
    let adds = outcome.written().count();
    let o = outcome;
    (o.actions.len() - adds, adds, o.deleted, o.updated, o.inserted)
}

#[tokio::test]
async fn deleted_rows_are_gone_and_the_others_stay() {
    let mut t = two_files().await;
    let query = "SELECT __file, __row FROM r WHERE id IN (0, 31, 32, 59, 99)";
    let outcome = change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
    assert_eq!(counts(&outcome), (1, 1, 5, 0, 0));
    let Action::Remove(remove) = &outcome.actions[0] else { panic!("removes come first") };
    assert_eq!((remove.deletion_timestamp, remove.data_change), (Some(NOW_MS), true));
    let shown = t.show("SELECT count(*) AS n, sum(id) AS s, count(DISTINCT s) AS d FROM t").await;
    // 0 + … + 109 = 5995, less 0 + 31 + 32 + 59 + 99 = 221.
    assert!(shown.contains("| 105 | 5774 | 105 |"), "{shown}");
    assert!(t.show("SELECT s FROM t WHERE id = 58").await.contains("s58"));
    let add = outcome.written().next().expect("a copy");
    assert_eq!(
        add.stats.as_deref(),
        Some(
            r#"{"numRecords":95,"minValues":{"id":1,"s":"s1"},"maxValues":{"id":98,"s":"s98"},"nullCount":{"id":0,"s":0}}"#
        )
    );
}

#[tokio::test]
async fn a_file_without_rows_has_no_copy_and_nothing_changes_nothing() {
    let mut t = two_files().await;
    let query = "SELECT __file, __row FROM r WHERE id >= 100";
    let outcome = change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
    assert_eq!(counts(&outcome), (1, 0, 10, 0, 0));
    let query = "SELECT __file, __row FROM r WHERE id >= 100";
    let outcome = change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
    assert_eq!(counts(&outcome), (0, 0, 0, 0, 0));
    // Two whole row groups: the first is dropped, the others keep their order.
    let query = "SELECT __file, __row FROM r WHERE id < 30";
    let outcome = change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
    assert_eq!(counts(&outcome), (1, 1, 30, 0, 0));
    assert!(t.show("SELECT min(id) AS a, count(*) AS n FROM t").await.contains("| 30 | 70 |"));
}

#[tokio::test]
async fn an_update_counts_a_row_once_and_returns_what_it_wrote() {
    let mut t = two_files().await;
    let query = "SELECT __file, __row, id + 1000 AS id, concat(s, v) AS s, id AS old_id
        FROM r JOIN (VALUES (5, 'x'), (5, 'x'), (105, 'y')) AS u(k, v) ON k = id";
    let outcome = change(&mut t, ChangeKind::Update, query).await.expect("an update");
    assert_eq!(counts(&outcome), (2, 3, 0, 2, 0));
    let returned: usize = outcome.returning.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(returned, 2);
    assert_eq!(outcome.returning[0].schema().field(0).name(), "old_id");
    let shown = t.show("SELECT id, s FROM t WHERE id > 1000 ORDER BY id").await;
    assert!(shown.contains("| 1005 | s5x   |") && shown.contains("| 1105 | s105y |"), "{shown}");
    assert!(t.show("SELECT count(*) AS n FROM t").await.contains("| 110 |"));
}

#[tokio::test]
async fn a_merge_deletes_updates_and_inserts_at_once() {
    let mut t = two_files().await;
    let query = "SELECT __file, __row,
            arrow_cast(CASE WHEN r.id IS NULL THEN 2 WHEN v = 'd' THEN 0 ELSE 1 END, 'Int8') AS __kind,
            k AS id, v AS s
        FROM (VALUES (1, 'd'), (2, 'u'), (101, 'u'), (500, 'n'), (501, 'n')) AS u(k, v)
        LEFT JOIN r ON k = r.id";
    let outcome = change(&mut t, ChangeKind::Merge, query).await.expect("a merge");
    assert_eq!(counts(&outcome), (2, 3, 1, 2, 2));
    let shown = t.show("SELECT id, s FROM t WHERE id < 4 OR id > 500 OR s = 'u' ORDER BY id").await;
    let expected = "\
+-----+----+
| id  | s  |
+-----+----+
| 0   | s0 |
| 2   | u  |
| 3   | s3 |
| 101 | u  |
| 501 | n  |
+-----+----+";
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_second_source_row_is_an_error_and_leaves_nothing() {
    let mut t = two_files().await;
    let before: Vec<_> = objects(&t).await;
    let query = "SELECT __file, __row, arrow_cast(1, 'Int8') AS __kind, id, v AS s
        FROM (VALUES (5, 'x'), (6, 'x'), (5, 'y')) AS u(k, v) JOIN r ON k = id";
    let error = change(&mut t, ChangeKind::Merge, query).await.expect_err("5 comes twice");
    assert_eq!(error.code(), SqlState::CardinalityViolation);
    assert_eq!(error.message(), "MERGE command cannot affect row a second time");

    let query = "SELECT __file, __row, nullif(id, 50) AS id, s FROM r";
    let error = change(&mut t, ChangeKind::Update, query).await.expect_err("NULL");
    assert_eq!(error.code(), SqlState::NotNullViolation);
    assert_eq!(error.get_detail(), Some("Failing row contains (null, s50)."));

    let mut narrow = spec(&t, ChangeKind::Delete);
    narrow.pool = Arc::new(GreedyMemoryPool::new(100));
    let error = run(&mut t, &narrow, "SELECT __file, __row FROM r").await.expect_err("memory");
    assert_eq!(error.code(), SqlState::OutOfMemory);
    assert_eq!(objects(&t).await, before);
}

async fn objects(t: &TestTable) -> Vec<String> {
    let mut paths: Vec<String> = t
        .store
        .list(None)
        .map(|object| object.expect("a list").location.to_string())
        .collect()
        .await;
    paths.sort();
    paths
}

#[tokio::test]
async fn a_row_that_no_file_has_is_a_bug_that_is_seen() {
    let mut t = two_files().await;
    let query = "SELECT __file, __row + 1000 AS __row FROM r WHERE id = 5";
    let error = change(&mut t, ChangeKind::Delete, query).await.expect_err("no such row");
    assert_eq!(error.code(), SqlState::InternalError);
}

#[tokio::test]
async fn hidden_times_are_filled_from_the_files_tag() {
    let mut hidden = Column::new("_committed_at", SqlType::TimestampTz);
    hidden.hidden = true;
    let columns = vec![Column::new("id", SqlType::BigInt), hidden];
    let mut t = TestTable::new(columns, &[]);
    t.target.row_group_rows = 4;
    let insert = "SELECT value AS id, CASE WHEN value = 9 THEN
        arrow_cast(7, 'Timestamp(Microsecond, Some(\"UTC\"))') END AS _committed_at
        FROM generate_series(0, 9)";
    for tag in [Some("5000000"), None] {
        let mut adds = t.insert(insert).await;
        if let Some(tag) = tag {
            adds[0].set_tag("cenote.time", tag);
            t.apply(&[Action::Add(adds[0].clone())]);
        }
    }
    let mut spec = spec(&t, ChangeKind::Delete);
    spec.materialize = Some(Materialize {
        column: "_committed_at".into(),
        value: |add| add.tag("cenote.time")?.parse().ok(),
    });
    run(&mut t, &spec, "SELECT __file, __row FROM r WHERE id = 0").await.expect("a delete");
    let shown = t
        .show(
            "SELECT arrow_cast(_committed_at, 'Int64') AS at, count(*) AS n, min(id) AS a
             FROM t GROUP BY 1 ORDER BY 1 NULLS LAST",
        )
        .await;
    let expected = "\
+---------+---+---+
| at      | n | a |
+---------+---+---+
| 7       | 2 | 9 |
| 5000000 | 8 | 1 |
|         | 8 | 1 |
+---------+---+---+";
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_file_without_a_column_gets_it_when_it_is_copied() {
    let mut t = two_files().await;
    t.table.columns.insert(1, Column::new("added", SqlType::Integer));
    t.target.schema = t.table.schema();
    let query = "SELECT __file, __row FROM r WHERE id = 3";
    change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
    let shown = t.show("SELECT count(*) AS n, count(added) AS a, count(s) AS s FROM t").await;
    assert!(shown.contains("| 109 | 0 | 109 |"), "{shown}");
}

#[tokio::test]
async fn files_of_delta_rs_are_read_and_copied() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("a folder"));
    let columns = vec![
        Column::new("id", SqlType::BigInt),
        Column::new("k", SqlType::Text),
        Column::new("d", SqlType::Numeric(12, 2)),
        Column::new("at", SqlType::TimestampTz),
        Column::new("l", SqlType::Array(Box::new(SqlType::Integer))),
    ];
    for partition_by in [&[][..], &["k"]] {
        let mut t = TestTable::on(store.clone(), columns.clone(), partition_by);
        let place = format!("w/{}", partition_by.len());
        t.target.prefix = object_store::path::Path::from(place.as_str());
        let rows = "SELECT value AS id, concat('k /', value % 2) AS k,
            arrow_cast(value, 'Decimal128(12, 2)') AS d,
            arrow_cast(value, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at,
            make_array(arrow_cast(value, 'Int32')) AS l FROM generate_series(0, 99)";
        let context = t.context(1);
        let batches = context.sql(rows).await.expect("a query").collect().await.expect("rows");
        let path = folder.path().join(&place);
        std::fs::create_dir_all(&path).expect("a folder");
        let url = url::Url::from_directory_path(&path).expect("absolute");
        let table = deltalake::DeltaTable::try_from_url(url).await.expect("a place");
        let write = table.write(batches).with_partition_columns(partition_by.iter().copied());
        write.await.expect("written by delta-rs");
        let log = std::fs::read(path.join("_delta_log/00000000000000000000.json")).expect("a log");
        let actions = crate::delta::actions::from_bytes(&log).expect("known actions");
        t.apply(&actions);
        let found = crate::delta::schema::columns_from_json(&t.state.metadata().schema_string)
            .expect("a schema");
        let types =
            |columns: &[Column]| columns.iter().map(|c| c.sql_type.clone()).collect::<Vec<_>>();
        assert_eq!(types(&found), types(&columns));

        let query = "SELECT __file, __row FROM r WHERE id % 10 = 3 OR id < 5";
        let outcome = change(&mut t, ChangeKind::Delete, query).await.expect("a delete");
        assert_eq!(outcome.deleted, 14);
        let shown = t
            .show("SELECT count(*) AS n, sum(id) AS a, sum(d) AS b, sum(arrow_cast(at, 'Int64')) AS c, sum(l[1]) AS l, count(DISTINCT k) AS k FROM t")
            .await;
        // 0 + … + 99 = 4950, less 0 + 1 + 2 + 3 + 4 = 10 and 13 + 23 + … + 93 = 477.
        assert!(shown.contains("| 86 | 4463 | 4463.00 | 4463 | 4463 | 2 |"), "{shown}");
    }
}

/// A row of the random test: k, s, f, n.
type Row = (i64, Option<String>, f64, i64);

struct Model {
    rows: BTreeMap<i64, Row>,
    next: i64,
}

#[tokio::test]
async fn random_changes_equal_a_plain_model() {
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for partition_by in [&[][..], &["k"]] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("a folder"));
        let columns = vec![
            Column::new("id", SqlType::BigInt).required(),
            Column::new("k", SqlType::BigInt),
            Column::new("s", SqlType::Varchar(40)),
            Column::new("f", SqlType::Double),
            Column::new("n", SqlType::Numeric(20, 2)),
        ];
        let mut t = TestTable::on(store, columns, partition_by);
        t.target.row_group_rows = random.random_range(5..50);
        let mut model = Model { rows: BTreeMap::new(), next: 0 };
        for _ in 0..15 {
            step(&mut t, &mut model, &mut random).await;
            compare(&t, &model).await;
        }
        bounds_hold(&t).await;
        t.publish().await;
        let url = url::Url::from_directory_path(folder.path().join("w/t")).expect("absolute");
        let foreign = deltalake::open_table(url).await.expect("a table that delta-rs reads");
        let context = datafusion::prelude::SessionContext::new();
        let provider = foreign.table_provider().await.expect("a provider");
        context.register_table("t", provider).expect("a new name");
        let query = "SELECT * FROM t ORDER BY id";
        assert_eq!(show(&context, query).await, t.show(query).await);
    }
}

/// One random statement, on the table and on the model.
async fn step(t: &mut TestTable, model: &mut Model, random: &mut StdRng) {
    let modulus = random.random_range(1..12);
    let rest = random.random_range(0..modulus);
    match random.random_range(0..4) {
        0 => {
            let n = random.random_range(1..120);
            let (from, to) = (model.next, model.next + n - 1);
            t.insert(&format!(
                "SELECT value AS id, value % 3 AS k,
                    CASE WHEN value % 4 > 0 THEN concat('s', value) END AS s,
                    CASE WHEN value % 17 = 0 THEN arrow_cast('NaN', 'Float64') ELSE value / 4.0 END AS f,
                    arrow_cast(value, 'Decimal128(20, 2)') AS n
                 FROM generate_series({from}, {to})"
            ))
            .await;
            for id in from..=to {
                let s = (id % 4 > 0).then(|| format!("s{id}"));
                #[expect(clippy::cast_precision_loss)]
                let f = if id % 17 == 0 { f64::NAN } else { id as f64 / 4.0 };
                model.rows.insert(id, (id % 3, s, f, id));
            }
            model.next += n;
        }
        1 => {
            let query = format!("SELECT __file, __row FROM r WHERE id % {modulus} = {rest}");
            let outcome = change(t, ChangeKind::Delete, &query).await.expect("a delete");
            let before = model.rows.len();
            model.rows.retain(|id, _| id % modulus != rest);
            assert_eq!(outcome.deleted, (before - model.rows.len()) as u64);
        }
        2 => {
            let query = format!(
                "SELECT __file, __row, id, (k + 1) % 3 AS k, concat('u', id) AS s, f + 1 AS f, n + 1 AS n
                 FROM r WHERE id % {modulus} = {rest}"
            );
            change(t, ChangeKind::Update, &query).await.expect("an update");
            for (id, row) in model.rows.iter_mut().filter(|(id, _)| *id % modulus == rest) {
                *row = ((row.0 + 1) % 3, Some(format!("u{id}")), row.2 + 1.0, row.3 + 1);
            }
        }
        _ => {
            let from = random.random_range(0..=model.next);
            let to = from + random.random_range(0..40);
            let query = format!(
                "SELECT __file, __row, arrow_cast(CASE WHEN r.id IS NULL THEN 2
                    WHEN u.v % {modulus} = {rest} THEN 0 ELSE 1 END, 'Int8') AS __kind,
                    u.v AS id, 1 AS k, 'm' AS s, 0.5 AS f, coalesce(r.n, 0) AS n
                 FROM (SELECT value AS v FROM generate_series({from}, {to})) u LEFT JOIN r ON u.v = r.id"
            );
            change(t, ChangeKind::Merge, &query).await.expect("a merge");
            for id in from..=to {
                match model.rows.get(&id).map(|row| row.3) {
                    Some(_) if id % modulus == rest => {
                        model.rows.remove(&id);
                    }
                    known => {
                        let n = known.unwrap_or(0);
                        model.rows.insert(id, (1, Some("m".into()), 0.5, n));
                    }
                }
            }
            model.next = model.next.max(to + 1);
        }
    }
}

async fn compare(t: &TestTable, model: &Model) {
    let query = "SELECT concat_ws('|', id, k, coalesce(s, '-'), f, n) AS row FROM t ORDER BY id";
    let batches = t.context(2).sql(query).await.expect("a query").collect().await.expect("rows");
    let mut found = vec![];
    for batch in &batches {
        let texts = arrow::compute::cast(batch.column(0), &DataType::Utf8).expect("text");
        found.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    let expected: Vec<String> = model
        .rows
        .iter()
        .map(|(id, (k, s, f, n))| format!("{id}|{k}|{}|{f:?}|{n}.00", s.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(t.state.rows(), Some(expected.len() as u64));
}

/// The statistics of every file against what the file holds.
async fn bounds_hold(t: &TestTable) {
    let schema = t.table.schema();
    for (index, add) in t.scan(true).files().iter().enumerate() {
        let known = stats::parse(add, &schema, &t.table.partition_by);
        for (i, field) in schema.fields().iter().enumerate() {
            let name = field.name();
            let query = format!(
                "SELECT count(*) - count({name}), min({name}), max({name}), count(*) FROM r WHERE __file = {index}"
            );
            let batches = t.context(1).sql(&query).await.expect("a query").collect().await;
            let batch = &batches.expect("rows")[0];
            let value = |c: usize| {
                datafusion::common::ScalarValue::try_from_array(batch.column(c), 0)
                    .expect("a value")
            };
            let column = &known.column_statistics[i];
            let nulls = value(0);
            assert_eq!(
                nulls,
                datafusion::common::ScalarValue::Int64(
                    column.null_count.get_value().map(|n| i64::try_from(*n).expect("few"))
                ),
                "{name}"
            );
            if let Some(min) = column.min_value.get_value() {
                assert!(*min <= value(1), "{name}: {min} {}", value(1));
                assert!(*column.max_value.get_value().expect("both") >= value(2), "{name}");
            }
            if name == "id" {
                assert_eq!(column.min_value.get_value(), Some(&value(1)), "tight");
                assert_eq!(column.max_value.get_value(), Some(&value(2)), "tight");
            }
        }
    }
}
