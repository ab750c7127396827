//! Clients that send nonsense.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts panics in the server's own files; a test of `link` panics on purpose, in a test file.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", std::panic::Location::file);
            if file.contains("server/pg/") && !file.contains("tests") {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(info);
        }));
    });
    &PANICS
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_does_no_harm() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let panics = count_panics();
    let server = Server::start().await;
    let valid = [
        query("SELECT 1"),
        parse("s", "SELECT $1::int"),
        bind("p", "s"),
        message(b'D', b"Ss\0"),
        execute("p", 1),
        message(b'C', b"Pp\0"),
        message(b'd', b"1\t2\n"),
        message(b'c', b""),
        message(b'f', b"no\0"),
        message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
        message(b'p', b"secret\0"),
        message(b'H', b""),
        sync(),
        query("COPY t FROM STDIN"),
    ];
    Raw::open(&server).await.0.create_table().await;
    for round in 0..150 {
        let mut raw =
            if round % 5 == 0 { Raw::socket(&server).await } else { Raw::open(&server).await.0 };
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(1..12) {
            let mut message = valid[random.random_range(0..valid.len())].clone();
            for _ in 0..random.random_range(0..3) {
                let at = random.random_range(0..message.len());
                message[at] = random.random();
            }
            bytes.extend(message);
        }
        if round % 7 == 0 {
            random.fill_bytes(&mut bytes);
        }
        // The server may hang up in the middle.
        let _ = raw.0.write_all(&bytes).await;
        let _ = tokio::time::timeout(Duration::from_millis(10), raw.0.read(&mut [0; 4096])).await;
    }
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&query("SELECT 1")).await;
    assert_eq!(kinds(&raw.until_ready().await), "TDCZ", "seed {seed}");
    assert_eq!(panics.load(Ordering::Relaxed), 0, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_told_and_hung_up_on() {
    let server = Server::start().await;
    for (bytes, code) in [
        (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "08P01"),
        (b"\0\0\0\x09\0\x02\0\0\0", "0A000"),
        (b"\0\0\0\x09\0\x03\0\0\0", "28000"),
        (b"\0\0\0\x1b\0\x03\0\0user\0a\0database\0b\0\0", "3D000"),
    ] {
        let mut raw = Raw::socket(&server).await;
        raw.send(bytes).await;
        let replies = [raw.next().await.expect("an error")];
        assert_eq!(error_field(&replies, b'C'), code);
        assert_eq!(error_field(&replies, b'V'), "FATAL");
        assert!(raw.next().await.is_none());
    }
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(b"?\0\0\0\x04").await;
    let replies = [raw.next().await.expect("an error")];
    assert_eq!(error_field(&replies, b'M'), "invalid frontend message type 63");
    assert_eq!(error_field(&replies, b'V'), "FATAL");
    assert!(raw.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_utf8_fails_its_statement_only() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&message(b'Q', b"SELECT '\xff'\0")).await;
    let replies = raw.until_ready().await;
    assert_eq!((kinds(&replies).as_str(), &error_field(&replies, b'C')[..]), ("EZ", "22021"));
    raw.send(&query("SELECT 1")).await;
    assert_eq!(kinds(&raw.until_ready().await), "TDCZ");
}
