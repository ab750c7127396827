//! Tests of the durable store over a real folder, with faults of the disk and power cuts.

use super::*;
use crate::store::{OsDisk, TraceDisk};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn open(root: &FsPath) -> DurableStore {
    DurableStore::open(root, true, Arc::new(OsDisk)).expect("a folder opens")
}

async fn text(store: &dyn ObjectStore, path: &str) -> String {
    let bytes = store.get(&Path::from(path)).await.expect("found").bytes().await.expect("read");
    String::from_utf8(bytes.to_vec()).expect("utf-8")
}

#[tokio::test]
async fn create_lets_the_first_win_and_overwrite_replaces() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    let path = Path::from("a/b/c.json");
    store.put_opts(&path, "one".into(), PutMode::Create.into()).await.expect("first");
    let second = store.put_opts(&path, "two".into(), PutMode::Create.into()).await;
    assert!(matches!(second, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(text(&store, "a/b/c.json").await, "one");
    store.put(&path, "three".into()).await.expect("overwrites");
    assert_eq!(text(&store, "a/b/c.json").await, "three");
}

#[tokio::test]
async fn multipart_parts_land_at_their_places_and_scratch_is_never_listed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    let path = Path::from("t/large.parquet");
    let mut upload = store.put_multipart(&path).await.expect("starts");
    let (first, second) = (upload.put_part("hello ".into()), upload.put_part("world".into()));
    second.await.expect("second part first");
    first.await.expect("first part");
    let listed: Vec<_> = store.list(None).try_collect().await.expect("lists");
    assert!(listed.is_empty(), "nothing is visible before the end: {listed:?}");
    upload.complete().await.expect("completes");
    assert_eq!(text(&store, "t/large.parquet").await, "hello world");
    drop(store.put_multipart(&path).await.expect("starts"));
    let left = std::fs::read_dir(dir.path().join(SCRATCH_FOLDER)).expect("scratch").flatten();
    for folder in left.filter(|e| e.path().is_dir()) {
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
    }
}

#[tokio::test]
async fn scratch_of_a_dead_owner_is_swept_and_of_a_living_one_is_kept() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dead = dir.path().join(SCRATCH_FOLDER).join("0badcafe");
    std::fs::create_dir_all(&dead).expect("folder");
    std::fs::write(dead.join("7"), "left over").expect("file");
    std::fs::write(dead.with_extension("lock"), "").expect("lock");
    let living = open(dir.path());
    assert!(!dead.exists());
    let mut upload = living.put_multipart(&Path::from("x")).await.expect("starts");
    upload.put_part("x".into()).await.expect("writes");
    let _other = open(dir.path());
    upload.complete().await.expect("its scratch file is still there");
}

#[tokio::test]
async fn a_failed_fsync_ends_all_writing_but_not_reading() {
    let dir = tempfile::tempdir().expect("temp dir");
    let disk = Arc::new(TraceDisk::new(dir.path()));
    let store = DurableStore::open(dir.path(), false, disk.clone()).expect("opens");
    store.put(&Path::from("a"), "a".into()).await.expect("writes");
    disk.fail_sync_after(0);
    let failed = Error::from(store.put(&Path::from("b"), "b".into()).await.expect_err("fails"));
    assert_eq!(failed.code(), SqlState::IoError);
    let later = Error::from(store.put(&Path::from("c"), "c".into()).await.expect_err("refused"));
    assert!(later.message().contains("writes no more"), "{later}");
    let gone = Error::from(store.delete(&Path::from("a")).await.expect_err("refused"));
    assert!(gone.message().contains("writes no more"), "{gone}");
    assert_eq!(text(&store, "a").await, "a");
}

/// Another process may have made a folder a moment ago, and gone before it made the name durable.
#[tokio::test]
async fn a_folder_that_exists_is_not_taken_for_durable() {
    let dir = tempfile::tempdir().expect("temp dir");
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let dying = DurableStore::open(&base, false, disk.clone()).expect("opens");
    let other = DurableStore::open(&base, false, disk.clone()).expect("opens");
    // The file's content is synced, then the root that got a new folder.
    disk.fail_sync_after(1);
    dying.put(&Path::from("t/x"), "x".into()).await.expect_err("fsync failed");
    assert!(base.join("t").is_dir());
    other.put(&Path::from("t/y"), "y".into()).await.expect("written");
    let image = tempfile::tempdir().expect("temp dir");
    disk.power_cut(disk.calls(), image.path()).expect("image");
    let content = std::fs::read_to_string(image.path().join("t/y")).ok();
    assert_eq!(content.as_deref(), Some("y"), "it was acknowledged");
}

#[tokio::test]
async fn what_was_put_survives_a_power_cut_at_any_later_call() {
    let dir = tempfile::tempdir().expect("temp dir");
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let store = DurableStore::open(&base.join("new/root"), true, disk.clone()).expect("opens");
    let mut done = Vec::new();
    for name in ["log/1", "log/2", "t/x/data"] {
        store.put_opts(&Path::from(name), name.into(), PutMode::Create.into()).await.expect("put");
        done.push((name, disk.calls()));
    }
    // What need not survive may, each name and each content by chance.
    let mut random = StdRng::seed_from_u64(1);
    let lucks = [0.0, 1.0].into_iter().chain([0.5; 10]);
    for (cut, luck) in (0..=disk.calls()).flat_map(|cut| lucks.clone().map(move |l| (cut, l))) {
        let image = tempfile::tempdir().expect("temp dir");
        let mut survives = || random.random_bool(luck);
        disk.power_cut_with(cut, image.path(), &mut survives).expect("image");
        for (name, calls) in &done {
            let content = std::fs::read_to_string(image.path().join("new/root").join(name)).ok();
            match content {
                Some(content) => assert_eq!(content, *name, "a visible name has its content"),
                None => assert!(cut < *calls, "{name} was acknowledged at {calls}, cut at {cut}"),
            }
        }
    }
}

#[test]
fn a_root_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().expect("temp dir");
    let missing = dir.path().join("missing");
    let error = DurableStore::open(&missing, false, Arc::new(OsDisk)).expect_err("missing");
    assert_eq!(error.code(), SqlState::UndefinedFile);
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("file");
    let error = DurableStore::open(&file, true, Arc::new(OsDisk)).expect_err("a file");
    assert_eq!(error.code(), SqlState::IoError);
    assert!(error.message().contains("is not a folder"));
}
