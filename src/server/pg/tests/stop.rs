//! Cancel, clients that go away, limits and the end of the server.

use super::super::errors::Failure;
use super::super::link::{Incoming, Link};
use super::super::output::Output;
use super::*;
use crate::error::Notice;
use crate::session::CancelHandle;
use futures::StreamExt;
use futures::pin_mut;
use std::pin::pin;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

const ENDLESS_ROWS: &str =
    "SELECT generate_series, repeat('x', 50) FROM generate_series(1, 2000000000)";
const ENDLESS_WORK: &str = "SELECT count(*) FROM generate_series(1, 2000000000000)";

#[tokio::test(flavor = "multi_thread")]
async fn cancel_while_rows_stream() {
    let server = Server::start().await;
    let client = server.connect().await;
    let none: [i32; 0] = [];
    let rows = client.query_raw(ENDLESS_ROWS, none).await.unwrap();
    pin_mut!(rows);
    for _ in 0..1000 {
        rows.next().await.unwrap().unwrap();
    }
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    let error = loop {
        if let Err(error) = rows.next().await.unwrap() {
            break error;
        }
    };
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::QUERY_CANCELED);
    assert_eq!(error.message(), "canceling statement due to user request");
    assert_eq!(client.query_one("SELECT 1::int", &[]).await.unwrap().get::<_, i32>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_before_the_first_row() {
    let server = Server::start().await;
    let client = server.connect().await;
    let token = client.cancel_token();
    let begun = Instant::now();
    let mut work = pin!(client.simple_query(ENDLESS_WORK));
    // A request that comes before the statement runs is not meant for it; so there may be more.
    let result = loop {
        match tokio::time::timeout(Duration::from_secs(1), &mut work).await {
            Ok(result) => break result,
            Err(_) => token.cancel_query(NoTls).await.unwrap(),
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    };
    assert_eq!(result.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.simple_query("SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_can_cancel() {
    let server = Server::start().await;
    let (mut raw, replies) = Raw::open(&server).await;
    let key = &replies.iter().find(|(kind, _)| *kind == b'K').unwrap().1;
    raw.send(&query(ENDLESS_ROWS)).await;
    assert_eq!(raw.next().await.unwrap().0, b'T');
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut other = Raw::socket(&server).await;
    let cancel = [&16_i32.to_be_bytes()[..], &80_877_102_i32.to_be_bytes(), key].concat();
    other.send(&cancel).await;
    assert!(other.next().await.is_none(), "a cancel request gets no answer");
    let replies = raw.until_ready().await;
    assert_eq!(error_field(&replies, b'C'), "57014");
    raw.send(&query("SELECT 1")).await;
    assert_eq!(kinds(&raw.until_ready().await), "TDCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_went_away_frees_its_place() {
    for sql in [ENDLESS_ROWS, ENDLESS_WORK, "COPY t FROM STDIN", "BEGIN"] {
        let server = Server::limited(Limits { max_connections: 1 }).await;
        let (mut raw, _) = Raw::open(&server).await;
        raw.create_table().await;
        raw.send(&query(sql)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let refused = server.try_connect().await.err().unwrap();
        assert_eq!(refused.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
        drop(raw);
        let begun = Instant::now();
        while server.try_connect().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "{sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_reach_a_client_that_has_said_goodbye() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&[query("SELECT 1"), message(b'X', b"")].concat()).await;
    raw.0.shutdown().await.unwrap();
    assert_eq!(kinds(&raw.until_ready().await), "TDCZ");
    assert!(raw.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_at_once() {
    let server = Server::limited(Limits { max_connections: 200 }).await;
    let clients: Vec<_> = futures::future::join_all((0..200).map(|_| server.try_connect())).await;
    let clients: Vec<_> = clients.into_iter().map(Result::unwrap).collect();
    let refused = server.try_connect().await.err().unwrap();
    assert_eq!(refused.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    let asked = clients.iter().enumerate().map(|(n, client)| async move {
        let statement = client.prepare_typed("SELECT $1::bigint", &[Type::INT8]).await.unwrap();
        let row = client.query_one(&statement, &[&(n as i64)]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), n as i64);
    });
    futures::future::join_all(asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_server_ends_sessions() {
    let server = Server::start().await;
    let (mut idle, _) = Raw::open(&server).await;
    let (mut busy, _) = Raw::open(&server).await;
    let (mut stuck, _) = Raw::open(&server).await;
    busy.send(&query(ENDLESS_WORK)).await;
    stuck.send(&query(ENDLESS_ROWS)).await;
    assert_eq!(stuck.next().await.unwrap().0, b'T');
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    server.shutdown.cancel();
    for raw in [&mut idle, &mut busy] {
        let mut replies = Vec::new();
        while let Some(reply) = raw.next().await {
            replies.push(reply);
        }
        assert_eq!(error_field(&replies, b'C'), "57P01");
        assert_eq!(error_field(&replies, b'V'), "FATAL");
    }
    // A client that reads nothing cannot hold the server up for longer than the grace.
    server.ended.await.unwrap();
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_the_error_of_its_statement() {
    let (pieces, mut sent) = mpsc::channel(1);
    let (_bursts, incoming) = mpsc::unbounded_channel();
    let (notice, notices) = mpsc::unbounded_channel();
    let mut link = Link {
        output: Output::new(pieces),
        incoming: Incoming::new(incoming),
        notices,
        cancel: CancelHandle::default(),
        shutdown: CancellationToken::new(),
    };
    notice.send(Notice::notice("on its way")).unwrap();
    let work = async {
        tokio::task::yield_now().await;
        panic!("on purpose: {}", 7)
    };
    let Err(Failure::Statement(error)) = link.drive::<()>(None, work).await else {
        panic!("an error of the statement");
    };
    assert_eq!(error.code().code(), "XX000");
    assert!(error.message().contains("on purpose: 7"));
    assert!(sent.recv().await.unwrap().starts_with(b"N"), "the notice did not wait");
    let done = link.drive(None, async { Ok(1) }).await;
    assert!(matches!(done, Ok(1)));
}
