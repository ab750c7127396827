//! Checkpoints of the log and of tables: faster, and never another truth.

use super::*;

fn often() -> Options {
    Options { checkpoint_every: 5, table_checkpoint_every: 10, ..options() }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    let warehouse = Warehouse::open(dir.path(), Options { checkpoint_every: 1, ..options() })
        .await
        .expect("opens");
    create(&warehouse, "b").await;
    let _ = warehouse.maintain().await;
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
