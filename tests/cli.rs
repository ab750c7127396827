//! The program from the shell: `cenote sql`, exit codes, data folders and addresses that do not work.

use crate::harness::{Server, cenote, sql, sql_script, temporary_folder};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;

/// `cenote sql` with further arguments on a warehouse.
fn sql_with(data: &Path, arguments: &[&str], input: &str) -> crate::harness::Outcome {
    let head: [&OsStr; 3] = ["sql".as_ref(), "--data".as_ref(), data.as_ref()];
    cenote(head.into_iter().chain(arguments.iter().map(OsStr::new)), input)
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file in a temporary folder");
    path
}

#[test]
fn tables_look_as_psqls_do() {
    let folder = temporary_folder();
    let shown = sql(
        folder.path(),
        "SELECT 1 AS n, 'one' AS word, NULL AS nothing UNION ALL SELECT 200, 'x', 'y' ORDER BY n",
    )
    .ok();
    // psql 15's output for the same query.
    let expected = "  n  | word | nothing \n-----+------+---------\n   1 | one  | \n 200 | x    | y\n(2 rows)\n\n";
    assert_eq!(shown, expected);

    let tags = sql(
        folder.path(),
        "CREATE TABLE t (id integer); INSERT INTO t VALUES (1), (2); DELETE FROM t WHERE id = 1",
    )
    .ok();
    assert_eq!(tags, "CREATE TABLE\nINSERT 0 2\nDELETE 1\n");
}

#[test]
fn csv_and_json_are_for_programs() {
    let folder = temporary_folder();
    let query = "SELECT 1 AS n, 'a, \"b\"' AS word, NULL AS nothing, 1.50::numeric(4,2) AS amount, true AS yes";
    let csv = sql_with(folder.path(), &["--format", "csv", "-c", query], "").ok();
    assert_eq!(csv, "n,word,nothing,amount,yes\n1,\"a, \"\"b\"\"\",,1.50,t\n");

    let text = sql_with(folder.path(), &["--format", "json", "-c", query], "").ok();
    let values: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    // One array of objects, or one object a row: both are what programs read.
    let rows: Vec<Value> = values
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(rows) => rows,
            row => vec![row],
        })
        .collect();
    assert_eq!(rows.len(), 1, "{text}");
    assert_eq!(rows[0]["n"], json!(1));
    assert_eq!(rows[0]["word"], json!("a, \"b\""));
    assert_eq!(rows[0]["nothing"], Value::Null);
    assert_eq!(rows[0]["yes"], json!(true));
}

#[test]
fn a_script_ends_at_its_first_error() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    let script = write(
        folder.path(),
        "script.sql",
        "CREATE TABLE t (id integer);\nINSERT INTO t VALUES (1);\nINSERT INTO tt VALUES (2);\nINSERT INTO t VALUES (3);\n",
    );
    let ended = sql_script(&data, &script, folder.path());
    assert_eq!(ended.stdout, "CREATE TABLE\nINSERT 0 1\n");
    let said = ended.failed();
    assert!(said.contains("relation \"tt\" does not exist"), "{said}");
    assert!(said.contains("LINE 1: INSERT INTO tt VALUES (2)"), "{said}");
    assert!(said.contains("script.sql:3"), "the error names file and line: {said}");

    // What ran before the error stands; nothing after it ran.
    let count = sql_with(&data, &["--format", "csv", "-c", "SELECT count(*) AS n FROM t"], "").ok();
    assert_eq!(count, "n\n1\n");

    // Told to go on, it tells the error, goes on, and does not count it as its own failure.
    let script = script.to_string_lossy().into_owned();
    let went_on = sql_with(&data, &["--continue-on-error", "-f", &script], "");
    assert_eq!(went_on.code, Some(0));
    assert!(went_on.stderr.contains("relation \"tt\" does not exist"), "{}", went_on.stderr);
    let count = sql_with(&data, &["--format", "csv", "-c", "SELECT count(*) AS n FROM t"], "").ok();
    assert_eq!(count, "n\n3\n");
}

