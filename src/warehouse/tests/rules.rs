//! Rules of the design that need two servers or a failing disk to be seen: what each protects against,
//! done on purpose.

use super::cleaning::record;
use super::*;
use crate::sqlstate::SqlState;
use crate::store::TraceDisk;

/// Rule 2: a record that another server put but could not make durable is visible; who answers from
/// it makes it durable first.
#[tokio::test]
async fn who_answers_from_a_record_first_makes_it_durable() {
    let dir = folder();
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let traced = || Options { disk: disk.clone(), ..options() };
    let root = base.join("w");
    let dying = Warehouse::open(&root, traced()).await.expect("opens");
    let a = create(&dying, "a").await;
    let other = Warehouse::open(&root, traced()).await.expect("opens");
    // The first fsync is that of the record's content, the second that of its name.
    disk.fail_sync_after(1);
    let error = write(&dying, &a, insert("1")).await.expect_err("fsync failed");
    assert_eq!(error.code(), SqlState::TransactionResolutionUnknown);
    let seq = other.snapshot().await.expect("it sees the record").seq();
    assert_eq!(seq, 3);
    let image = folder();
    disk.power_cut(disk.calls(), image.path()).expect("image");
    let there = open(&image.path().join("w")).await;
    assert_eq!(there.snapshot().await.expect("snapshot").seq(), seq, "it was answered from");
}

/// Rule 2: a commit that was found published is made durable before a watermark says that it is.
#[tokio::test]
async fn a_watermark_rises_only_over_durable_commits() {
    let dir = folder();
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let traced = |checkpoint_every| Options { disk: disk.clone(), checkpoint_every, ..options() };
    let root = base.join("w");
    let dying = Warehouse::open(&root, traced(256)).await.expect("opens");
    let a = create(&dying, "a").await;
    // The record and its folder, the commit's content; then its folder fails.
    disk.fail_sync_after(3);
    let done = write(&dying, &a, insert("1")).await.expect("the record stands");
    assert_eq!(done.warnings.len(), 1, "{:?}", done.warnings);
    let other = Warehouse::open(&root, traced(1)).await.expect("opens");
    other.maintain().await.expect("a checkpoint");
    let image = folder();
    disk.power_cut(disk.calls(), image.path()).expect("image");
    let root = image.path().join("w");
    assert!(root.join("_cenote/checkpoint/00000000000000000003.json").exists());
    for seq in 1..=3 {
        std::fs::remove_file(record(&root, seq)).expect("the checkpoint says the same");
    }
    assert_eq!(files(&open(&root).await, &a).await, set(&["1"]));
    assert_eq!(published(&root, &a), (2, set(&["1"])));
}

/// Rule 3: a put that failed and did nothing is tried again, with the same bytes.
#[tokio::test]
async fn a_put_that_did_nothing_is_tried_again() {
    use crate::store::Fault;
    let dir = folder();
    let (warehouse, store) = held(dir.path()).await;
    let a = create(&warehouse, "a").await;
    store.arm(None);
    write(&warehouse, &a, insert("1")).await.expect("commits");
    let is_record = |operation: &String| operation.starts_with("put _cenote/log");
    let at = store.trace().iter().position(is_record).expect("a record was put");
    store.arm(Some((at as u64, Fault::Before)));
    write(&warehouse, &a, insert("2")).await.expect("commits at the second try");
    assert_eq!(store.trace().iter().filter(|o| is_record(o)).count(), 2);
    assert_eq!(files(&warehouse, &a).await, set(&["1", "2"]));
}

/// Rule 3: cancel and disconnect drop the future of a COMMIT, which goes on.
#[tokio::test]
async fn dropping_the_future_of_a_commit_does_not_stop_it() {
    let dir = folder();
    let (warehouse, store) = held(dir.path()).await;
    let a = create(&warehouse, "a").await;
    let gate = store.hold("_cenote/log");
    let txn = begin(&warehouse).await;
    txn.change(&a.id, insert("1")).expect("changes");
    {
        let committing = std::pin::pin!(commit(txn));
        tokio::select! {
            _ = committing => panic!("it is held"),
            () = gate.reached() => {}
        }
    }
    gate.open();
    // The next commit waits for the one before it.
    write(&warehouse, &a, insert("2")).await.expect("commits");
    assert_eq!(files(&warehouse, &a).await, set(&["1", "2"]));
}

/// Rule 7: who loses a key stamps the time anew, above that of the winner, in the record and in the bodies.
#[tokio::test]
async fn a_lost_put_is_stamped_anew() {
    let dir = folder();
    let (slow, store) = held(dir.path()).await;
    let a = create(&slow, "a").await;
    let gate = store.hold("_cenote/log");
    let txn = begin(&slow).await;
    txn.change(&a.id, insert("mine")).expect("changes");
    let committing = tokio::spawn(commit(txn));
    gate.reached().await;
    let ahead = Options { clock: Arc::new(ManualClock::new(NOW + 1_000_000)), ..options() };
    let other = Warehouse::open(dir.path(), ahead).await.expect("opens");
    write(&other, &a, insert("theirs")).await.expect("commits");
    gate.open();
    let done = committing.await.expect("ends").expect("commits behind it");
    assert_eq!((done.seq, done.time), (4, NOW + 1_000_001));
    let state = done.snapshot.table(&a.id).await.expect("loads");
    let tag = state.file("mine").expect("live").tag(TIME_TAG).map(str::to_owned);
    assert_eq!(tag, Some((NOW + 1_000_001).to_string()));
    let commit = dir.path().join(&a.path).join("_delta_log/00000000000000000002.json");
    let text = std::fs::read_to_string(commit).expect("published");
    assert!(text.contains("\"seq\":4") && text.contains("\"readVersion\":1"), "{text}");
}

/// Rule 10: whoever commits past the newest checkpoint by enough writes one, without being asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_lead_to_checkpoints() {
    assert_eq!(Options::default().checkpoint_every, 256);
    let dir = folder();
    // The log's alone: a table's would bring one of the log with it.
    let eager = Options { checkpoint_every: 4, table_checkpoint_every: 1_000_000, ..options() };
    let warehouse = Warehouse::open(dir.path(), eager).await.expect("opens");
    let a = create(&warehouse, "a").await;
    let written = || {
        let listed = std::fs::read_dir(dir.path().join("_cenote/checkpoint"));
        listed.map_or(0, |entries| entries.flatten().count())
    };
    let mut commits = 0;
    while written() == 0 {
        assert!(commits < 1000, "no checkpoint after {commits} commits");
        write(&warehouse, &a, insert(&commits.to_string())).await.expect("commits");
        commits += 1;
    }
    assert!(commits >= 2, "none is due before: {commits}");
}

/// Rule 10: a server that is far behind finds the head in few looks.
#[tokio::test]
async fn the_head_is_found_by_galloping() {
    let dir = folder();
    let (behind, store) = held(dir.path()).await;
    let a = create(&behind, "a").await;
    let other = open(dir.path()).await;
    for i in 0..150 {
        write(&other, &a, insert(&i.to_string())).await.expect("commits");
    }
    store.arm(None);
    assert_eq!(behind.snapshot().await.expect("follows").seq(), 152);
    let looks = store.trace().iter().filter(|o| o.starts_with("head _cenote/log")).count();
    assert!(looks <= 16, "{looks} looks for 150 records");
}
