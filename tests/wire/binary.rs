//! Parameters and results in binary, and what Describe says of their types.

use crate::harness::{Server, run};
use std::time::{Duration, SystemTime};
use tokio_postgres::types::{FromSql, Type};

/// A value's bytes as they came over the wire.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

const CREATE: &str = "CREATE TABLE every_type (b boolean, s smallint, i integer, l bigint, r real,
    d double precision, n numeric(12,3), t text, v varchar(5), day date, ts timestamp, tz timestamptz,
    raw bytea, ints integer[], words text[])";

#[test]
fn describe_names_postgresqls_types() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute(CREATE).await.expect("CREATE TABLE");
        let statement = client.prepare("SELECT * FROM every_type").await.expect("PREPARE");
        let types: Vec<Type> = statement.columns().iter().map(|c| c.type_().clone()).collect();
        let expected = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::NUMERIC,
            Type::TEXT,
            Type::VARCHAR,
            Type::DATE,
            Type::TIMESTAMP,
            Type::TIMESTAMPTZ,
            Type::BYTEA,
            Type::INT4_ARRAY,
            Type::TEXT_ARRAY,
        ];
        assert_eq!(types, expected);

        // What PostgreSQL says of expressions.
        let statement = client
            .prepare(
                "SELECT count(*), sum(l), sum(i), avg(d), max(day), min(s), bool_and(b), sum(n), sum(r)
                 FROM every_type",
            )
            .await
            .expect("PREPARE");
        let types: Vec<Type> = statement.columns().iter().map(|c| c.type_().clone()).collect();
        let expected = [
            Type::INT8,
            Type::NUMERIC,
            Type::INT8,
            Type::FLOAT8,
            Type::DATE,
            Type::INT2,
            Type::BOOL,
            Type::NUMERIC,
            Type::FLOAT4,
        ];
        assert_eq!(types, expected);
        // A parameter that is cast in one place has that type in the others too.
        let statement = client.prepare("SELECT $1, $1::integer + 1").await.expect("PREPARE");
        assert_eq!(statement.params(), [Type::INT4]);
        let types: Vec<Type> = statement.columns().iter().map(|c| c.type_().clone()).collect();
        assert_eq!(types, [Type::INT4, Type::INT4]);
        let statement = client
            .prepare("SELECT row_number() OVER (ORDER BY i) FROM every_type")
            .await
            .expect("PREPARE");
        assert_eq!(*statement.columns()[0].type_(), Type::INT8);
    });
    server.stop();
}

#[test]
fn values_survive_the_round_trip() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute(CREATE).await.expect("CREATE TABLE");
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_772_323_199_123_456);
        let insert = "INSERT INTO every_type (b, s, i, l, r, d, t, v, ts, tz, raw, ints, words)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let words: Vec<Option<&str>> = vec![Some("a"), None, Some("Grüße, {世界}")];
        let written = client
            .execute(
                insert,
                &[
                    &true,
                    &i16::MIN,
                    &i32::MIN,
                    &i64::MAX,
                    &1.5f32,
                    &0.1f64,
                    &"it's \\ \"quoted\"",
                    &"abcde",
                    &at,
                    &at,
                    &&b"\x00\xff"[..],
                    &vec![1, -2, 3],
                    &words,
                ],
            )
            .await
            .expect("INSERT");
        assert_eq!(written, 1);

        let row = client.query_one("SELECT * FROM every_type", &[]).await.expect("SELECT");
        assert!(row.get::<_, bool>("b"));
        assert_eq!(row.get::<_, i16>("s"), i16::MIN);
        assert_eq!(row.get::<_, i32>("i"), i32::MIN);
        assert_eq!(row.get::<_, i64>("l"), i64::MAX);
        assert_eq!(row.get::<_, f32>("r"), 1.5);
        assert_eq!(row.get::<_, f64>("d"), 0.1);
        assert_eq!(row.get::<_, Option<Bytes>>("n"), None);
        assert_eq!(row.get::<_, &str>("t"), "it's \\ \"quoted\"");
        assert_eq!(row.get::<_, &str>("v"), "abcde");
        assert_eq!(row.get::<_, SystemTime>("ts"), at);
        assert_eq!(row.get::<_, SystemTime>("tz"), at);
        assert_eq!(row.get::<_, &[u8]>("raw"), b"\x00\xff");
        assert_eq!(row.get::<_, Vec<i32>>("ints"), [1, -2, 3]);
        assert_eq!(row.get::<_, Vec<Option<&str>>>("words"), words);

        // A filter takes the same parameters, and finds the row again.
        let found = client
            .query_one(
                "SELECT count(*) FROM every_type WHERE l = $1 AND t = $2 AND tz <= $3",
                &[&i64::MAX, &"it's \\ \"quoted\"", &at],
            )
            .await
            .expect("SELECT");
        assert_eq!(found.get::<_, i64>(0), 1);

        let nothing: Option<i32> = None;
        let row = client
            .query_one("SELECT $1::integer IS NULL, $1::integer", &[&nothing])
            .await
            .expect("SELECT");
        assert!(row.get::<_, bool>(0));
        assert_eq!(row.get::<_, Option<i32>>(1), None);
    });
    server.stop();
}

