//! What is written is read back by delta-rs, with equal rows.

use super::super::testing::{TestTable, show, stream_of};
use super::*;
use crate::catalog::{Column, SqlType};
use arrow::array::{Int64Array, StringViewArray};
use object_store::local::LocalFileSystem;

fn all_types() -> Vec<Column> {
    vec![
        Column::new("id", SqlType::BigInt).required(),
        Column::new("p", SqlType::Text),
        Column::new("b", SqlType::Boolean),
        Column::new("i2", SqlType::SmallInt),
        Column::new("i4", SqlType::Integer),
        Column::new("f4", SqlType::Real),
        Column::new("f8", SqlType::Double),
        Column::new("n", SqlType::Numeric(20, 3)),
        Column::new("s", SqlType::Varchar(10)),
        Column::new("d", SqlType::Date),
        Column::new("ts", SqlType::Timestamp),
        Column::new("tz", SqlType::TimestampTz),
        Column::new("raw", SqlType::Bytea),
        Column::new("l", SqlType::Array(Box::new(SqlType::Text))),
    ]
}

const ROWS: &str = "
    SELECT v AS id,
        CASE v % 3 WHEN 0 THEN 'a b/ü%' WHEN 1 THEN 'x=1' END AS p,
        v % 2 = 0 AS b,
        arrow_cast(v % 100, 'Int16') AS i2,
        arrow_cast(nullif(v, 5), 'Int32') AS i4,
        arrow_cast(v / 3.0, 'Float32') AS f4,
        v / 7.0 AS f8,
        arrow_cast(v * 1.5, 'Decimal128(20, 3)') AS n,
        arrow_cast(concat('s', v), 'Utf8View') AS s,
        arrow_cast(arrow_cast(v, 'Int32'), 'Date32') AS d,
        arrow_cast(v * 1000001, 'Timestamp(Microsecond, None)') AS ts,
        arrow_cast(v * 1000001, 'Timestamp(Microsecond, Some(\"UTC\"))') AS tz,
        arrow_cast(concat('r', v), 'BinaryView') AS raw,
        arrow_cast(make_array(concat('e', v), NULL), 'List(nullable Utf8, field: ''element'')') AS l
    FROM (SELECT value AS v FROM generate_series(0, 999))";

fn folder() -> (tempfile::TempDir, Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = LocalFileSystem::new_with_prefix(folder.path()).expect("a folder");
    (folder, Arc::new(store))
}

/// Rows of a table as delta-rs reads them.
async fn foreign(folder: &tempfile::TempDir, query: &str) -> String {
    let url = url::Url::from_directory_path(folder.path().join("w/t")).expect("absolute");
    let table = deltalake::open_table(url).await.expect("a table that delta-rs reads");
    let context = datafusion::prelude::SessionContext::new();
    let provider = table.table_provider().await.expect("a provider");
    context.register_table("t", provider).expect("a new name");
    show(&context, query).await
}

