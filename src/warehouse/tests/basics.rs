//! One server: what commits, what it sees, and what can be read back.

use super::*;
use crate::catalog::{CatalogOp, Dependency, SchemaEntry, View};
use crate::sqlstate::SqlState;

#[tokio::test]
async fn a_new_warehouse_has_public_and_the_systems_tables() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let snapshot = warehouse.snapshot().await.expect("snapshot");
    assert_eq!((snapshot.seq(), snapshot.time()), (1, NOW));
    let schemas: Vec<_> = snapshot.catalog().schemas().map(|s| s.name.as_str()).collect();
    assert_eq!(schemas, ["_system", "public"]);
    let runs = snapshot.catalog().relation(&QualifiedName::new(SYSTEM_SCHEMA, RUNS));
    let columns: Vec<_> = runs.expect("exists").columns().iter().map(|c| c.name.clone()).collect();
    assert_eq!(columns.len(), 14);
    assert_eq!(columns[0], "run_id");
    let all: Vec<_> = snapshot.catalog().tables().cloned().collect();
    assert_eq!(all.len(), 3);
    for table in all {
        assert!(table.internal);
        assert_eq!(published(dir.path(), &table), (1, set(&[])));
    }
    assert_eq!(warehouse.object_store_url().as_str(), format!("cenote://{}/", warehouse.id()));
}

#[tokio::test]
async fn a_transaction_sees_its_own_work_and_others_see_it_after_commit() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let (a, b) = (create(&warehouse, "a").await, create(&warehouse, "b").await);
    write(&warehouse, &a, insert("a1")).await.expect("commits");

    let txn = begin(&warehouse).await;
    txn.change(&a.id, insert("a2")).expect("changes");
    txn.change(&a.id, change("DELETE", vec![remove("a1"), remove("a2")], reading("a")))
        .expect("changes");
    txn.change(&b.id, insert("b1")).expect("changes");
    assert_eq!(paths(&txn.table(&a.id).await.expect("a")), set(&[]));
    assert_eq!(paths(&txn.table(&b.id).await.expect("b")), set(&["b1"]));
    assert_eq!(files(&warehouse, &a).await, set(&["a1"]), "nothing is visible before COMMIT");
    let mut written = txn.written_tables();
    written.sort();
    let mut both = vec![a.id.clone(), b.id.clone()];
    both.sort();
    assert_eq!(written, both);

    let done = commit(txn).await.expect("commits");
    assert_eq!((done.seq, done.time), (5, NOW + 4), "times rise though the clock stands still");
    assert_eq!(files(&warehouse, &a).await, set(&[]));
    assert_eq!(files(&warehouse, &b).await, set(&["b1"]));
    assert_eq!(published(dir.path(), &a), (3, set(&[])));
    assert_eq!(published(dir.path(), &b), (2, set(&["b1"])));
    let old = warehouse.snapshot_at(4).await.expect("an old snapshot");
    assert_eq!(paths(&old.table(&a.id).await.expect("a")), set(&["a1"]));
    assert_eq!(paths(&old.table_at(&a.id, 0).await.expect("a")), set(&[]));
}

#[tokio::test]
async fn a_failed_statement_and_a_savepoint_leave_nothing_behind() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    let txn = begin(&warehouse).await;
    txn.change(&a.id, insert("kept")).expect("changes");
    let mark = txn.statement_mark();
    let b = table("b");
    txn.create_table(b.clone()).expect("a new table");
    txn.change(&b.id, insert("lost")).expect("changes");
    txn.change(&a.id, insert("lost")).expect("changes");
    assert_eq!(paths(&txn.table(&a.id).await.expect("a")), set(&["kept", "lost"]));
    txn.rollback_to(mark);
    assert_eq!(paths(&txn.table(&a.id).await.expect("a")), set(&["kept"]));
    assert!(txn.table(&b.id).await.is_err());
    commit(txn).await.expect("commits");
    let snapshot = warehouse.snapshot().await.expect("snapshot");
    assert!(snapshot.catalog().table(&b.id).is_none());
    assert_eq!(files(&warehouse, &a).await, set(&["kept"]));
}