/// The binary forms as PostgreSQL's documentation of the protocol gives them, written out by hand.
#[test]
fn binary_values_are_postgresqls_bytes() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let row = client
            .query_one(
                "SELECT 12.34::numeric(10,2), -12345678.5::numeric(12,3), 0::numeric(4,2), DATE '2000-01-02',
                 DATE '1999-12-31', TIMESTAMP '2000-01-01 00:00:01', '2000-01-01 00:00:00+01'::timestamptz,
                 12345678901234567890.12::numeric(30,2), 0.0001::numeric(8,4)",
                &[],
            )
            .await
            .expect("SELECT");
        let numeric = |head: [i16; 4], digits: &[i16]| {
            let words = head.iter().chain(digits);
            Bytes(words.flat_map(|word| word.to_be_bytes()).collect())
        };
        // Number of digits, weight, sign, scale; then digits of base 10,000.
        assert_eq!(row.get::<_, Bytes>(0), numeric([2, 0, 0, 2], &[12, 3400]));
        assert_eq!(row.get::<_, Bytes>(1), numeric([3, 1, 0x4000, 3], &[1234, 5678, 5000]));
        assert_eq!(row.get::<_, Bytes>(2), numeric([0, 0, 0, 2], &[]));
        assert_eq!(row.get::<_, Bytes>(3), Bytes(1i32.to_be_bytes().to_vec()));
        assert_eq!(row.get::<_, Bytes>(4), Bytes((-1i32).to_be_bytes().to_vec()));
        assert_eq!(row.get::<_, Bytes>(5), Bytes(1_000_000i64.to_be_bytes().to_vec()));
        assert_eq!(row.get::<_, Bytes>(6), Bytes((-3_600_000_000i64).to_be_bytes().to_vec()));
        assert_eq!(
            row.get::<_, Bytes>(7),
            numeric([6, 4, 0, 2], &[1234, 5678, 9012, 3456, 7890, 1200])
        );
        assert_eq!(row.get::<_, Bytes>(8), numeric([1, -1, 0, 4], &[1]));
    });
    server.stop();
}