#[tokio::test]
async fn delta_rs_reads_every_type() {
    for partition_by in [&[][..], &["p"], &["d", "p"], &["tz"], &["ts"], &["n", "b"]] {
        let (folder, store) = folder();
        let mut t = TestTable::on(store, all_types(), partition_by);
        t.target.row_group_rows = 300;
        let rows = if partition_by.len() == 1 { "id < 100" } else { "id < 20" };
        let rows = if partition_by.is_empty() { "true" } else { rows };
        let adds = t.insert(&format!("SELECT * FROM ({ROWS}) WHERE {rows}")).await;
        if partition_by == ["p"] {
            assert_eq!(adds.len(), 3, "one file per value");
        }
        t.publish().await;
        let query = "SELECT id, p, b, i2, i4, f4, f8, n, s, d, ts, tz, l[1] AS l1, \
            cardinality(l) AS n_l, arrow_cast(raw, 'Utf8View') AS raw FROM t ORDER BY id";
        let ours = t.show(query).await;
        let context = t.context(1);
        let source = format!("CREATE TABLE m AS SELECT * FROM ({ROWS}) WHERE {rows}");
        context.sql(&source).await.expect("a query").collect().await.expect("rows");
        let expected = show(&context, &query.replace("FROM t", "FROM m")).await;
        assert_eq!(ours, expected, "{partition_by:?}");
        assert_eq!(foreign(&folder, query).await, expected, "{partition_by:?}");
        // Both skip files by our statistics; neither may skip one that has rows.
        for filter in [
            "n = 10.5",
            "n > 25",
            "ts >= arrow_cast(7000007, 'Timestamp(Microsecond, None)')",
            "tz = arrow_cast(7000007, 'Timestamp(Microsecond, Some(\"UTC\"))')",
            "d = DATE '1970-01-08'",
            "f8 >= 1.0",
            "f4 < 1",
            "s = 's7'",
            "i4 IS NULL",
            "i2 = 7",
            "p = 'x=1' AND b",
        ] {
            let query = format!("SELECT count(*) AS n FROM t WHERE {filter}");
            let expected = show(&context, &query.replace("FROM t", "FROM m")).await;
            assert_eq!(t.show(&query).await, expected, "{filter} {partition_by:?}");
            assert_eq!(foreign(&folder, &query).await, expected, "{filter} {partition_by:?}");
        }
    }
}

#[tokio::test]
async fn files_split_at_their_size_and_keep_the_order() {
    let mut t = TestTable::new(
        vec![Column::new("id", SqlType::BigInt).required(), Column::new("s", SqlType::Text)],
        &[],
    );
    t.target.file_size = 1024 * 1024;
    t.target.row_group_rows = 50_000;
    let adds = t
        .insert("SELECT value AS id, arrow_cast(md5(concat(value)), 'Utf8View') AS s FROM generate_series(1, 200000)")
        .await;
    assert!(adds.len() >= 3, "{} files", adds.len());
    let mut next = 1;
    for add in &adds {
        let stats: serde_json::Value =
            serde_json::from_str(add.stats.as_deref().expect("statistics")).expect("JSON");
        assert_eq!(stats["minValues"]["id"], next);
        next = stats["maxValues"]["id"].as_i64().expect("a number") + 1;
    }
    assert_eq!(next, 200_001);
    assert!(
        t.show("SELECT count(*), count(DISTINCT s), sum(id) FROM t").await.contains("20000100000")
    );
}

#[tokio::test]
async fn large_files_go_up_in_parts() {
    let mut t = TestTable::new(vec![Column::new("s", SqlType::Text)], &[]);
    t.target.row_group_rows = 100_000;
    let adds = t
        .insert("SELECT arrow_cast(concat(md5(concat(value)), md5(concat(value, 'x'))), 'Utf8View') AS s FROM generate_series(1, 300000)")
        .await;
    assert_eq!(adds.len(), 1);
    assert!(adds[0].size > 16 * 1024 * 1024, "{} bytes", adds[0].size);
    assert!(t.show("SELECT count(DISTINCT s) FROM t").await.contains("300000"));
}

