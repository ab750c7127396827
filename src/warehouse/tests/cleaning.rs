//! Rule 1: clean-up never reopens a key. What it would do is done by hand here, at the worst moments.

use super::*;
use crate::sqlstate::SqlState;
use crate::store::{Fault, TraceDisk};

pub(super) fn record(root: &FsPath, seq: u64) -> std::path::PathBuf {
    root.join(format!("_cenote/log/{seq:020}.json"))
}

/// What clean-up does, by hand: a checkpoint at the head, a floor there, and no keys below it.
async fn clean_up(root: &FsPath) -> u64 {
    let eager = Options { checkpoint_every: 1, ..options() };
    let warehouse = Warehouse::open(root, eager).await.expect("opens");
    warehouse.maintain().await.expect("a checkpoint");
    let head = warehouse.snapshot().await.expect("snapshot").seq();
    assert!(root.join(format!("_cenote/checkpoint/{head:020}.json")).exists());
    std::fs::create_dir_all(root.join("_cenote/floor")).expect("folder");
    std::fs::write(root.join(format!("_cenote/floor/{head}")), "").expect("floor");
    for seq in 1..head {
        let _ = std::fs::remove_file(record(root, seq));
    }
    head
}

/// Rule 1: a server that slept through a clean-up finds its next key absent, and must not believe it.
#[tokio::test]
async fn a_server_that_slept_through_a_clean_up_starts_over_from_the_checkpoint() {
    let dir = folder();
    let sleeper = open(dir.path()).await;
    let a = create(&sleeper, "a").await;
    let txn = begin(&sleeper).await;
    txn.change(&a.id, insert("mine")).expect("changes");
    let other = open(dir.path()).await;
    for name in ["1", "2", "3"] {
        write(&other, &a, insert(name)).await.expect("commits");
    }
    let head = clean_up(dir.path()).await;
    assert_eq!(head, 5);

    assert_eq!(sleeper.snapshot().await.expect("reloads").seq(), head);
    assert_eq!(files(&sleeper, &a).await, set(&["1", "2", "3"]));
    // Those that committed since are not known any more, so nothing can be checked against them.
    let error = commit(txn).await.expect_err("too old");
    assert_eq!(error.code(), SqlState::SerializationFailure);
    write(&sleeper, &a, insert("4")).await.expect("goes on");
    assert_eq!(published(dir.path(), &a), (5, set(&["1", "2", "3", "4"])));
    let error = sleeper.snapshot_at(3).await.expect_err("cleaned up");
    assert_eq!(error.get_hint(), Some("Snapshots 5 to 6 can be read."));
}

/// Rule 1: an own put that won a key which clean-up had emptied is no commit.
#[tokio::test]
async fn a_put_below_the_floor_is_no_commit() {
    let dir = folder();
    let (slow, store) = held(dir.path()).await;
    let a = create(&slow, "a").await;
    let gate = store.hold("_cenote/log");
    let txn = begin(&slow).await;
    let file = object_store::path::Path::from(format!("{}/mine", a.path));
    use object_store::ObjectStoreExt;
    slow.store().put(&file, "rows".into()).await.expect("written");
    txn.new_files().note(file);
    txn.change(&a.id, insert("mine")).expect("changes");
    let committing = tokio::spawn(commit(txn));
    gate.reached().await;
    let other = open(dir.path()).await;
    for name in ["1", "2", "3"] {
        write(&other, &a, insert(name)).await.expect("commits");
    }
    clean_up(dir.path()).await;
    gate.open();
    let error = committing.await.expect("ends").expect_err("its key means nothing");
    assert_eq!(error.code(), SqlState::TransactionResolutionUnknown);
    assert_eq!(files(&open(dir.path()).await, &a).await, set(&["1", "2", "3"]));
    // Whose outcome is not known may yet be committed: its files stay.
    assert!(dir.path().join(&a.path).join("mine").exists());
}

/// Rules 1 and 2: the same for records that are read after starting over from a checkpoint.
#[tokio::test]
async fn what_is_read_after_starting_over_is_durable() {
    let dir = folder();
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let traced = || Options { disk: disk.clone(), ..options() };
    let root = base.join("w");
    let sleeper = Warehouse::open(&root, traced()).await.expect("opens");
    let a = create(&sleeper, "a").await;
    let dying = Warehouse::open(&root, traced()).await.expect("opens");
    for name in ["1", "2"] {
        write(&dying, &a, insert(name)).await.expect("commits");
    }
    clean_up(&root).await;
    disk.fail_sync_after(1);
    write(&dying, &a, insert("3")).await.expect_err("fsync failed");
    assert_eq!(sleeper.snapshot().await.expect("reloads").seq(), 5);
    // What clean-up did went past this disk, so that the image holds all records that are durable.
    let image = folder();
    disk.power_cut(disk.calls(), image.path()).expect("image");
    let there = open(&image.path().join("w")).await;
    assert_eq!(there.snapshot().await.expect("snapshot").seq(), 5, "it was answered from");
}

