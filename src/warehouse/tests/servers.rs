//! Two servers on one folder: the log is the arbiter.

use super::*;
use crate::sqlstate::SqlState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[tokio::test]
async fn each_sees_what_the_other_committed() {
    let dir = folder();
    let (one, two) = (open(dir.path()).await, open(dir.path()).await);
    assert_eq!(one.id(), two.id());
    let a = create(&one, "a").await;
    for i in 0..10 {
        let writer = if i % 2 == 0 { &one } else { &two };
        write(writer, &a, insert(&format!("f{i}"))).await.expect("commits");
    }
    let expected: BTreeSet<String> = (0..10).map(|i| format!("f{i}")).collect();
    assert_eq!(files(&one, &a).await, expected);
    assert_eq!(files(&two, &a).await, expected);
    assert_eq!(published(dir.path(), &a), (11, expected));
    let txn = begin(&two).await;
    txn.change(&a.id, change("DELETE", vec![remove("f1")], reading("f1"))).expect("changes");
    write(&one, &a, change("DELETE", vec![remove("f1")], reading("f1"))).await.expect("commits");
    let error = commit(txn).await.expect_err("the other was faster");
    assert_eq!(error.code(), SqlState::SerializationFailure);
}

#[tokio::test]
async fn two_that_create_one_warehouse_share_it() {
    let dir = folder();
    let path = dir.path().join("new");
    let (one, two) =
        tokio::join!(Warehouse::open(&path, options()), Warehouse::open(&path, options()));
    let (one, two) = (one.expect("opens"), two.expect("opens"));
    assert_eq!(one.id(), two.id());
    assert_eq!(one.snapshot().await.expect("snapshot").seq(), 1);
}

/// Files move between two tables; every commit takes one from one table and gives it to the other,
/// so that at any snapshot the two hold all of them, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_files_between_tables_loses_and_doubles_none() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let dir = folder();
    let servers = [open(dir.path()).await, open(dir.path()).await];
    let (a, b) = (create(&servers[0], "a").await, create(&servers[0], "b").await);
    let all: Vec<String> = (0..12).map(|i| format!("f{i}")).collect();
    let adds = all.iter().map(|n| add(n)).collect();
    write(&servers[0], &a, change("WRITE", adds, ReadSet::Nothing)).await.expect("commits");
    let whole: BTreeSet<String> = all.into_iter().collect();

    let mut workers = Vec::new();
    for worker in 0..6_u64 {
        let server = servers[usize::try_from(worker % 2).expect("small")].clone();
        let (a, b) = (a.clone(), b.clone());
        let mut rng = StdRng::seed_from_u64(seed ^ worker);
        workers.push(tokio::spawn(async move {
            let (mut won, mut lost) = (0, 0);
            for _ in 0..15 {
                let txn = begin(&server).await;
                let (from, to) = if rng.random() { (&a, &b) } else { (&b, &a) };
                let here = paths(&txn.table(&from.id).await.expect("loads"));
                let there = paths(&txn.table(&to.id).await.expect("loads"));
                assert_eq!(here.len() + there.len(), 12, "one snapshot holds each once");
                let Some(name) = here.iter().nth(rng.random_range(0..12)) else { continue };
                let take = change("DELETE", vec![remove(name)], ReadSet::Nothing);
                txn.change(&from.id, take).expect("changes");
                txn.change(&to.id, insert(name)).expect("changes");
                match commit(txn).await {
                    Ok(done) => {
                        assert_eq!(done.warnings, []);
                        won += 1;
                    }
                    Err(e) => {
                        assert_eq!(e.code(), SqlState::SerializationFailure, "{e:?}");
                        lost += 1;
                    }
                }
            }
            (won, lost)
        }));
    }
    let mut total = (0, 0);
    for worker in workers {
        let (won, lost) = worker.await.expect("no worker panics");
        total = (total.0 + won, total.1 + lost);
    }
    println!("{} won, {} lost", total.0, total.1);
    for server in &servers {
        let (in_a, in_b) = (files(server, &a).await, files(server, &b).await);
        assert!(in_a.is_disjoint(&in_b));
        assert_eq!(&in_a | &in_b, whole);
        assert_eq!(published(dir.path(), &a).1, in_a);
        assert_eq!(published(dir.path(), &b).1, in_b);
    }
    let seq = servers[0].snapshot().await.expect("snapshot").seq();
    assert_eq!(seq, 4 + total.0, "one record for each that won");
}