#[test]
fn the_caret_stands_under_the_wrong_word() {
    let folder = temporary_folder();
    let said =
        sql(folder.path(), "SELECT no_such_column FROM (SELECT 1 AS such_column) AS t").failed();
    let lines: Vec<&str> = said.lines().collect();
    let at =
        lines.iter().position(|l| l.starts_with("LINE 1: ")).unwrap_or_else(|| panic!("{said}"));
    let word = lines[at].find("no_such_column").expect("the statement's text");
    assert_eq!(lines[at + 1].find('^'), Some(word), "{said}");
    assert!(lines[0].starts_with("ERROR:  column \"no_such_column\" does not exist"), "{said}");
}

#[test]
fn standard_input_is_a_script_too() {
    let folder = temporary_folder();
    let input = "SELECT 1 AS n;\nSELECT 2\n AS n;\n";
    let shown = sql_with(folder.path(), &["--format", "csv"], input).ok();
    assert_eq!(shown, "n\n1\nn\n2\n");
}

#[test]
fn a_semicolon_in_a_text_ends_no_statement() {
    let folder = temporary_folder();
    let script = write(
        folder.path(),
        "script.sql",
        "-- a comment; with a semicolon\nSELECT 'a;b' AS x, \"y;z\" AS \"y;z\", $$c;d$$ AS w /* and; here */\nFROM (SELECT 1 AS \"y;z\") AS t;\n",
    );
    let script = script.to_string_lossy().into_owned();
    // A folder that holds a script is no warehouse.
    let data = folder.path().join("warehouse");
    let shown = sql_with(&data, &["--format", "csv", "-f", &script], "").ok();
    assert_eq!(shown, "x,y;z,w\na;b,1,c;d\n");
}

#[test]
fn a_shell_and_a_server_share_a_warehouse() {
    let server = Server::fresh();
    sql(server.data(), "CREATE TABLE t (id integer); INSERT INTO t VALUES (1)").ok();
    crate::harness::run(async {
        let client = server.connect().await;
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 1);
        client.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
    });
    let sum =
        sql_with(server.data(), &["--format", "csv", "-c", "SELECT sum(id) AS s FROM t"], "").ok();
    assert_eq!(sum, "s\n3\n");
    server.stop();
}

#[test]
fn a_warehouse_survives_a_restart() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    let server = Server::start(&data);
    crate::harness::run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE SCHEMA s;
                 CREATE TABLE s.points (x double precision NOT NULL, y double precision, CONSTRAINT small CHECK (x < 100));
                 INSERT INTO s.points VALUES (0, 1), (1, 3), (2, 5);
                 CREATE VIEW s.large AS SELECT * FROM s.points WHERE y > 2;
                 CREATE MODEL s.line PREDICT y USING linear_regression AS SELECT x, y FROM s.points",
            )
            .await
            .expect("objects of every kind");
    });
    server.stop();
    let server = Server::start(&data);
    crate::harness::run(async {
        let client = server.connect().await;
        let row = client
            .query_one("SELECT count(*), round(max(predict('s.line', l.*)), 9) FROM s.large l", &[])
            .await
            .expect("a row");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, f64>(1)), (2, 5.0));
        let refused = client.batch_execute("INSERT INTO s.points VALUES (100, 0)").await;
        assert_eq!(crate::harness::sqlstate(refused), "23514");
    });
    server.stop();
}