/// Rule 1: floors are listed after a key was found, or was not: a clean-up may come in between.
#[tokio::test]
async fn a_clean_up_during_the_look_for_the_head_is_noticed() {
    // The first is found absent; the second ends the search for the head; the third was the head.
    for (verb, seq) in [("get", 3), ("head", 4), ("get", 5)] {
        let dir = folder();
        let (sleeper, store) = held(dir.path()).await;
        let a = create(&sleeper, "a").await;
        let other = open(dir.path()).await;
        for name in ["1", "2", "3"] {
            write(&other, &a, insert(name)).await.expect("commits");
        }
        let gate = store.hold_operation(&format!("{verb} _cenote/log/{seq:020}"));
        let looking = tokio::spawn(async move { (sleeper.snapshot().await, sleeper) });
        gate.reached().await;
        write(&other, &a, insert("4")).await.expect("commits");
        assert_eq!(clean_up(dir.path()).await, 6);
        gate.open();
        let (snapshot, sleeper) = looking.await.expect("ends");
        assert_eq!(snapshot.expect("starts over").seq(), 6, "{verb} {seq}");
        assert_eq!(files(&sleeper, &a).await, set(&["1", "2", "3", "4"]));
    }
}

/// Rule 1: a clean-up that comes while a server starts over makes it start over once more.
#[tokio::test]
async fn a_clean_up_during_a_start_from_a_checkpoint_is_noticed() {
    let dir = folder();
    let (sleeper, store) = held(dir.path()).await;
    let a = create(&sleeper, "a").await;
    let other = open(dir.path()).await;
    for name in ["1", "2"] {
        write(&other, &a, insert(name)).await.expect("commits");
    }
    assert_eq!(clean_up(dir.path()).await, 4);
    let gate = store.hold_operation("head _cenote/log/00000000000000000005");
    let looking = tokio::spawn(async move { (sleeper.snapshot().await, sleeper) });
    gate.reached().await;
    for name in ["3", "4"] {
        write(&other, &a, insert(name)).await.expect("commits");
    }
    assert_eq!(clean_up(dir.path()).await, 6);
    gate.open();
    let (snapshot, sleeper) = looking.await.expect("ends");
    assert_eq!(snapshot.expect("starts over").seq(), 6);
    assert_eq!(files(&sleeper, &a).await, set(&["1", "2", "3", "4"]));
}

/// Rule 1: where the checkpoints at a floor are damaged, an older one says less than was committed.
#[tokio::test]
async fn a_checkpoint_below_the_floor_is_not_the_head() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    for (name, head) in [("1", 3), ("2", 4), ("3", 5)] {
        write(&warehouse, &a, insert(name)).await.expect("commits");
        assert_eq!(clean_up(dir.path()).await, head);
    }
    drop(warehouse);
    let damage = |seq: u64| {
        let checkpoint = dir.path().join(format!("_cenote/checkpoint/{seq:020}.json"));
        std::fs::write(checkpoint, "").expect("damaged");
    };
    damage(5);
    assert_eq!(files(&open(dir.path()).await, &a).await, set(&["1", "2", "3"]), "record 5 is left");
    for (seq, left) in [(4, "that of 3"), (3, "none")] {
        damage(seq);
        let opened = Warehouse::open(dir.path(), options()).await.map(drop);
        let error = opened.expect_err(left);
        assert_eq!(error.code(), SqlState::DataCorrupted, "{left}: {error:?}");
        assert!(!record(dir.path(), 1).exists(), "{left}: no new warehouse begins there");
    }
}

/// Rule 1: nor is a put a commit while nobody can say where the floor is.
#[tokio::test]
async fn a_put_whose_floor_cannot_be_listed_is_no_commit_yet() {
    let dir = folder();
    let (warehouse, store) = held(dir.path()).await;
    let a = create(&warehouse, "a").await;
    store.arm(None);
    write(&warehouse, &a, insert("1")).await.expect("commits");
    let put = store.trace().iter().position(|o| o.starts_with("put _cenote/log"));
    // The record is there, but nothing after it succeeds: not the listing of the floors.
    store.arm(Some((put.expect("a record was put") as u64 + 1, Fault::DeadBefore)));
    let error = write(&warehouse, &a, insert("2")).await.expect_err("not acknowledged");
    assert_eq!(error.code(), SqlState::TransactionResolutionUnknown);
    assert!(record(dir.path(), 4).exists());
}
