//! The extended protocol.

use super::*;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, pin_mut};
use tokio_postgres::types::Type;

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_results_in_binary() {
    let server = Server::start().await;
    let client = server.connect().await;
    let sql = "SELECT $1::bigint + 1, $2::text || '!', $3::double precision";
    let types = [Type::INT8, Type::TEXT, Type::FLOAT8];
    let typed = client.prepare_typed(sql, &types).await.unwrap();
    for _ in 0..2 {
        let row = client.query_one(&typed, &[&41_i64, &"hey", &0.5_f64]).await.unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(2)), (42_i64, "hey!", 0.5));
    }
    let statement =
        client.prepare("SELECT generate_series AS n FROM generate_series(1, 10)").await.unwrap();
    assert_eq!(statement.columns()[0].name(), "n");
    assert_eq!(client.query(&statement, &[]).await.unwrap().len(), 10);
    let none: Option<&str> = None;
    let row = client.query_one("SELECT $1::text", &[&none]).await.unwrap();
    assert_eq!(row.get::<_, Option<&str>>(0), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_run_in_a_pipeline_up_to_sync() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    let one = [parse("", "SELECT 1"), bind("", ""), execute("", 0)].concat();
    raw.send(&[&one[..], &one, &one, &sync()].concat()).await;
    assert_eq!(kinds(&raw.until_ready().await), "12DC12DC12DCZ");
    // After an error everything up to Sync is passed over; what was done before is told.
    let bad = [parse("", "SELECT nothing_here"), bind("", ""), execute("", 0)].concat();
    raw.send(&[&one[..], &bad, &one, &query("SELECT 9"), &sync(), &one, &sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "12DCEZ");
    assert_eq!(error_field(&replies, b'C'), "42703");
    assert_eq!(kinds(&raw.until_ready().await), "12DCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_its_rows_in_parts() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&query("BEGIN")).await;
    raw.until_ready().await;
    let open = [
        parse("s", "SELECT generate_series FROM generate_series(1, 20000)"),
        bind("p", "s"),
        message(b'D', b"Pp\0"),
        execute("p", 2),
        sync(),
    ];
    raw.send(&open.concat()).await;
    assert_eq!(kinds(&raw.until_ready().await), "12TDDsZ");
    raw.send(&[execute("p", 3), execute("p", 1), sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "DDDsDsZ");
    assert!(replies.iter().any(|(kind, body)| *kind == b'D' && body.ends_with(b"\0\x016")));
    raw.send(&[execute("p", 0), execute("p", 0), sync()].concat()).await;
    let replies = raw.until_ready().await;
    let tags: Vec<_> = replies.iter().filter(|r| r.0 == b'C').map(|r| &r.1[..]).collect();
    assert_eq!(tags, [&b"SELECT 19994\0"[..], b"SELECT 0\0"]);
    // The end of the transaction is the end of its portals.
    raw.send(&query("COMMIT")).await;
    raw.until_ready().await;
    raw.send(&[execute("p", 0), sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(error_field(&replies, b'C'), "34000");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_exist_or_do_not() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    let good = [parse("s", "SELECT 1"), bind("p", "s")].concat();
    for (bytes, code, text) in [
        (
            [&good[..], &parse("s", "SELECT 2")].concat(),
            "42P05",
            "prepared statement \"s\" already exists",
        ),
        ([bind("p", "s"), bind("p", "s")].concat(), "42P03", "cursor \"p\" already exists"),
        (bind("", "none"), "26000", "prepared statement \"none\" does not exist"),
        (bind("", ""), "26000", "unnamed prepared statement does not exist"),
        (message(b'D', b"Pnone\0"), "34000", "portal \"none\" does not exist"),
        (execute("none", 0), "34000", "portal \"none\" does not exist"),
        (
            message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0"),
            "08P01",
            "bind message supplies 1 parameters, but prepared statement \"s\" requires 0",
        ),
        (
            message(b'B', b"\0s\0\0\0\0\0\0\x02\0\0\0\0"),
            "08P01",
            "bind message has 2 result formats but query has 1 columns",
        ),
        (message(b'B', b"\0s\0\0\0\0\0\0\x01\0\x07"), "22023", "unsupported format code: 7"),
        (
            parse("", "SELECT 1; SELECT 2"),
            "42601",
            "cannot insert multiple commands into a prepared statement",
        ),
    ] {
        raw.send(&[bytes, sync()].concat()).await;
        let replies = raw.until_ready().await;
        assert_eq!(error_field(&replies, b'M'), text);
        assert_eq!(error_field(&replies, b'C'), code);
    }
    // Closing what is not there is no error, and a closed name is free again.
    let close = [message(b'C', b"Ss\0"), message(b'C', b"Snone\0"), message(b'C', b"Pnone\0")];
    raw.send(&[&close.concat()[..], &parse("s", "SELECT 3"), &sync()].concat()).await;
    assert_eq!(kinds(&raw.until_ready().await), "3331Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_before_anything_runs() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    let parse_typed = message(b'P', b"s\0SELECT $1::bigint AS n\0\0\x01\0\0\0\x14");
    raw.send(&[parse_typed, message(b'D', b"Ss\0"), sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(kinds(&replies), "1tTZ");
    assert_eq!(replies[1].1, b"\0\x01\0\0\0\x14");
    // name, table 0, column 0, int8, 8 bytes, no modifier, text
    assert_eq!(replies[2].1, b"\0\x01n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0");
    raw.send(
        &[parse("", ""), bind("", ""), message(b'D', b"P\0"), execute("", 0), sync()].concat(),
    )
    .await;
    assert_eq!(kinds(&raw.until_ready().await), "12nIZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_sends_what_is_there() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.send(&[parse("", "SELECT 1"), message(b'H', b"")].concat()).await;
    assert_eq!(raw.next().await.unwrap().0, b'1');
    raw.send(&[bind("", ""), execute("", 0), sync()].concat()).await;
    assert_eq!(kinds(&raw.until_ready().await), "2DCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_in_the_extended_protocol() {
    let server = Server::start().await;
    let client = server.connect().await;
    client.simple_query("CREATE TABLE t (a text, b int)").await.unwrap();
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    pin_mut!(sink);
    for _ in 0..1000 {
        sink.send(Bytes::from_static(b"1\t2\n")).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1000);
    let row = client.query_one("SELECT count(*), sum(b) FROM t", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (1000_i64, 2000_i64));
    let sql =
        "COPY (SELECT generate_series FROM generate_series(1, 30000)) TO STDOUT (FORMAT binary)";
    let rows = client.copy_out(sql).await.unwrap();
    pin_mut!(rows);
    let mut bytes = 0;
    while let Some(piece) = rows.next().await {
        bytes += piece.unwrap().len();
    }
    assert_eq!(bytes, 19 + 30_000 * (2 + 4 + 4) + 2);
    assert_eq!(client.query_one("SELECT 1::int", &[]).await.unwrap().get::<_, i32>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn close_all_and_discard_all_end_what_the_protocol_has_opened() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    let code = |replies: &[Reply]| error_field(replies, b'C');
    let open =
        [parse("s", "SELECT generate_series FROM generate_series(1, 9)"), bind("p", "s")].concat();

    raw.send(&query("BEGIN")).await;
    raw.until_ready().await;
    raw.send(&[&open[..], &execute("p", 2), &sync()].concat()).await;
    assert_eq!(kinds(&raw.until_ready().await), "12DDsZ");
    raw.send(&query("CLOSE ALL")).await;
    assert_eq!(kinds(&raw.until_ready().await), "CZ");
    // The statement stays, its portal does not.
    raw.send(&[bind("q", "s"), execute("q", 1), execute("p", 1), sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!((kinds(&replies).as_str(), &code(&replies)[..]), ("2DsEZ", "34000"));
    raw.send(&query("ROLLBACK")).await;
    raw.until_ready().await;

    // By the extended protocol itself, in the middle of a group.
    let close = [parse("", "CLOSE ALL"), bind("", ""), execute("", 0)].concat();
    let messages = [bind("p", "s"), close, execute("p", 0), sync()];
    raw.send(&messages.concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!((kinds(&replies).as_str(), &code(&replies)[..]), ("212CEZ", "34000"));

    raw.send(&query("DISCARD ALL")).await;
    assert_eq!(kinds(&raw.until_ready().await), "CZ");
    raw.send(&[bind("p", "s"), sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!((kinds(&replies).as_str(), &code(&replies)[..]), ("EZ", "26000"));
}