#[tokio::test]
async fn empty_work_commits_without_a_record_and_rollback_deletes_files() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    let txn = begin(&warehouse).await;
    txn.change(&a.id, change("UPDATE", vec![], reading("x"))).expect("matched nothing");
    txn.change(&a.id, insert("gone")).expect("changes");
    txn.change(&a.id, change("DELETE", vec![remove("gone")], reading("g"))).expect("changes");
    assert_eq!(commit(txn).await.expect("commits").seq, 2);

    let txn = begin(&warehouse).await;
    let file = object_store::path::Path::from(format!("{}/data.parquet", a.path));
    use object_store::ObjectStoreExt;
    warehouse.store().put(&file, "rows".into()).await.expect("written");
    txn.new_files().note(file);
    txn.change(&a.id, insert("data.parquet")).expect("changes");
    txn.rollback().await;
    assert!(!dir.path().join(&a.path).join("data.parquet").exists());
    assert_eq!(warehouse.snapshot().await.expect("snapshot").seq(), 2);
}

#[tokio::test]
async fn all_comes_back_after_a_restart() {
    let dir = folder();
    let (a, b) = {
        let warehouse = open(dir.path()).await;
        let (a, b) = (create(&warehouse, "a").await, create(&warehouse, "b").await);
        for name in ["1", "2", "3"] {
            write(&warehouse, &a, insert(name)).await.expect("commits");
        }
        write(&warehouse, &a, change("DELETE", vec![remove("2")], reading("2")))
            .await
            .expect("commits");
        (a, b)
    };
    let warehouse = open(dir.path()).await;
    assert_eq!(warehouse.snapshot().await.expect("snapshot").seq(), 7);
    assert_eq!(files(&warehouse, &a).await, set(&["1", "3"]));
    assert_eq!(files(&warehouse, &b).await, set(&[]));
    let snapshot = warehouse.snapshot().await.expect("snapshot");
    let middle = snapshot.table_at(&a.id, 3).await.expect("an old version");
    assert_eq!(paths(&middle), set(&["1", "2", "3"]));
    assert_eq!(middle.rows(), Some(3), "statistics come back through the log");
    let tag = middle.file("2").expect("live").tag(TIME_TAG).map(str::to_owned);
    assert_eq!(tag, Some((NOW + 4).to_string()), "tags come back through the log");
}

#[tokio::test]
async fn versions_are_found_by_the_time_of_their_records() {
    let dir = folder();
    let clock = Arc::new(ManualClock::new(1_000));
    let with_clock = Options { clock: clock.clone(), ..Options::default() };
    let warehouse = Warehouse::open(dir.path(), with_clock).await.expect("opens");
    clock.set(2_000);
    let a = create(&warehouse, "a").await;
    clock.set(3_000);
    write(&warehouse, &a, insert("1")).await.expect("commits");
    clock.set(500); // a clock that was set back
    write(&warehouse, &a, insert("2")).await.expect("commits");
    clock.set(9_000);
    create(&warehouse, "b").await;
    let snapshot = warehouse.snapshot().await.expect("snapshot");
    for (micros, version) in
        [(2_000, 0), (2_999, 0), (3_000, 1), (3_001, 2), (9_000, 2), (i64::MAX, 2)]
    {
        let found = snapshot.version_at_time(&a.id, micros).await.expect("in range");
        assert_eq!(found, version, "at {micros}");
    }
    let error = snapshot.version_at_time(&a.id, 1_999).await.expect_err("too early");
    assert_eq!(error.code(), SqlState::InvalidParameterValue);
    let hint = error.get_hint().expect("a hint");
    assert!(hint.contains("1970-01-01T00:00:00.002000Z"), "{hint}");
    assert!(hint.contains("1970-01-01T00:00:00.003001Z"), "{hint}");
    let error = snapshot.table_at(&a.id, 3).await.expect_err("no such version");
    assert_eq!(error.get_hint(), Some("It has versions 0 to 2."));
    let error = warehouse.snapshot_at(99).await.expect_err("no such snapshot");
    assert_eq!(error.get_hint(), Some("Snapshots 1 to 5 can be read."));
}