#[test]
fn a_folder_that_is_no_warehouse_is_left_alone() {
    let folder = temporary_folder();
    write(folder.path(), "holiday.txt", "not a table");
    let said = sql(folder.path(), "SELECT 1").failed();
    assert!(said.contains("is not a warehouse"), "{said}");
    let said = Server::try_start(folder.path()).map(|_| ()).expect_err("no warehouse");
    assert!(said.contains("is not a warehouse"), "{said}");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["holiday.txt"]);

    let file = folder.path().join("holiday.txt");
    let said = sql(&file, "SELECT 1").failed();
    assert!(said.contains("holiday.txt"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // Not even the administrator makes folders there.
    let said =
        Server::try_start(Path::new("/proc/cenote-test")).map(|_| ()).expect_err("not writable");
    assert!(said.contains("/proc/cenote-test"), "{said}");
    let said = sql(Path::new("/proc/cenote-test"), "SELECT 1").failed();
    assert!(said.contains("/proc/cenote-test"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::fresh();
    let folder = temporary_folder();
    let address = server.address().to_string();
    let ended = cenote(
        [
            "serve".as_ref(),
            "--data".as_ref(),
            folder.path().as_os_str(),
            "--listen".as_ref(),
            address.as_ref(),
        ],
        "",
    );
    assert_eq!(ended.stdout, "");
    let said = ended.failed();
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    server.stop();
}

#[test]
fn a_remote_address_is_refused_until_there_are_logins() {
    let folder = temporary_folder();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let ended = cenote(
            [
                "serve".as_ref(),
                "--data".as_ref(),
                folder.path().as_os_str(),
                "--listen".as_ref(),
                address.as_ref(),
            ],
            "",
        );
        assert_eq!(ended.stdout, "");
        let said = ended.failed();
        assert!(said.contains("127.0.0.1"), "it says what to do instead: {said}");
    }
}

#[test]
fn arguments_that_do_not_exist_are_told_apart() {
    let said = cenote(["srve"], "").failed();
    assert!(said.contains("serve"), "{said}");
    let said = cenote(["sql", "--fromat", "csv", "-c", "SELECT 1"], "").failed();
    assert!(said.contains("--format"), "{said}");
    let folder = temporary_folder();
    let said = sql_with(folder.path(), &["--format", "xml", "-c", "SELECT 1"], "").failed();
    assert!(said.contains("csv") && said.contains("json"), "{said}");
    let said = sql_with(folder.path(), &["-f", "no_such_script.sql"], "").failed();
    assert!(said.contains("no_such_script.sql"), "{said}");
}

fn doctor(data: &Path, arguments: &[&str]) -> crate::harness::Outcome {
    let head: [&OsStr; 3] = ["doctor".as_ref(), "--data".as_ref(), data.as_ref()];
    cenote(head.into_iter().chain(arguments.iter().map(OsStr::new)), "")
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_whole_warehouse() {
    let folder = temporary_folder();
    sql(
        folder.path(),
        "CREATE TABLE t (x double precision, y double precision);
         INSERT INTO t VALUES (0, 1), (1, 3), (2, 5);
         CREATE MODEL line PREDICT y USING linear_regression AS SELECT x, y FROM t",
    )
    .ok();
    let said = doctor(folder.path(), &[]).ok();
    assert!(said.contains("all is well") && said.contains("models: 1 versions"), "{said}");
}

#[test]
fn the_doctor_names_files_that_are_gone_or_changed() {
    let folder = temporary_folder();
    sql(folder.path(), "CREATE TABLE t AS SELECT 1 AS id").ok();
    let table = std::fs::read_dir(folder.path().join("public")).expect("the schema's folder");
    let table = table.flatten().next().expect("the table's folder").path();
    let files = std::fs::read_dir(table).expect("the table's files").flatten().map(|e| e.path());
    let data = files.into_iter().find(|p| p.extension().is_some_and(|e| e == "parquet"));
    let data = data.expect("a data file");
    let whole = std::fs::read(&data).expect("bytes");
    std::fs::write(&data, &whole[1..]).expect("cut");
    let ended = doctor(folder.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    let sizes = format!("has {} bytes instead of {}", whole.len() - 1, whole.len());
    assert!(ended.stdout.contains("table public.t") && ended.stdout.contains(&sizes));
    std::fs::remove_file(&data).expect("gone");
    let ended = doctor(folder.path(), &[]);
    assert!(ended.stdout.contains("is missing"), "{}", ended.stdout);
}

#[test]
fn the_doctor_sets_a_torn_last_record_aside_when_nobody_uses_the_warehouse() {
    let folder = temporary_folder();
    sql(folder.path(), "CREATE TABLE t AS SELECT 1 AS id").ok();
    let server = Server::start(folder.path());
    let log = folder.path().join("_cenote/log");
    let torn = log.join("00000000000000000003.json");
    std::fs::write(&torn, "{\"checksum\":\"0").expect("half a record");
    assert!(doctor(folder.path(), &["--fix"]).failed().contains("is in use"));
    assert!(torn.exists());
    server.stop();

    assert!(sql(folder.path(), "TABLE t").failed().contains("cenote doctor"));
    let found = doctor(folder.path(), &[]);
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.contains("record 3 of the warehouse log is damaged"), "{}", found.stdout);
    let mended = doctor(folder.path(), &["--fix"]).ok();
    assert!(mended.contains("all is well"), "{mended}");
    assert!(!torn.exists());
    let aside = std::fs::read_dir(folder.path().join("_cenote/aside")).expect("what is set aside");
    let aside: Vec<_> = aside.flatten().map(|e| std::fs::read(e.path()).expect("bytes")).collect();
    assert_eq!(aside, [b"{\"checksum\":\"0"], "it is moved, not deleted");
    let ids = sql_with(folder.path(), &["--format", "csv", "-c", "TABLE t"], "").ok();
    assert_eq!(ids, "id\n1\n");
    sql(folder.path(), "INSERT INTO t VALUES (2)").ok();
    assert!(doctor(folder.path(), &[]).ok().contains("log: 3 records"));
}

/// A process that commits much leaves a checkpoint of the log behind, be it no server.
#[test]
fn many_commits_of_a_script_leave_a_checkpoint() {
    let folder = temporary_folder();
    let inserts: String = (0..300).map(|n| format!("INSERT INTO t VALUES ({n});\n")).collect();
    sql_with(folder.path(), &["-f", "-"], &format!("CREATE TABLE t (id bigint);\n{inserts}")).ok();
    let checkpoints = std::fs::read_dir(folder.path().join("_cenote/checkpoint"));
    assert!(checkpoints.is_ok_and(|entries| entries.count() > 0), "no checkpoint was written");
}

/// How many data files there are below a folder.
fn data_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let count = |path: std::path::PathBuf| {
        if path.is_dir() {
            return data_files(&path);
        }
        usize::from(path.extension().is_some_and(|extension| extension == "parquet"))
    };
    entries.map(count).sum()
}

#[test]
fn a_session_that_ends_inside_a_transaction_leaves_no_files() {
    let folder = temporary_folder();
    sql(folder.path(), "CREATE TABLE t (id integer); CREATE TABLE u (id integer)").ok();
    let files = data_files(folder.path());
    let insert = "INSERT INTO t SELECT n FROM generate_series(1, 1000) AS s(n)";
    sql_with(folder.path(), &["-c", "BEGIN", "-c", insert], "").ok();
    assert_eq!(data_files(folder.path()), files);
    // A script that stops at an error, and one that quits.
    let script = format!("BEGIN;\n{insert};\nINSERT INTO u SELECT 1;\nSELECT 1/0;\n");
    assert!(sql_with(folder.path(), &[], &script).failed().contains("division by zero"));
    assert_eq!(data_files(folder.path()), files);
    sql_with(folder.path(), &[], &format!("BEGIN;\n{insert};\n\\q\n")).ok();
    assert_eq!(data_files(folder.path()), files);
    let count =
        sql_with(folder.path(), &["--format", "csv", "-c", "SELECT count(*) AS n FROM t"], "");
    assert_eq!(count.ok(), "n\n0\n");
}

#[test]
fn copy_takes_the_lines_of_its_script() {
    let folder = temporary_folder();
    let script = "CREATE TABLE t (id integer, word text);\nCOPY t FROM STDIN;\n1\tone;\n2\ttwo\n\\.\nSELECT sum(id) AS s FROM t;\n";
    let shown = sql_with(folder.path(), &[], script).ok();
    assert!(shown.contains("COPY 2\n") && shown.contains(" 3\n"), "{shown}");
    // With -c the data are the standard input, each COPY up to its end.
    let copy = "COPY t FROM STDIN";
    let arguments =
        ["-c", copy, "-c", copy, "--format", "csv", "-c", "SELECT count(*) AS n FROM t"];
    assert_eq!(sql_with(folder.path(), &arguments, "3\tc\n\\.\n4\td\n").ok(), "n\n4\n");
    // What is wrong in the data ends the script, or not; its data are no statements.
    let wrong = "COPY t FROM STDIN;\nx\ty\n5\te\n\\.\nSELECT 'went on' AS x;\n";
    let ended = sql_with(folder.path(), &["--continue-on-error"], wrong);
    assert!(ended.stderr.contains("<stdin>:1: ERROR:  invalid input syntax"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("ERROR").count(), 1, "{}", ended.stderr);
    assert!(ended.ok().contains("went on"));
}

#[test]
fn a_script_on_standard_input_has_line_numbers() {
    let folder = temporary_folder();
    let none: &[&str] = &[];
    for arguments in [none, &["-f", "-"]] {
        let said = sql_with(folder.path(), arguments, "SELECT 1;\nSELECT x;\n").failed();
        assert!(said.starts_with("<stdin>:2: ERROR:"), "{said}");
    }
}

#[test]
fn json_has_texts_for_what_are_no_numbers() {
    let folder = temporary_folder();
    let query = "SELECT 'NaN'::float8 AS a, '-Infinity'::float8 AS b, ARRAY['Infinity'::float8, 1] AS c, NULL::float8 AS d";
    let text = sql_with(folder.path(), &["--format", "json", "-c", query], "").ok();
    let rows: Value = serde_json::from_str(&text).expect("JSON");
    let row = json!({ "a": "NaN", "b": "-Infinity", "c": ["Infinity", 1], "d": null });
    assert_eq!(rows, json!([row]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_ends_a_run_without_a_word() {
    use std::process::{Command, Stdio};
    let folder = temporary_folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cenote"))
        .args(["sql", "--format", "csv", "--data"])
        .arg(folder.path())
        .args(["-c", "SELECT n FROM generate_series(1, 1000000) AS s(n)", "-c", "SELECT x"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary under test starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("the binary under test ends");
    assert_eq!(ended.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn a_demo_on_a_demo_is_refused_before_it_begins() {
    let folder = temporary_folder();
    sql(folder.path(), "CREATE SCHEMA silver").ok();
    let ended = cenote(["demo".as_ref(), "--data".as_ref(), folder.path().as_os_str()], "");
    assert_eq!(ended.stdout, "");
    let said = ended.failed();
    assert!(said.contains("a schema \"silver\" already") && said.contains("--data"), "{said}");
    let schemas = sql_with(folder.path(), &["--format", "csv", "-c", "SHOW SCHEMAS"], "").ok();
    assert!(!schemas.contains("bronze"), "{schemas}");
}

#[test]
fn a_server_without_a_connection_is_refused() {
    let said = cenote(["serve", "--max-connections", "0"], "").failed();
    assert!(said.contains("--max-connections"), "{said}");
}

#[test]
fn logs_in_a_file_have_no_colours() {
    let folder = temporary_folder();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_cenote"))
        .args(["sql", "-c", "SELECT 1", "--data"])
        .arg(folder.path())
        .env("CENOTE_LOG", "debug")
        .output()
        .expect("the binary under test runs");
    assert!(!ended.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn the_doctor_passes_over_what_is_no_record() {
    let folder = temporary_folder();
    sql(folder.path(), "CREATE TABLE t AS SELECT 1 AS id").ok();
    for stray in ["9", "00000000000000000009.txt", "9.json"] {
        write(&folder.path().join("_cenote/log"), stray, "stray");
    }
    assert!(doctor(folder.path(), &[]).ok().contains("all is well"));
}
