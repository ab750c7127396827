//! Cost stays flat. The bounds are loose, for a busy machine and a debug build; the numbers are printed.

use super::*;
use std::time::{Duration, Instant};

/// The time that one in ten beat: a busy neighbour spoils medians.
fn good(part: &[Duration]) -> Duration {
    let mut part = part.to_vec();
    part.sort();
    part[part.len() / 10]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_many_commits_costs_what_the_first_did() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    files(&warehouse, &a).await;
    let mut times: Vec<Duration> = Vec::new();
    for i in 0..700 {
        let start = Instant::now();
        let txn = begin(&warehouse).await;
        txn.table(&a.id).await.expect("loads");
        txn.change(&a.id, insert(&format!("f{i}"))).expect("changes");
        commit(txn).await.expect("commits");
        times.push(start.elapsed());
    }
    let (first, last) = (good(&times[20..120]), good(&times[600..]));
    println!("a commit: {first:?} at first, {last:?} after 600");
    assert!(last < first * 3 + Duration::from_millis(2), "{first:?} became {last:?}");

    let start = Instant::now();
    for _ in 0..100 {
        warehouse.snapshot().await.expect("snapshot");
    }
    println!("a snapshot: {:?}", start.elapsed() / 100);
    warehouse.maintain().await.expect("maintains");
    drop(warehouse);
    let start = Instant::now();
    let warehouse = open(dir.path()).await;
    assert_eq!(files(&warehouse, &a).await.len(), 700);
    println!("opened, first answer after {:?}", start.elapsed());
}

/// Run it alone: `cargo test --release --lib a_large_warehouse -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute"]
async fn a_large_warehouse_opens_within_a_second() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let txn = begin(&warehouse).await;
    let tables: Vec<Table> = (0..200).map(|i| table(&format!("t{i}"))).collect();
    for table in &tables {
        txn.create_table(table.clone()).expect("a new table");
    }
    commit(txn).await.expect("commits");
    for i in 0..3000 {
        write(&warehouse, &tables[i % 200], insert(&format!("f{i}"))).await.expect("commits");
    }
    drop(warehouse);
    let start = Instant::now();
    let warehouse = open(dir.path()).await;
    println!("opened in {:?}", start.elapsed());
    assert_eq!(files(&warehouse, &tables[7]).await.len(), 15);
    println!("first answer after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(1));
}
