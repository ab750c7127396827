//! Cost stays flat. The bounds are loose, for a busy machine and a debug build; the numbers are printed.

use super::*;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_many_commits_costs_what_the_first_did() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let a = create(&warehouse, "a").await;
    files(&warehouse, &a).await;
    let mut times: Vec<Duration> = Vec::new();
    for i in 0..1200 {
        let start = Instant::now();
        let txn = begin(&warehouse).await;
        txn.table(&a.id).await.expect("loads");
        txn.change(&a.id, insert(&format!("f{i}"))).expect("changes");
        commit(txn).await.expect("commits");
        times.push(start.elapsed());
    }
    let median = |part: &[Duration]| {
        let mut part = part.to_vec();
        part.sort();
        part[part.len() / 2]
    };
    let (first, last) = (median(&times[20..220]), median(&times[1000..]));
    for part in times.chunks(100) {
        println!("{:?}", median(part));
    }
    println!("a commit: {first:?} at first, {last:?} after 1,000");
    assert!(last < first * 4 + Duration::from_millis(2), "{first:?} became {last:?}");

    warehouse.maintain().await.expect("maintains");
    drop(warehouse);
    let start = Instant::now();
    let warehouse = open(dir.path()).await;
    let opened = start.elapsed();
    assert_eq!(files(&warehouse, &a).await.len(), 1200);
    println!("opened in {opened:?}, first answer after {:?}", start.elapsed());
    assert!(opened < Duration::from_secs(5));
}
