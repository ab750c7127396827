//! Work that is larger than the memory it may use: sorts and linear models spill, what cannot is told so.

use crate::harness::{Server, describe, run, temporary_folder};
use tokio_postgres::Client;

/// The least that can be given; six doubles in each of half a million rows are 24 MB already.
const LIMIT: [&str; 2] = ["--memory-limit", "32MiB"];

async fn execute(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)));
}

async fn numbers(client: &Client, sql: &str) -> Vec<f64> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)));
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn training_and_sorting_stay_within_the_memory_limit() {
    let folder = temporary_folder();
    let server = Server::start_with(&folder.path().join("warehouse"), &LIMIT);
    run(async {
        let client = server.connect().await;
        // y lies on a plane through rows whose columns are residues by different primes.
        execute(
            &client,
            "CREATE TABLE big AS SELECT (n % 1009)::double precision AS a, (n % 997)::double precision AS b,
               (n % 991)::double precision AS c, (n % 983)::double precision AS d, (n % 977)::double precision AS e,
               3.0 + 0.5 * (n % 1009) - 2.0 * (n % 997) + 0.25 * (n % 991) + 8.0 * (n % 983) - 1.0 * (n % 977)
                 AS y
             FROM generate_series(1, 500000) AS t(n)",
        )
        .await;
        execute(
            &client,
            "CREATE MODEL plane PREDICT y USING linear_regression AS SELECT * FROM big",
        )
        .await;
        let found = numbers(&client, "SELECT estimate FROM ml.weights('plane')").await;
        for (found, expected) in found.iter().zip([3.0, 0.5, -2.0, 0.25, 8.0, -1.0]) {
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
        let held = numbers(
            &client,
            "SELECT n_rows::double precision FROM ml.evaluate('plane') WHERE split = 'test'",
        )
        .await;
        assert!((90_000.0..110_000.0).contains(&held[0]), "{held:?}");

        // Trees need all rows at once: the statement fails with what to do, and the session goes on.
        let error = client
            .batch_execute(
                "CREATE MODEL trees PREDICT y USING gradient_boosting WITH (rounds = 1) AS SELECT * FROM big",
            )
            .await
            .expect_err("half a million rows do not fit");
        let said = describe(&error);
        assert!(
            said.starts_with("53200") && said.contains("HINT") && said.contains("memory limit"),
            "{said}"
        );
        let sql = "SELECT count(*)::double precision FROM big";
        assert_eq!(numbers(&client, sql).await, [500_000.0]);
        let failed =
            "SELECT status FROM ml.runs WHERE model = 'public.trees' AND error LIKE '%53200%'";
        let runs = client.query(failed, &[]).await.expect("the runs");
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].get::<_, &str>(0), "failed");

        // A sort of more than the limit: every row is there once, in order.
        let sql = "SELECT count(*)::double precision FROM
                     (SELECT y, lag(y) OVER (ORDER BY y, a, b, c, d, e) AS before FROM big) AS s
                   WHERE before <= y OR before IS NULL";
        assert_eq!(numbers(&client, sql).await, [500_000.0]);
    });
    server.stop();
}

#[test]
fn a_join_of_more_than_the_limit_is_done_by_sorting() {
    let folder = temporary_folder();
    let server = Server::start_with(&folder.path().join("warehouse"), &LIMIT);
    run(async {
        let client = server.connect().await;
        // 32 bytes in each of a million rows: no hash table of them fits.
        execute(
            &client,
            "CREATE TABLE wide AS SELECT n, n * 7 % 1000003 AS k, n * 1.5::double precision AS x, n + 1 AS y
             FROM generate_series(1, 1000000) AS s(n);
             CREATE TABLE also AS SELECT * FROM wide",
        )
        .await;
        let sql = "SELECT sum(a.y + b.y)::double precision FROM wide AS a JOIN also AS b ON a.k = b.k AND a.n = b.n";
        assert_eq!(numbers(&client, sql).await, [1_000_003_000_000.0]);
        let sql = "SELECT (count(*) - count(b.y))::double precision
                   FROM wide AS a LEFT JOIN also AS b ON a.k = b.k AND a.n = b.n AND b.n > 1000";
        assert_eq!(numbers(&client, sql).await, [1_000.0]);
        // A change whose source is joined so.
        execute(
            &client,
            "UPDATE wide AS t SET x = -1 FROM also AS s WHERE t.k = s.k AND s.n <= 900000",
        )
        .await;
        let sql = "SELECT count(*)::double precision FROM wide WHERE x = -1";
        assert_eq!(numbers(&client, sql).await, [900_000.0]);
    });
    server.stop();
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let folder = temporary_folder();
    for (given, said) in [("1MiB", "too small"), ("lots", "invalid amount of memory")] {
        let ended = crate::harness::cenote(
            [
                "sql",
                "--data",
                &folder.path().display().to_string(),
                "--memory-limit",
                given,
                "-c",
                "SELECT 1",
            ],
            "",
        );
        let words = ended.failed();
        assert!(words.contains(said), "{words}");
    }
}
