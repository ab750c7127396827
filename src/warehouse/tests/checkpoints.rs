//! Checkpoints of the log and of tables: faster, and never another truth.

use super::*;
use crate::sqlstate::SqlState;
use std::path::PathBuf;

fn often() -> Options {
    Options { checkpoint_every: 5, table_checkpoint_every: 10, ..options() }
}

/// Writes a checkpoint of the log, with no other work before it, and nothing left to do behind it.
async fn checkpoint_now(warehouse: &Arc<Warehouse>) {
    let fold = warehouse.snapshot().await.expect("snapshot").fold;
    checkpoint::write(&warehouse.log, &fold, &warehouse.tables).await.expect("a checkpoint");
}

fn checkpoint_file(root: &FsPath, seq: u64) -> PathBuf {
    root.join(format!("_cenote/checkpoint/{seq:020}.json"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouse_opens_the_same_with_good_bad_and_no_checkpoints() {
    let dir = folder();
    let names: Vec<String> = (0..23).map(|i| format!("f{i:02}")).collect();
    let expected: BTreeSet<String> = names.iter().cloned().collect();
    let a = {
        let warehouse = Warehouse::open(dir.path(), often()).await.expect("opens");
        let a = create(&warehouse, "a").await;
        for name in &names {
            write(&warehouse, &a, insert(name)).await.expect("commits");
            warehouse.maintain().await.expect("maintains");
        }
        a
    };
    let folder = dir.path().join("_cenote/checkpoint");
    let mut all: Vec<_> = std::fs::read_dir(&folder)
        .expect("checkpoints")
        .map(|e| e.expect("entry").path())
        .collect();
    all.sort();
    assert!(all.len() >= 4, "{all:?}");
    let log = dir.path().join(&a.path).join("_delta_log");
    assert!(log.join("00000000000000000020.checkpoint.parquet").exists());
    let check = async || {
        let warehouse = open(dir.path()).await;
        let snapshot = warehouse.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.seq(), 25);
        let by_name = snapshot.catalog().relation(&QualifiedName::new("public", "a"));
        assert!(by_name.is_some(), "no catalog is taken from a damaged checkpoint");
        assert_eq!(files(&warehouse, &a).await, expected);
        let old = warehouse.snapshot_at(9).await.expect("an old snapshot");
        assert_eq!(paths(&old.table(&a.id).await.expect("a")).len(), 7);
        assert_eq!(snapshot.version_at_time(&a.id, NOW + 8).await.expect("found"), 7);
    };
    check().await;
    let newest = all.pop().expect("one");
    let text = std::fs::read_to_string(&newest).expect("text");
    for bad in [
        String::new(),
        text.replace("public", "pubilc"),
        text.replace("\"format\":1", "\"format\":2"),
    ] {
        std::fs::write(&newest, bad).expect("damaged");
        check().await;
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    check().await;
    // A table's own checkpoint carries the tags: the JSON commits behind it are not needed.
    for version in 0..=20 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("cleaned by others");
    }
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(&newest, text).expect("restored");
    let warehouse = open(dir.path()).await;
    let state = warehouse.snapshot().await.expect("snapshot").table(&a.id).await.expect("loads");
    assert_eq!(paths(&state), expected);
    assert_eq!(
        state.file("f05").and_then(|f| f.tag(TIME_TAG).map(str::to_owned)),
        Some((NOW + 7).to_string())
    );
    assert_eq!(state.rows(), Some(23));
}

#[tokio::test]
async fn a_checkpoint_carries_what_is_not_published() {
    let dir = folder();
    let (a, blocked) = {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        // A folder in the place of the commit's file: it is no file, but nothing can be linked there.
        let blocked = dir.path().join(&a.path).join("_delta_log/00000000000000000001.json");
        std::fs::create_dir(&blocked).expect("blocked");
        let done = write(&warehouse, &a, insert("1")).await.expect("the record stands");
        assert_eq!(done.warnings.len(), 1, "publishing was in trouble");
        (a, blocked)
    };
    let warehouse = open(dir.path()).await;
    create(&warehouse, "b").await;
    checkpoint_now(&warehouse).await;
    drop(warehouse);
    for seq in 1..=3 {
        let gone = dir.path().join(format!("_cenote/log/{seq:020}.json"));
        std::fs::remove_file(gone).expect("the records before the checkpoint are not needed");
    }
    std::fs::remove_dir(blocked).expect("unblocked");
    let warehouse = open(dir.path()).await;
    assert_eq!(published(dir.path(), &a), (2, set(&["1"])));
    assert_eq!(files(&warehouse, &a).await, set(&["1"]));
}

#[tokio::test]
async fn a_checkpoint_carries_what_is_not_published_of_dropped_tables_too() {
    let dir = folder();
    let (a, blocked) = {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        let blocked = dir.path().join(&a.path).join("_delta_log/00000000000000000001.json");
        std::fs::create_dir(&blocked).expect("blocked");
        write(&warehouse, &a, insert("1")).await.expect("the record stands");
        let txn = begin(&warehouse).await;
        txn.apply(crate::catalog::CatalogOp::DropTable { id: a.id.clone() }).expect("drops");
        commit(txn).await.expect("commits");
        checkpoint_now(&warehouse).await;
        (a, blocked)
    };
    for seq in 1..=4 {
        let gone = dir.path().join(format!("_cenote/log/{seq:020}.json"));
        std::fs::remove_file(gone).expect("the records before the checkpoint are not needed");
    }
    std::fs::remove_dir(blocked).expect("unblocked");
    open(dir.path()).await;
    assert_eq!(published(dir.path(), &a), (2, set(&["1"])));
}

/// Whole files that are not to be believed: of a format to come, and in another's place.
#[tokio::test]
async fn a_checkpoint_that_cannot_be_meant_is_passed_over() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    checkpoint_now(&warehouse).await;
    write(&warehouse, &a, insert("1")).await.expect("commits");
    checkpoint_now(&warehouse).await;
    drop(warehouse);
    let (older, newest) = (checkpoint_file(dir.path(), 2), checkpoint_file(dir.path(), 3));
    let good = std::fs::read(&older).expect("a checkpoint");

    std::fs::copy(&newest, &older).expect("copied");
    let warehouse = open(dir.path()).await;
    let before = warehouse.snapshot_at(2).await.expect("an old snapshot");
    assert_eq!(before.seq(), 2, "that of 3 is not that of 2");
    assert_eq!(paths(&before.table(&a.id).await.expect("a")), set(&[]));
    drop(warehouse);

    let (json, _) = envelope::open(&good).expect("whole");
    let mut later: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    later["seq"] = 3.into();
    later["format"] = 2.into();
    std::fs::write(&newest, envelope::seal(&later).0).expect("written");
    assert_eq!(files(&open(dir.path()).await, &a).await, set(&["1"]), "nobody knows what 2 means");
    later["format"] = 1.into();
    later["needs"] = serde_json::json!(["time_machine"]);
    std::fs::write(&newest, envelope::seal(&later).0).expect("written");
    assert_eq!(files(&open(dir.path()).await, &a).await, set(&["1"]), "it needs what is unknown");
}

#[tokio::test]
async fn a_staged_body_that_is_damaged_or_missing_is_not_taken_for_the_commit() {
    let dir = folder();
    {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        let name = |i| format!("part-{i:05}-{}", "x".repeat(40));
        let adds = (0..8000).map(|i| add(&name(i))).collect();
        write(&warehouse, &a, change("WRITE", adds, ReadSet::Nothing)).await.expect("commits");
    }
    let folders = std::fs::read_dir(dir.path().join("_cenote/staged")).expect("staged bodies");
    let of_txn = folders.flatten().next().expect("a transaction").path();
    let staged =
        std::fs::read_dir(of_txn).expect("its bodies").flatten().next().expect("one").path();
    let whole = std::fs::read_to_string(&staged).expect("the body");
    for damaged in [Some(whole.replace("part-00007", "part-70000")), Some(String::new()), None] {
        match &damaged {
            Some(text) => std::fs::write(&staged, text).expect("damaged"),
            None => std::fs::remove_file(&staged).expect("removed"),
        }
        let error = Warehouse::open(dir.path(), options()).await.map(drop).expect_err("refused");
        assert_eq!(error.code(), SqlState::DataCorrupted, "{error:?}");
    }
    std::fs::write(&staged, whole).expect("repaired");
    open(dir.path()).await;
}
