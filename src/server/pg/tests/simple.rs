//! The simple protocol.

use super::*;
use tokio_postgres::SimpleQueryMessage;

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_answer_in_turn() {
    let server = Server::start().await;
    let client = server.connect().await;
    let replies = client.simple_query("SELECT 1 AS a; SELECT 'x' AS b, NULL AS c").await.unwrap();
    let rows: Vec<_> = replies
        .iter()
        .filter_map(|reply| match reply {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [Some("1".to_owned()), Some("x".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_before_an_error_arrive_and_the_rest_does_not_run() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&query("SELECT 1; SELECT nothing_here; SELECT 3")).await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "TDCEZ");
    assert_eq!(error_field(&replies, b'C'), "42703");
    assert_eq!(error_field(&replies, b'S'), "ERROR");
    assert_eq!(error_field(&replies, b'V'), "ERROR");
    raw.send(&query("SELECT 4")).await;
    assert_eq!(kinds(&raw.until_ready().await), "TDCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_query_has_an_answer_of_its_own() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    for sql in ["", " ", ";"] {
        raw.send(&query(sql)).await;
        assert_eq!(kinds(&raw.until_ready().await), "IZ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_shows_where_the_transaction_stands() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    for (sql, status) in [
        ("SELECT 1", b'I'),
        ("BEGIN", b'T'),
        ("SELECT 1", b'T'),
        ("SELECT nothing_here", b'E'),
        ("SELECT 1", b'E'),
        ("ROLLBACK", b'I'),
    ] {
        raw.send(&query(sql)).await;
        let replies = raw.until_ready().await;
        assert_eq!(replies.last().unwrap().1, [status], "{sql}");
    }
}

/// The memory of a process tells something only where nothing else runs: in one of its own.
#[test]
fn a_large_result_streams_in_constant_memory() {
    let test = "server::pg::tests::simple::a_large_result_in_a_process_of_its_own";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && shown.contains("1 passed");
    assert!(passed, "{shown}\n{errors}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by a_large_result_streams_in_constant_memory"]
async fn a_large_result_in_a_process_of_its_own() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    let before = resident();
    // About 980 MiB on the wire.
    raw.send(&query("SELECT generate_series, repeat('x', 500) FROM generate_series(1, 2000000)"))
        .await;
    let first = tokio::time::timeout(PATIENCE, raw.0.peek(&mut [0])).await.unwrap();
    assert_eq!(first.unwrap(), 1, "the first row comes long before the last");
    // The server runs ahead of a client that does not read, but not far.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut buffer = vec![0; 1 << 20];
    let mut most = resident();
    let mut received = 0;
    while received < 960 << 20 {
        let read = tokio::time::timeout(PATIENCE, raw.0.read(&mut buffer)).await.unwrap().unwrap();
        let all = received + read;
        assert!(read > 0 && !(all < 1 << 10 && buffer[0] == b'E'), "no rows after {all} bytes");
        received = all;
        most = most.max(resident());
    }
    let grown = most.saturating_sub(before) >> 20;
    assert!(grown < 300, "the process grew by {grown} MiB while 960 MiB went out");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_a_key_are_sent_at_the_start() {
    let server = Server::start().await;
    let (_raw, replies) = Raw::open(&server).await;
    let shown = kinds(&replies);
    assert!(shown.starts_with("RS") && shown.ends_with("KZ"), "{shown}");
    let key = |replies: &[Reply]| {
        replies.iter().find(|(kind, _)| *kind == b'K').map(|(_, body)| body.len()).unwrap()
    };
    assert_eq!(key(&replies), 8);
    // Protocol 3.2 has long keys; a newer one is negotiated down.
    let (_raw, replies) = Raw::open_with(&server, 3 << 16 | 2, "").await;
    assert_eq!((kinds(&replies).starts_with('R'), key(&replies)), (true, 36));
    let (_raw, replies) = Raw::open_with(&server, 3 << 16 | 9999, "_pq_.future\0on\0").await;
    assert_eq!(replies[0].0, b'v');
    assert_eq!(replies[0].1, b"\0\x03\0\x02\0\0\0\x01_pq_.future\0");
    assert_eq!(key(&replies), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut raw = Raw::socket(&server).await;
    for code in [80_877_104_i32, 80_877_103] {
        raw.send(&[&8_i32.to_be_bytes()[..], &code.to_be_bytes()].concat()).await;
        assert_eq!(raw.0.read_u8().await.unwrap(), b'N');
    }
    raw.send(b"\0\0\0\x15\0\x03\0\0user\0cenote\0\0").await;
    assert_eq!(raw.until_ready().await.last().unwrap().1, b"I");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_both_ways() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&query("COPY (SELECT generate_series, 'a\tb' FROM generate_series(1, 3)) TO STDOUT"))
        .await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "HdddcCZ");
    let rows: Vec<u8> = replies.iter().filter(|r| r.0 == b'd').flat_map(|r| r.1.clone()).collect();
    assert_eq!(rows, b"1\ta\\tb\n2\ta\\tb\n3\ta\\tb\n");
    assert_eq!(replies[replies.len() - 2].1, b"COPY 3\0");

    raw.create_table().await;
    raw.send(&query("COPY t FROM STDIN")).await;
    assert_eq!(raw.next().await.unwrap().0, b'G');
    raw.send(&[message(b'd', b"1\t2\n"), message(b'd', b"3\t4\n"), message(b'c', b"")].concat())
        .await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "CZ");
    assert_eq!(replies[0].1, b"COPY 2\0");

    raw.send(&query("COPY (SELECT b, a FROM t ORDER BY b) TO STDOUT")).await;
    let replies = raw.until_ready().await;
    let rows: Vec<u8> = replies.iter().filter(|r| r.0 == b'd').flat_map(|r| r.1.clone()).collect();
    assert_eq!(rows, b"2\t1\n4\t3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_that_fails_leaves_a_usable_session() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.create_table().await;
    let done = [message(b'd', b"5\t6\n"), message(b'c', b"")].concat();
    for (bytes, code, text) in [
        (message(b'f', b"no more\0"), "57014", "COPY from stdin failed: no more"),
        ([message(b'd', b"bad\n"), done].concat(), "22P04", "missing data for column \"b\""),
        (query("SELECT 1"), "08P01", "unexpected message type during COPY from stdin"),
    ] {
        raw.send(&query("COPY t FROM STDIN")).await;
        assert_eq!(raw.next().await.unwrap().0, b'G');
        raw.send(&bytes).await;
        let replies = raw.until_ready().await;
        assert_eq!(kinds(&replies), "EZ");
        assert_eq!(error_field(&replies, b'C'), code);
        assert_eq!(error_field(&replies, b'M'), text);
    }
    raw.send(&query("SELECT * FROM t")).await;
    assert_eq!(kinds(&raw.until_ready().await), "TCZ", "nothing was inserted");
}
