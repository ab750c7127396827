//! COPY over the wire, in and out. Expected bytes are PostgreSQL 15's for the same statements.

use crate::harness::{Server, describe, run, sqlstate};
use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, Error};

async fn copy_in(client: &Client, statement: &str, pieces: &[&[u8]]) -> Result<u64, Error> {
    let sink = client.copy_in::<_, Bytes>(statement).await?;
    let mut sink = Box::pin(sink);
    for piece in pieces {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.as_mut().finish().await
}

async fn copy_out(client: &Client, statement: &str) -> String {
    let stream = client.copy_out(statement).await.unwrap_or_else(|e| panic!("{}", describe(&e)));
    let pieces: Vec<Bytes> = stream.try_collect().await.expect("the whole copy");
    String::from_utf8(pieces.concat()).expect("UTF-8")
}

#[test]
fn csv_and_text_come_in_and_go_out() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute("CREATE TABLE t (id integer, word text, amount numeric(8,2), day date)")
            .await
            .expect("CREATE TABLE");

        // Messages need not end where lines do.
        let pieces: [&[u8]; 3] = [
            b"id,word,amount,day\n1,\"a, \"\"b\"\"\",1.50,2026-01",
            b"-31\n2,,",
            b",\n3,\"\",0,2026-02-01\n",
        ];
        let rows = copy_in(&client, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", &pieces).await;
        assert_eq!(rows.expect("COPY FROM STDIN"), 3);

        let text: [&[u8]; 1] =
            [b"4\ttab\\there\\nline\t\\N\t2026-03-01\n5\tback\\\\slash\t-2.25\t\\N\n\\.\n"];
        assert_eq!(copy_in(&client, "COPY t FROM STDIN", &text).await.expect("COPY FROM STDIN"), 2);

        let csv = copy_out(
            &client,
            "COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)",
        )
        .await;
        assert_eq!(
            csv,
            "id,word,amount,day\n1,\"a, \"\"b\"\"\",1.50,2026-01-31\n2,,,\n3,\"\",0.00,2026-02-01\n\
             4,\"tab\there\nline\",,2026-03-01\n5,back\\slash,-2.25,\n"
        );
        let text = copy_out(&client, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await;
        assert_eq!(
            text,
            "1\ta, \"b\"\t1.50\t2026-01-31\n2\t\\N\t\\N\t\\N\n3\t\t0.00\t2026-02-01\n\
             4\ttab\\there\\nline\t\\N\t2026-03-01\n5\tback\\\\slash\t-2.25\t\\N\n"
        );
        let some = copy_out(&client, "COPY t (id) TO STDOUT WITH (FORMAT csv)").await;
        let mut ids: Vec<&str> = some.lines().collect();
        ids.sort_unstable();
        assert_eq!(ids, ["1", "2", "3", "4", "5"]);
        // A table of the past: after the first of the two COPYs.
        for past in ["COPY t@v1 TO STDOUT", "COPY t VERSION AS OF 1 TO STDOUT (FORMAT csv)"] {
            assert_eq!(copy_out(&client, past).await.lines().count(), 3, "{past}");
        }
    });
    server.stop();
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_data() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer, word text)").await.expect("CREATE TABLE");
        let pieces: [&[u8]; 1] = [b"\xef\xbb\xbfid,word\r\n1,one\r\n2,two\r\n"];
        let rows = copy_in(&client, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", &pieces).await;
        assert_eq!(rows.expect("COPY FROM STDIN"), 2);
        let row = client.query_one("SELECT sum(id), max(word) FROM t", &[]).await.expect("SELECT");
        assert_eq!(row.get::<_, i64>(0), 3);
        assert_eq!(row.get::<_, &str>(1), "two");
    });
    server.stop();
}

#[test]
fn a_bad_line_is_named_and_nothing_goes_in() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE t (id integer NOT NULL, amount integer, CONSTRAINT is_small CHECK (amount < 100))",
            )
            .await
            .expect("CREATE TABLE");
        let csv = "COPY t FROM STDIN WITH (FORMAT csv)";
        // The SQLSTATEs and places are PostgreSQL's.
        let cases: [(&[u8], &str, &[&str]); 6] = [
            (b"1,1\n2,two\n3,3\n", "22P02", &["line 2", "amount", "two"]),
            (b"1,1\n2\n", "22P04", &["line 2"]),
            (b"1,1\n2,2,2\n", "22P04", &["line 2"]),
            (b"1,1\n,2\n", "23502", &["id"]),
            (b"1,1\n2,100\n", "23514", &["is_small"]),
            (b"1,1\n3000000000,2\n", "22003", &["line 2", "id"]),
        ];
        for (data, code, words) in cases {
            let error = copy_in(&client, csv, &[data]).await.expect_err("a bad line");
            let said = describe(&error);
            assert!(said.starts_with(code), "expected {code}: {said}");
            for word in words {
                assert!(said.contains(word), "{word:?} is not in: {said}");
            }
        }
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 0);
    });
    server.stop();
}

#[test]
fn a_copy_that_the_client_gives_up_leaves_nothing() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer)").await.expect("CREATE TABLE");
        let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("COPY");
        let mut sink = Box::pin(sink);
        sink.send(Bytes::from_static(b"1\n2\n")).await.expect("two lines");
        drop(sink);
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 0);
    });
    server.stop();
}

#[test]
fn a_copy_is_part_of_its_transaction() {
    let server = Server::fresh();
    run(async {
        let mut client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer)").await.expect("CREATE TABLE");
        let transaction = client.transaction().await.expect("BEGIN");
        let sink = transaction.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("COPY");
        let mut sink = Box::pin(sink);
        sink.send(Bytes::from_static(b"1\n2\n")).await.expect("two lines");
        assert_eq!(sink.as_mut().finish().await.expect("two rows"), 2);
        let n: i64 =
            transaction.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 2);
        transaction.rollback().await.expect("ROLLBACK");
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 0);

        let unknown = client.copy_in::<_, Bytes>("COPY no_such_table FROM STDIN").await.map(|_| ());
        assert_eq!(sqlstate(unknown), "42P01");
    });
    server.stop();
}

#[test]
fn a_large_copy_comes_back_as_it_went_in() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer, word text)").await.expect("CREATE TABLE");
        let lines: String = (0..200_000).map(|n| format!("{n}\tword number {n}\n")).collect();
        let pieces: Vec<&[u8]> = lines.as_bytes().chunks(60_000).collect();
        assert_eq!(copy_in(&client, "COPY t FROM STDIN", &pieces).await.expect("COPY"), 200_000);
        let back = copy_out(&client, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await;
        assert!(back == lines, "200,000 lines differ");
    });
    server.stop();
}
