//! Many clients at once, and many one after the other.

use crate::harness::raw::{Raw, query};
use crate::harness::{Server, generator, run};
use rand::Rng;
use std::time::Duration;

const CLIENTS: usize = 200;

/// Reads, writes and a transaction that is rolled back, among all others doing the same.
async fn work(mut raw: Raw, number: usize) {
    let sum =
        raw.value(&format!("SELECT sum(n + {number}) FROM generate_series(1, 1000) g(n)")).await;
    assert_eq!(sum, (500_500 + 1000 * number).to_string());
    let insert = format!("INSERT INTO shared VALUES ({number}, 'of {number}')");
    assert_eq!(raw.run(&insert).await.as_deref(), Ok("INSERT 0 1"));
    assert_eq!(raw.run("BEGIN").await.as_deref(), Ok("BEGIN"));
    let minus = format!("INSERT INTO shared VALUES (-{number} - 1, NULL)");
    assert_eq!(raw.run(&minus).await.as_deref(), Ok("INSERT 0 1"));
    let both = format!("SELECT count(*) FROM shared WHERE id IN ({number}, -{number} - 1)");
    assert_eq!(raw.value(&both).await, "2");
    assert_eq!(raw.run("ROLLBACK").await.as_deref(), Ok("ROLLBACK"));
    assert_eq!(raw.run("SELECT no_such_column FROM shared").await, Err("42703".to_owned()));
    assert_eq!(raw.value(&both).await, "1");
}

#[test]
fn two_hundred_clients_work_at_once() {
    let server = Server::fresh();
    run(async {
        let mut first = Raw::open(&server).await;
        let made = first.run("CREATE TABLE shared (id integer, word text)").await;
        assert_eq!(made.as_deref(), Ok("CREATE TABLE"));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Raw::open(&server).await);
        }
        let working = clients.into_iter().enumerate().map(|(n, raw)| tokio::spawn(work(raw, n)));
        for client in working.collect::<Vec<_>>() {
            client.await.expect("a client's work is done");
        }
        let all = "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || min(id) || ' ' || max(id) FROM shared";
        assert_eq!(first.value(all).await, "200 200 0 199");
    });
    server.stop();
}

fn open_files(server: &Server) -> usize {
    let path = format!("/proc/{}/fd", server.pid());
    std::fs::read_dir(path).expect("the server runs").count()
}

/// Leaves in a way that clients leave: in good order, in silence, in the middle of a result or a
/// transaction, without a word at all.
async fn come_and_go(server: &Server, way: u32) {
    if way == 0 {
        drop(Raw::silent(server).await);
        return;
    }
    let mut raw = Raw::open(server).await;
    match way {
        1 => raw.send(b"X\0\0\0\x04").await,
        2 => raw.send(&query("SELECT n FROM generate_series(1, 100000000) g(n)")).await,
        3 => {
            raw.send(&query("SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b"))
                .await;
        }
        4 => {
            assert_eq!(raw.run("BEGIN").await.as_deref(), Ok("BEGIN"));
            assert_eq!(raw.run("INSERT INTO t VALUES (1)").await.as_deref(), Ok("INSERT 0 1"));
        }
        5 => raw.send(&query("COPY t FROM STDIN")).await,
        _ => assert_eq!(raw.value("SELECT 1").await, "1"),
    }
}

#[test]
fn a_thousand_clients_come_and_go_and_leave_nothing() {
    let server = Server::fresh();
    run(async {
        let mut random = generator();
        let mut watcher = Raw::open(&server).await;
        let made = watcher.run("CREATE TABLE t (id integer)").await;
        assert_eq!(made.as_deref(), Ok("CREATE TABLE"));
        for _ in 0..50 {
            let batch = (0..20).map(|_| come_and_go(&server, random.random_range(0..8)));
            futures::future::join_all(batch.collect::<Vec<_>>()).await;
        }
        let mut left = String::new();
        for _ in 0..1200 {
            left = watcher.value("SELECT count(*) FROM pg_stat_activity").await;
            if left == "1" && open_files(&server) < 64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(left, "1", "sessions whose clients are gone");
        assert!(open_files(&server) < 64, "{} files are open", open_files(&server));
        assert_eq!(watcher.value("SELECT count(*) FROM t").await, "0");
    });
    server.stop();
}