#[tokio::test]
async fn no_rows_no_file_and_a_failure_leaves_nothing() {
    let columns =
        vec![Column::new("k", SqlType::Text), Column::new("v", SqlType::BigInt).required()];
    let mut t = TestTable::new(columns, &["k"]);
    assert!(t.insert("SELECT * FROM t WHERE v = 0").await.is_empty());

    t.target.file_size = 1;
    let schema = t.table.schema();
    let batch = |k: &str, v: Vec<Option<i64>>| {
        let keys = StringViewArray::from_iter_values(v.iter().map(|_| k));
        let nullable: Vec<Field> =
            schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(
            Arc::new(Schema::new(nullable)),
            vec![Arc::new(keys), Arc::new(Int64Array::from(v))],
        )
        .expect("two columns")
    };
    let many = batch("a", vec![Some(1); 70_000]);
    let error = write(stream_of(vec![many.clone(), batch("b", vec![None])]), &t.target)
        .await
        .expect_err("NULL in a required column");
    assert_eq!(error.code(), SqlState::NotNullViolation);
    let error = write(stream_of(vec![many, batch("", vec![Some(1)])]), &t.target)
        .await
        .expect_err("an empty text as partition value");
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
    let left: Vec<_> = t.store.list(None).collect().await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn nan_is_found_behind_a_range() {
    let mut t = TestTable::new(vec![Column::new("f", SqlType::Double)], &[]);
    t.insert("SELECT 1.0 AS f UNION ALL SELECT arrow_cast('NaN', 'Float64')").await;
    assert!(t.show("SELECT count(*) AS n FROM t WHERE f > 2").await.contains("| 1 |"));
}

#[tokio::test]
async fn properties_choose_compression_and_size() {
    let mut t = TestTable::new(vec![Column::new("a", SqlType::Integer)], &[]);
    for (name, suffix) in
        [("zstd", ".zstd.parquet"), ("LZ4", ".lz4raw.parquet"), ("none", "c000.parquet")]
    {
        t.table.properties.insert(COMPRESSION_PROPERTY.into(), name.into());
        t.table.properties.insert(FILE_SIZE_PROPERTY.into(), "128mb".into());
        t.target =
            WriteTarget::new(&t.table, Arc::clone(&t.store), Path::from("w/t")).expect("valid");
        assert_eq!(t.target.file_size, 128 << 20);
        let adds = t.insert("SELECT arrow_cast(1, 'Int32') AS a").await;
        assert!(adds[0].path.ends_with(suffix), "{}", adds[0].path);
    }
    assert!(t.show("SELECT sum(a) AS n FROM t").await.contains("| 3 |"));
    assert!(compression("brotli").is_err());
}

/// Two row groups of more than a part each: every store operation of the upload fails once.
#[tokio::test]
async fn a_file_in_parts_is_written_whole_or_not_at_all() {
    use crate::store::{Fault, FaultStore};
    use arrow::array::{ArrayRef, BinaryArray};
    use object_store::memory::InMemory;
    const GROUP: usize = 70;
    let columns = vec![Column::new("raw", SqlType::Bytea)];
    let schema = TestTable::new(columns.clone(), &[]).target.schema;
    let mut noise = vec![0_u8; 128 << 10];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    let values: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..2 * GROUP).map(|i| {
        // No two alike, for a dictionary would make them small.
        noise[0] = u8::try_from(i).expect("small");
        noise.clone()
    })));
    let values = arrow::compute::cast(&values, schema.field(0).data_type()).expect("bytes");
    let rows = RecordBatch::try_new(schema, vec![values]).expect("rows");

    let attempt = async |fault| {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = FaultStore::new(Arc::clone(&inner));
        store.arm(fault);
        let mut table = TestTable::on(store.clone(), columns.clone(), &[]);
        table.target.row_group_rows = GROUP;
        let written = write(stream_of(vec![rows.clone()]), &table.target).await;
        let named: Vec<_> = inner.list(None).collect().await;
        (written, store.trace(), named.into_iter().map(|m| m.expect("lists")).collect::<Vec<_>>())
    };
    let (written, trace, named) = attempt(None).await;
    let written = written.expect("it is written");
    assert_eq!((written.len(), named.len()), (1, 1));
    assert_eq!(named[0].size, u64::try_from(written[0].size).expect("a size"));
    assert!(trace.iter().filter(|o| o.starts_with("part ")).count() >= 2, "{trace:?}");
    for (at, operation) in trace.iter().enumerate() {
        for fault in [Fault::Before, Fault::DeadAfter] {
            let (written, _, named) = attempt(Some((at as u64, fault))).await;
            assert!(written.is_err(), "{fault:?} at {operation}");
            let ended = operation.starts_with("complete ") && fault == Fault::DeadAfter;
            assert_eq!(named.len(), usize::from(ended), "{fault:?} at {operation}");
        }
    }
}
