//! Publishing: torn files are completed, foreign ones are kept and quarantine the table.

use super::*;
use crate::sqlstate::SqlState;
use std::path::PathBuf;

fn commit_file(root: &FsPath, table: &Table, version: i64) -> PathBuf {
    root.join(&table.path).join(format!("_delta_log/{version:020}.json"))
}

#[tokio::test]
async fn what_is_missing_or_torn_is_published_when_the_warehouse_opens() {
    let dir = folder();
    let a = {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        for name in ["1", "2", "3"] {
            write(&warehouse, &a, insert(name)).await.expect("commits");
        }
        a
    };
    let file = |version| commit_file(dir.path(), &a, version);
    let whole = std::fs::read(file(2)).expect("published");
    for torn in [&b""[..], &whole[..whole.len() / 2]] {
        std::fs::remove_file(file(1)).expect("removed");
        std::fs::write(file(2), torn).expect("torn");
        let warehouse = open(dir.path()).await;
        assert_eq!(published(dir.path(), &a), (4, set(&["1", "2", "3"])));
        assert_eq!(std::fs::read(file(2)).expect("whole again"), whole);
        assert_eq!(files(&warehouse, &a).await, set(&["1", "2", "3"]));
    }
}

#[tokio::test]
async fn a_commit_of_someone_else_quarantines_the_table_and_only_it() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let (a, b) = (create(&warehouse, "a").await, create(&warehouse, "b").await);
    write(&warehouse, &a, insert("1")).await.expect("commits");
    let foreign = "{\"commitInfo\":{\"operation\":\"WRITE\"}}\n";
    std::fs::write(commit_file(dir.path(), &a, 2), foreign).expect("a foreign writer");

    let error = write(&warehouse, &a, insert("2")).await.expect_err("found before the record");
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
    assert!(error.get_hint().is_some_and(|h| h.contains("DROP TABLE public.a")), "{error:?}");
    for warehouse in [warehouse, open(dir.path()).await] {
        let error = write(&warehouse, &a, insert("3")).await.expect_err("quarantined");
        assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
        assert_eq!(files(&warehouse, &a).await, set(&["1"]), "the last good version is read");
        let snapshot = warehouse.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.quarantine(&a.id).map(|q| q.version), Some(2));
        write(&warehouse, &b, insert(&random_id())).await.expect("others go on");
    }
    let kept = std::fs::read_to_string(commit_file(dir.path(), &a, 2)).expect("kept");
    assert_eq!(kept, foreign, "nothing is overwritten");
}

/// What lies ahead of the records that a writer has read may be of another server of this warehouse.
#[tokio::test]
async fn a_commit_of_another_server_is_not_taken_for_a_foreign_one() {
    let dir = folder();
    let (slow, store) = held(dir.path()).await;
    let a = create(&slow, "a").await;
    let gate = store.hold_operation(&format!("head {}/_delta_log/{:020}", a.path, 1));
    let txn = begin(&slow).await;
    txn.change(&a.id, insert("mine")).expect("changes");
    let committing = tokio::spawn(commit(txn));
    gate.reached().await;
    write(&open(dir.path()).await, &a, insert("theirs")).await.expect("commits");
    gate.open();
    let done = committing.await.expect("ends").expect("commits behind it");
    assert_eq!((done.seq, done.warnings.len()), (4, 0));
    assert_eq!(published(dir.path(), &a), (3, set(&["mine", "theirs"])));
}

#[tokio::test]
async fn a_promise_that_someone_broke_is_a_warning_and_a_quarantine() {
    let dir = folder();
    let wrap: WrapStore =
        Arc::new(|inner| Arc::new(stores::Tricky { inner, trick: stores::Trick::Intrudes }) as _);
    let intruded = Options { wrap_store: Some(wrap), ..options() };
    let warehouse = Warehouse::open(dir.path(), intruded).await.expect("opens");
    let a = create(&warehouse, "a").await;
    let done = write(&warehouse, &a, insert("1")).await.expect("the commit stands");
    assert_eq!(done.warnings.len(), 1);
    assert!(done.warnings[0].message.contains("public.a"), "{:?}", done.warnings);
    assert_eq!(files(&warehouse, &a).await, set(&["1"]), "the record says what is true");
    drop(warehouse);
    let warehouse = open(dir.path()).await;
    assert_eq!(files(&warehouse, &a).await, set(&["1"]));
    let error = write(&warehouse, &a, insert("2")).await.expect_err("quarantined");
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
}

#[tokio::test]
async fn commits_to_a_table_that_was_dropped_are_published_too() {
    let dir = folder();
    let (a, seq) = {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        let seq = write(&warehouse, &a, insert("1")).await.expect("commits").seq;
        let txn = begin(&warehouse).await;
        txn.apply(crate::catalog::CatalogOp::DropTable { id: a.id.clone() }).expect("drops");
        commit(txn).await.expect("commits");
        (a, seq)
    };
    std::fs::remove_file(commit_file(dir.path(), &a, 1)).expect("as if a crash had come between");
    let warehouse = open(dir.path()).await;
    assert_eq!(published(dir.path(), &a), (2, set(&["1"])));
    let before = warehouse.snapshot_at(seq).await.expect("snapshot");
    assert_eq!(paths(&before.table(&a.id).await.expect("it existed")), set(&["1"]));
    let now = warehouse.snapshot().await.expect("snapshot");
    let error = now.table(&a.id).await.expect_err("it is gone");
    assert_eq!(error.code(), SqlState::UndefinedTable);
}