#[tokio::test]
async fn history_and_commits_say_who_did_what() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    let txn = warehouse.begin("grace").await.expect("begins");
    let mut write = insert("1");
    write.parameters.insert("mode".into(), "Append".into());
    write.metrics.insert("numOutputRows".into(), "1".into());
    txn.change(&a.id, write).expect("changes");
    let id = txn.id().to_owned();
    let info = CommitInfo { statement: "INSERT INTO a …".into(), ..CommitInfo::default() };
    txn.commit(info).await.expect("commits");
    let check = async |warehouse: &Arc<Warehouse>| {
        let snapshot = warehouse.snapshot().await.expect("snapshot");
        let history = snapshot.history(&a.id, None).await.expect("history");
        assert_eq!(history.len(), 2);
        assert_eq!(history[0].version, 1);
        assert_eq!(history[0].operation, "WRITE");
        assert_eq!(history[0].parameters["mode"], "Append");
        assert_eq!(history[0].metrics["numOutputRows"], "1");
        assert_eq!(history[0].role.as_deref(), Some("grace"));
        assert_eq!(history[0].txn.as_deref(), Some(id.as_str()));
        assert_eq!((history[0].seq, history[0].time), (Some(3), NOW + 2));
        assert_eq!(history[1].operation, "CREATE TABLE");
        assert_eq!(snapshot.history(&a.id, Some(1)).await.expect("history").len(), 1);
        let commits = warehouse.commits(Some(2)).await.expect("commits");
        assert_eq!(commits.len(), 2);
        assert_eq!((commits[0].seq, commits[0].role.as_str()), (3, "grace"));
        assert_eq!(commits[0].statement.as_deref(), Some("INSERT INTO a …"));
        assert_eq!(commits[0].tables, [(a.id.clone(), 1)]);
    };
    check(&warehouse).await;
    drop(warehouse);
    check(&open(dir.path()).await).await;
}

#[tokio::test]
async fn oids_are_final_after_commit_and_references_follow_them() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let view = |name: &str, on: Vec<Dependency>| View {
        oid: 0,
        name: QualifiedName::new("public", name),
        query: "select 1".into(),
        search_path: vec![],
        columns: vec![],
        renamed: false,
        depends_on: on,
        owner: "ada".into(),
    };
    let txn = begin(&warehouse).await;
    txn.apply(CatalogOp::CreateView { view: Box::new(view("v", vec![])) }).expect("view");
    let v = QualifiedName::new("public", "v");
    let provisional = txn.catalog().relation(&v).expect("seen").oid();
    let on = vec![Dependency::View(provisional)];
    txn.apply(CatalogOp::CreateView { view: Box::new(view("w", on)) }).expect("view");
    create(&warehouse, "meanwhile").await;
    let done = commit(txn).await.expect("commits");
    let catalog = done.snapshot.catalog();
    let oid = catalog.relation(&v).expect("exists").oid();
    assert_eq!(oid, provisional + 1, "the table took the number");
    let (dependents, _) = catalog.dependents(&Dependency::View(oid));
    assert_eq!(dependents[0].name.name, "w");
}

#[tokio::test]
async fn a_schema_is_made_filled_and_dropped_in_one_transaction() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let txn = begin(&warehouse).await;
    let schema = SchemaEntry { name: "s".into(), oid: 0, owner: "ada".into() };
    txn.apply(CatalogOp::CreateSchema { schema }).expect("schema");
    let mut t = table("t");
    t.name.schema = "s".into();
    txn.create_table(t.clone()).expect("table");
    txn.change(&t.id, insert("1")).expect("changes");
    let error = txn.apply(CatalogOp::DropSchema { name: "s".into() }).expect_err("not empty");
    assert_eq!(error.code(), SqlState::DependentObjectsStillExist);
    txn.apply(CatalogOp::DropTable { id: t.id.clone() }).expect("dropped");
    txn.apply(CatalogOp::DropSchema { name: "s".into() }).expect("empty");
    let done = commit(txn).await.expect("commits");
    assert_eq!(done.snapshot.catalog().schemas().count(), 2);
    assert!(!dir.path().join(&t.path).exists(), "no commit was promised to it");
}

#[tokio::test]
async fn a_large_body_is_staged_and_read_back() {
    let dir = folder();
    let names: Vec<String> = (0..8000).map(|i| format!("part-{i:05}-{}", "x".repeat(40))).collect();
    let a = {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        let adds = names.iter().map(|n| add(n)).collect();
        write(&warehouse, &a, change("WRITE", adds, ReadSet::Nothing)).await.expect("commits");
        a
    };
    let record = dir.path().join("_cenote/log/00000000000000000003.json");
    assert!(std::fs::metadata(record).expect("the record").len() < 4096);
    std::fs::remove_file(dir.path().join(&a.path).join("_delta_log/00000000000000000001.json"))
        .expect("as if it had not been published");
    let warehouse = open(dir.path()).await;
    assert_eq!(files(&warehouse, &a).await.len(), 8000);
    assert_eq!(published(dir.path(), &a).1.len(), 8000);
}

#[tokio::test]
async fn a_table_with_a_change_feed_is_refused() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let txn = begin(&warehouse).await;
    let mut t = table("t");
    t.properties.insert("delta.enableChangeDataFeed".into(), "true".into());
    let error = txn.create_table(t).expect_err("refused");
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
}