#[test]
fn a_prepared_statement_sees_new_rows_and_new_models() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE points (x double precision, y double precision);
                 INSERT INTO points VALUES (0, 1), (1, 3), (2, 5);
                 CREATE MODEL line PREDICT y USING linear_regression AS SELECT x, y FROM points",
            )
            .await
            .expect("a table and a model");
        let count =
            client.prepare("SELECT count(*) FROM points WHERE x >= $1").await.expect("PREPARE");
        assert_eq!(*count.params(), [Type::FLOAT8]);
        let predict = client.prepare("SELECT predict('line', x => $1)").await.expect("PREPARE");
        assert_eq!(*predict.params(), [Type::FLOAT8]);

        let n: i64 = client.query_one(&count, &[&1.0f64]).await.expect("a count").get(0);
        assert_eq!(n, 2);
        let y: f64 = client.query_one(&predict, &[&10.0f64]).await.expect("a prediction").get(0);
        assert!((y - 21.0).abs() < 1e-9, "{y}");

        client.batch_execute("INSERT INTO points VALUES (3, 7)").await.expect("INSERT");
        client
            .batch_execute("TRAIN MODEL line AS SELECT x, 10 * y AS y FROM points")
            .await
            .expect("TRAIN");
        let n: i64 = client.query_one(&count, &[&1.0f64]).await.expect("a count").get(0);
        assert_eq!(n, 3);
        let y: f64 = client.query_one(&predict, &[&10.0f64]).await.expect("a prediction").get(0);
        assert!((y - 210.0).abs() < 1e-6, "{y}");
    });
    server.stop();
}

#[test]
fn statements_may_be_sent_before_their_answers_come() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let double = client.prepare("SELECT 2 * $1::bigint").await.expect("PREPARE");
        let asked = (0..50i64).map(|n| {
            let (client, double) = (&client, &double);
            async move { client.query_one(double, &[&n]).await.expect("a row").get::<_, i64>(0) }
        });
        let answers = futures::future::join_all(asked).await;
        assert_eq!(answers, (0..50).map(|n| 2 * n).collect::<Vec<i64>>());
    });
    server.stop();
}

#[test]
fn a_portal_gives_as_many_rows_as_are_asked_for() {
    let server = Server::fresh();
    run(async {
        let mut client = server.connect().await;
        let transaction = client.transaction().await.expect("BEGIN");
        let portal = transaction
            .bind(
                "SELECT n FROM generate_series(1, 20) AS t(n) WHERE n <= $1 ORDER BY n",
                &[&10i32],
            )
            .await
            .expect("BIND");
        let mut seen = Vec::new();
        for expected in [4, 4, 2, 0] {
            let rows = transaction.query_portal(&portal, 4).await.expect("EXECUTE");
            assert_eq!(rows.len(), expected);
            seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        }
        assert_eq!(seen, (1..=10).collect::<Vec<i32>>());
        transaction.commit().await.expect("COMMIT");
    });
    server.stop();
}

#[test]
fn a_portal_that_rests_is_not_timed() {
    let server = Server::fresh();
    run(async {
        let mut client = server.connect().await;
        client.batch_execute("SET statement_timeout = '1s'").await.expect("SET");
        let transaction = client.transaction().await.expect("BEGIN");
        let portal = transaction
            .bind("SELECT n FROM generate_series(1, 20) AS t(n) ORDER BY n", &[])
            .await
            .expect("BIND");
        assert_eq!(transaction.query_portal(&portal, 4).await.expect("EXECUTE").len(), 4);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        transaction.cancel_token().cancel_query(tokio_postgres::NoTls).await.expect("a request");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let rest = transaction.query_portal(&portal, 0).await.expect("the other rows");
        assert_eq!(rest.len(), 16);
    });
    server.stop();
}

#[test]
fn parameters_take_the_types_of_their_places() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE t (a integer, b numeric(6,2)); INSERT INTO t VALUES (1, 2.5)",
            )
            .await
            .expect("a table");
        let update = client.prepare("UPDATE t SET a = $1 WHERE a < $2").await.expect("UPDATE");
        assert_eq!(update.params(), [Type::INT4, Type::INT4]);
        assert_eq!(client.execute(&update, &[&7i32, &5i32]).await.expect("UPDATE"), 1);
        let limited = client.prepare("SELECT a FROM t LIMIT $1 OFFSET $2").await.expect("SELECT");
        assert_eq!(limited.params(), [Type::INT8, Type::INT8]);
        let rows = client.query(&limited, &[&5i64, &0i64]).await.expect("rows");
        assert_eq!(rows[0].get::<_, i32>(0), 7);
    });
    server.stop();
}
