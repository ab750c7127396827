//! A client that stops reading holds up nobody but itself.

use crate::harness::raw::{Raw, cancel, extended, message, outcome, query};
use crate::harness::{Server, run};
use std::time::Duration;

/// Far more than the buffers between two sockets hold; a batch of it is about 1 MiB.
const LONG: &str =
    "SELECT n, repeat('x', 100) FROM generate_series(1::bigint, 1000000000000) AS g(n)";

/// Starts a long result, reads its first byte and then no more.
async fn stall(server: &Server, messages: &[u8]) -> Raw {
    let mut raw = Raw::open(server).await;
    raw.send(messages).await;
    raw.socket.peek(&mut [0]).await.expect("a first byte");
    raw
}

/// Waits until nothing moves any more: the server has filled all buffers, or it would grow for ever.
async fn memory_settles(server: &Server) -> u64 {
    let mut last = 0;
    let mut same = 0;
    for _ in 0..600 {
        let now = server.memory_mib("VmRSS");
        same = if now <= last + 1 { same + 1 } else { 0 };
        last = now;
        if same == 10 {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server's memory grows without end: {last} MiB");
}

#[test]
fn stalled_readers_cost_little_and_stop_nobody() {
    let server = Server::fresh();
    run(async {
        let mut other = Raw::open(&server).await;
        assert_eq!(other.value("SELECT count(*) FROM generate_series(1, 100000)").await, "100000");
        let before = server.memory_mib("VmRSS");
        let copy = query(&format!("COPY ({LONG}) TO STDOUT"));
        let kinds = [query(LONG), copy, [extended(LONG, 0), message(b'S', b"")].concat()];
        let mut stalled = Vec::new();
        for round in 0..12 {
            stalled.push(stall(&server, &kinds[round % kinds.len()]).await);
        }
        let grown = memory_settles(&server).await.saturating_sub(before);
        // A handful of batches and what is encoded of one.
        assert!(grown < 12 * 16, "12 readers that do not read cost {grown} MiB");

        // Everybody else works as ever.
        for _ in 0..50 {
            assert_eq!(
                other.value("SELECT sum(n) FROM generate_series(1, 1000) g(n)").await,
                "500500"
            );
        }
        // A cancel is noticed though nobody reads, and the client finds the error at the end.
        for mut raw in stalled.drain(..6) {
            raw.cancel(&server).await;
            assert_eq!(outcome(&raw.until_ready().await), Err("57014".to_owned()));
            assert_eq!(raw.value("SELECT 'next'").await, "next");
        }
        // The others hang up in the middle.
        drop(stalled);
        for _ in 0..1200 {
            if other.value("SELECT count(*) FROM pg_stat_activity").await == "1" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("sessions of stalled clients that hung up go on");
    });
    server.stop();
}

/// A client that neither reads nor stops sending: the server stops reading too.
#[test]
fn a_client_that_only_sends_is_held_back() {
    let server = Server::fresh();
    run(async {
        let mut other = Raw::open(&server).await;
        assert_eq!(other.value("SELECT 1").await, "1");
        let before = server.memory_mib("VmRSS");
        let mut raw = Raw::open(&server).await;
        let asked = query("SELECT repeat('y', 10000)").repeat(100);
        let mut sent = 0_u64;
        // What cannot be sent any more, for the server does not take it, ends the loop.
        while sent < 256 << 20 {
            let piece = tokio::time::timeout(Duration::from_secs(2), raw.send(&asked)).await;
            if piece.is_err() {
                break;
            }
            sent += asked.len() as u64;
        }
        assert!(
            sent < 256 << 20,
            "{sent} bytes of questions were taken without an answer being read"
        );
        let grown = server.memory_mib("VmRSS").saturating_sub(before);
        assert!(grown < 64, "the server grew by {grown} MiB");
        assert_eq!(other.value("SELECT 2").await, "2");
        cancel(&server, &raw.key()).await;
        drop(raw);
    });
    server.stop();
}
