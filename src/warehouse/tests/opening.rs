//! What opening a folder refuses, and how it says so.

use super::*;
use crate::sqlstate::SqlState;

async fn refused(path: &FsPath, options: Options) -> Error {
    Warehouse::open(path, options).await.map(|_| ()).expect_err("refused")
}

#[tokio::test]
async fn a_missing_folder_is_created_only_if_asked() {
    let dir = folder();
    let path = dir.path().join("deep/er");
    let error = refused(&path, Options { create: false, ..options() }).await;
    assert_eq!(error.code(), SqlState::UndefinedFile);
    assert!(!path.exists());
    let warehouse = open(&path).await;
    assert_eq!(warehouse.root(), path.canonicalize().expect("path"));
    drop(warehouse);
    Warehouse::open(&path, Options { create: false, ..options() }).await.expect("it is there now");
}

#[tokio::test]
async fn an_empty_folder_is_no_warehouse_unless_one_may_be_created() {
    let dir = folder();
    let error = refused(dir.path(), Options { create: false, ..options() }).await;
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
    assert!(error.get_hint().is_some());
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left there");
}

#[tokio::test]
async fn a_folder_with_other_things_in_it_is_left_alone() {
    let dir = folder();
    std::fs::write(dir.path().join("thesis.tex"), "…").expect("written");
    let error = refused(dir.path(), options()).await;
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
    assert!(error.get_detail().is_some_and(|d| d.contains("thesis.tex")));
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    let error = refused(&dir.path().join("thesis.tex"), options()).await;
    assert_eq!(error.code(), SqlState::IoError);
}

#[tokio::test]
async fn a_lost_record_is_not_the_end_of_the_log() {
    let dir = folder();
    {
        let warehouse = open(dir.path()).await;
        let a = create(&warehouse, "a").await;
        for name in 1..=19 {
            write(&warehouse, &a, insert(&name.to_string())).await.expect("commits");
        }
    }
    for seq in 1..=20 {
        let path = dir.path().join(format!("_cenote/log/{seq:020}.json"));
        let record = std::fs::read(&path).expect("the record");
        std::fs::remove_file(&path).expect("removed");
        let error = refused(dir.path(), options()).await;
        assert_eq!(error.code(), SqlState::DataCorrupted, "{seq}");
        assert_eq!(error.message(), format!("record {seq} of the warehouse log is missing"));
        assert!(!path.exists(), "nothing is written in the place of record {seq}");
        std::fs::write(&path, record).expect("put back");
    }
    assert_eq!(open(dir.path()).await.snapshot().await.expect("snapshot").seq(), 21);
}

#[tokio::test]
async fn a_torn_last_record_is_recognised_and_never_taken_for_nothing() {
    let dir = folder();
    {
        let warehouse = open(dir.path()).await;
        create(&warehouse, "a").await;
    }
    let last = dir.path().join("_cenote/log/00000000000000000002.json");
    let whole = std::fs::read(&last).expect("the record");
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&last, &whole[..length]).expect("torn");
        let error = refused(dir.path(), options()).await;
        assert_eq!(error.code(), SqlState::DataCorrupted, "{length} bytes left");
        assert!(error.get_hint().is_some_and(|h| h.contains("cenote doctor")));
    }
    std::fs::write(&last, &whole).expect("repaired");
    open(dir.path()).await;
}

#[tokio::test]
async fn a_record_of_another_warehouse_is_refused() {
    let (one, two) = (folder(), folder());
    let first = open(one.path()).await;
    create(&first, "a").await;
    open(two.path()).await;
    let name = "_cenote/log/00000000000000000002.json";
    std::fs::copy(one.path().join(name), two.path().join(name)).expect("copied");
    let error = refused(two.path(), options()).await;
    assert_eq!(error.code(), SqlState::DataCorrupted);
}

#[tokio::test]
async fn a_floor_above_the_next_key_is_noticed() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    let txn = begin(&warehouse).await;
    txn.change(&a.id, insert("1")).expect("changes");
    std::fs::create_dir_all(dir.path().join("_cenote/floor")).expect("folder");
    std::fs::write(dir.path().join("_cenote/floor/9"), "").expect("floor");
    // No checkpoint says what lies at 9, so nothing may be answered from record 2.
    assert!(warehouse.snapshot().await.is_err());
    assert!(commit(txn).await.is_err());
    std::fs::remove_file(dir.path().join("_cenote/floor/9")).expect("gone");
    assert_eq!(warehouse.snapshot().await.expect("snapshot").seq(), 2);
}

#[tokio::test]
async fn a_whole_last_record_is_never_set_aside() {
    let dir = folder();
    create(&open(dir.path()).await, "a").await;
    let error = set_torn_record_aside(dir.path()).await.map(drop).expect_err("refused");
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
    assert_eq!(open(dir.path()).await.snapshot().await.expect("snapshot").seq(), 2);
}
