//! Clients that break off, lie about lengths and send noise: they lose their connection and nobody else anything.

use crate::harness::raw::{Raw, extended, message, outcome, query, startup};
use crate::harness::{Server, generator, run};
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use std::time::Duration;

/// A session's messages from the first to the last: both protocols, and COPY.
fn conversation() -> Vec<Vec<u8>> {
    let sync = message(b'S', b"");
    vec![
        startup(),
        query("INSERT INTO t VALUES (1, 'one'); SELECT * FROM t LIMIT 2"),
        message(b'P', b"s\0SELECT $1::int + $2\0\0\x02\0\0\0\x17\0\0\0\0"),
        message(b'D', b"Ss\0"),
        message(b'B', b"p\0s\0\0\0\0\x02\0\0\0\x011\0\0\0\x012\0\x01\0\x01"),
        message(b'D', b"Pp\0"),
        message(b'E', b"p\0\0\0\0\x01"),
        message(b'H', b""),
        sync.clone(),
        extended("SELECT n FROM generate_series(1, 10) AS g(n)", 3),
        sync,
        query("COPY t FROM STDIN"),
        message(b'd', b"2\ttwo\n3\tth"),
        message(b'd', b"ree\n"),
        message(b'c', b""),
        query("COPY t TO STDOUT"),
        message(b'X', b""),
    ]
}

/// The sessions of the server, the asking one among them, come down to a number.
async fn sessions_come_down_to(watcher: &mut Raw, wanted: &str) {
    for _ in 0..1200 {
        if watcher.value("SELECT count(*) FROM pg_stat_activity").await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("sessions of clients that are gone go on");
}

/// Nothing panicked, and a session that was there before is as it was.
async fn unharmed(server: &Server, watcher: &mut Raw) {
    assert_eq!(watcher.value("SELECT 1 + 1").await, "2");
    sessions_come_down_to(watcher, "1").await;
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}

async fn watcher_with_table(server: &Server) -> Raw {
    let mut watcher = Raw::open(server).await;
    let made = watcher.run("CREATE TABLE t (id integer, word text)").await;
    assert_eq!(made.as_deref(), Ok("CREATE TABLE"));
    watcher
}

#[test]
fn a_client_may_break_off_at_every_byte() {
    let server = Server::fresh();
    run(async {
        let mut watcher = watcher_with_table(&server).await;
        let bytes = conversation().concat();
        for end in 0..bytes.len() {
            let mut raw = Raw::silent(&server).await;
            raw.send(&bytes[..end]).await;
        }
        unharmed(&server, &mut watcher).await;
        // Cut in the middle of a COPY there is no row of it, so that they come in pairs.
        let halves =
            "SELECT count(*) FILTER (WHERE id = 2) - count(*) FILTER (WHERE id = 3) FROM t";
        assert_eq!(watcher.value(halves).await, "0");
    });
    server.stop();
}

#[test]
fn messages_with_wrong_bytes_harm_nobody() {
    let server = Server::fresh();
    run(async {
        let mut random = generator();
        let mut watcher = watcher_with_table(&server).await;
        for _ in 0..400 {
            let mut raw = Raw::silent(&server).await;
            let mut messages = conversation();
            // The startup is wrong in one round of eight; else hardly anything would get further.
            let from = usize::from(random.random_range(0..8) != 0);
            for _ in 0..random.random_range(1..6) {
                let chosen = random.random_range(from..messages.len());
                damage(&mut messages[chosen], &mut random);
            }
            raw.send(&messages.concat()).await;
            // It may wait for the rest of a message for ever: no more comes.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut raw.socket).await;
            while raw.next().await.is_some() {}
        }
        unharmed(&server, &mut watcher).await;
    });
    server.stop();
}

fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.random()),
        2 => random.fill_bytes(&mut bytes[at..]),
        3 if bytes.len() > 5 => bytes[1..5].copy_from_slice(&random.random::<[u8; 4]>()),
        4 => bytes[0] = random.random(),
        _ => bytes[at] ^= 1 << random.random_range(0..8),
    }
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let server = Server::fresh();
    run(async {
        let mut watcher = watcher_with_table(&server).await;
        let before = server.memory_mib("VmRSS");
        let mut waiting = Vec::new();
        for round in 0..64 {
            let mut raw = Raw::open(&server).await;
            let kind = [b'Q', b'P', b'B', b'd'][round % 4];
            // Almost 1 GiB is promised, and three bytes come.
            raw.send(&[kind, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3]).await;
            waiting.push(raw);
        }
        for promise in [0x4000_0000_u32, u32::MAX, 3, 0] {
            let mut raw = Raw::open(&server).await;
            raw.send(&[&b"Q"[..], &promise.to_be_bytes()].concat()).await;
            let (kind, body) = raw.next().await.expect("an error");
            let code = outcome(&[(kind, body)]);
            assert_eq!(code, Err("08P01".to_owned()), "{promise}");
            assert!(raw.next().await.is_none());
        }
        let mut raw = Raw::open(&server).await;
        raw.send(&message(b'B', b"\0\0\0\0\xff\xff\x7f\xff\xff\xff")).await;
        raw.send(&message(b'S', b"")).await;
        assert_eq!(outcome(&raw.until_ready().await), Err("08P01".to_owned()));
        assert_eq!(raw.value("SELECT 7").await, "7");
        drop(raw);

        let grown = server.memory_mib("VmRSS").saturating_sub(before);
        assert!(grown < 64, "the server grew by {grown} MiB");
        drop(waiting);
        unharmed(&server, &mut watcher).await;
    });
    server.stop();
}

/// Pieces of COPY data, fine and less so.
fn copy_noise(random: &mut StdRng) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"7\tseven\n",
        b"8\t\\N\n",
        b"9\tni",
        b"ne\n",
        b"\\.\n",
        b"x",
        b"\t",
        b"\\",
        b"\xff",
        b"\0",
        b"\r",
        b"99999999999\tbig\n",
    ];
    (0..random.random_range(0..6))
        .flat_map(|_| PIECES[random.random_range(0..PIECES.len())].to_vec())
        .collect()
}

#[test]
fn noise_in_a_copy_is_all_or_nothing() {
    let server = Server::fresh();
    run(async {
        let mut random = generator();
        let mut watcher = watcher_with_table(&server).await;
        let mut raw = Raw::open(&server).await;
        let mut expected = 0;
        for _ in 0..300 {
            raw.send(&query("COPY t FROM STDIN")).await;
            for _ in 0..random.random_range(0..4) {
                raw.send(&message(b'd', &copy_noise(&mut random))).await;
            }
            let end = match random.random_range(0..6) {
                0 => message(b'f', b"enough\0"),
                1 => message(b'f', b"no end"),
                2 => query("SELECT 1"),
                _ => message(b'c', b""),
            };
            raw.send(&end).await;
            let ended = outcome(&raw.until_ready().await);
            if let Ok(tag) = &ended {
                let rows = tag.strip_prefix("COPY ").and_then(|n| n.parse::<u64>().ok());
                expected += rows.unwrap_or_else(|| panic!("{tag}"));
            }
            // A query in the place of the end may be answered too, where the COPY had failed before.
            raw.send(&query("SELECT 'still here'")).await;
            loop {
                let (kind, body) = raw.next().await.expect("the session goes on");
                if kind == b'D' && body.ends_with(b"still here") {
                    raw.until_ready().await;
                    break;
                }
            }
        }
        assert_eq!(watcher.value("SELECT count(*) FROM t").await, expected.to_string());
        drop(raw);
        unharmed(&server, &mut watcher).await;
    });
    server.stop();
}
