//! Replays queries of psql 15 and of drivers.

use super::fixture::system;
use super::{headings, printed, run};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Queries as psql 15.18 and drivers send them, each with the answer of PostgreSQL 15.18 to the same
/// DDL (`{schema.name}` stands for an OID, `OID` for one in an answer). Copied from the real server;
/// answers that differ here on purpose are marked in the file.
const RECORDED: &str = include_str!("../../../sql/system/recorded_queries.txt");

#[tokio::test]
async fn recorded_queries_answer_as_postgres_does() {
    let system = system();
    let mut failures = Vec::new();
    for case in RECORDED.split("\n== ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        let (query, expected) = rest.split_once("\n--").expect("an answer");
        // The rest of the line may say why the answer is not PostgreSQL's.
        let (_, expected) = expected.split_once('\n').unwrap_or_default();
        let (query, expected) = (with_oids(&system, query), with_oids(&system, expected));
        let answer = match run(&system, &query).await {
            Ok(batches) => printed(&batches),
            Err(error) => format!("ERROR {error}"),
        };
        let expected = expected.trim_matches('\n');
        let expected = mask(expected, &answer);
        if in_order(&query, &expected) != in_order(&query, &answer) {
            failures
                .push(format!("== {title}\n{query}\n-- expected\n{expected}\n-- got\n{answer}\n"));
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

/// The lines, sorted where the query does not say how.
fn in_order(query: &str, answer: &str) -> Vec<String> {
    let mut lines: Vec<String> = answer.split('\n').map(str::to_owned).collect();
    if !query.to_uppercase().contains("ORDER BY") {
        lines.sort();
    }
    lines
}

/// Puts the fixture's OIDs in place of `{schema.name}`.
fn with_oids(system: &super::System, query: &str) -> String {
    let mut query = query.to_owned();
    for class in &system.objects().classes {
        let name = format!("{{{}.{}}}", class.schema, class.name);
        query = query.replace(&name, &class.oid.to_string());
    }
    query
}

/// The expected answer with the numbers that stand in the answer where it says `OID`.
fn mask(expected: &str, answer: &str) -> String {
    let lines =
        expected.split('\n').zip(answer.split('\n').map(Some).chain(std::iter::repeat(None)));
    let masked = lines.map(|(expected, answer)| match expected.strip_prefix("OID") {
        Some(rest) => {
            let digits =
                |line: &str| line.chars().take_while(char::is_ascii_digit).collect::<String>();
            format!("{}{rest}", answer.map(digits).unwrap_or_default())
        }
        None => expected.to_owned(),
    });
    masked.collect::<Vec<_>>().join("\n")
}

async fn answer(sql: &str) -> String {
    match run(&system(), sql).await {
        Ok(batches) => printed(&batches),
        Err(error) => format!("{} {error}", error.code().code()),
    }
}

#[tokio::test]
async fn columns_are_named_as_postgres_names_them() {
    let system = system();
    let sql = "SELECT NULL, NULL, oid::regclass, pg_catalog.version(), CASE WHEN true THEN 1 END, \
               relname::text, 'x'::regtype::text FROM pg_class WHERE false";
    let batches = run(&system, sql).await;
    assert!(batches.is_ok(), "{batches:?}");
    let sql = "SELECT NULL, NULL, oid::regclass, pg_catalog.version(), CASE WHEN true THEN 1 END, \
               relname::text, current_user FROM pg_class LIMIT 1";
    let batches = run(&system, sql).await.expect("a plan");
    let expected = ["?column?", "?column?", "oid", "version", "case", "relname", "current_user"];
    assert_eq!(headings(&batches), expected);
}

#[tokio::test]
async fn names_that_do_not_exist_are_errors() {
    assert_eq!(
        answer("SELECT 'missing'::regclass").await,
        "42P01 relation \"missing\" does not exist"
    );
    assert_eq!(answer("SELECT 'hstore'::regtype").await, "42704 type \"hstore\" does not exist");
    assert_eq!(
        answer("SELECT current_setting('serch_path')").await,
        "42704 unrecognized configuration parameter \"serch_path\""
    );
    assert_eq!(answer("SELECT current_setting('none', true)").await, "NULL");
    assert_eq!(answer("SELECT to_regclass('missing')").await, "NULL");
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let version = answer("select pg_catalog.version()").await;
    assert!(version.starts_with("PostgreSQL 16.6 (Cenote "), "{version}");
    let version = "SELECT current_setting('server_version_num')::int/100";
    assert_eq!(answer(version).await, "1600");
    assert_eq!(answer("SELECT pg_backend_pid(), current_user").await, "4711|cenote");
    let activity = "SELECT pid, usename, state FROM pg_stat_activity WHERE pid = '4711'";
    assert_eq!(answer(activity).await, "4711|cenote|active");
}

#[tokio::test]
async fn models_are_relations_of_ml_and_functions() {
    let sql = "SELECT model, default_version, latest_version, task, algorithm, label, owner, \
               created_at, comment FROM ml.models";
    let expected = "sales.churn|1|1|binary_classification|gbt|churned|cenote|2000000|NULL";
    assert_eq!(answer(sql).await, expected);
    let sql = "SELECT version, features, options, snapshot, n_rows, is_default, aliases \
               FROM ml.model_versions";
    assert_eq!(answer(sql).await, "1|{age,plan}|{\"trees\":50}|7|1000|t|{}");
    let sql = "SELECT feature_table, keys, timestamp_key FROM ml.feature_tables";
    assert_eq!(answer(sql).await, "public.customer_features|{customer_id}|at");
    let sql = "SELECT n.nspname, p.proname, pg_catalog.pg_get_function_result(p.oid), \
               pg_catalog.pg_get_function_arguments(p.oid) FROM pg_catalog.pg_proc p \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
               WHERE n.nspname <> 'pg_catalog'";
    assert_eq!(answer(sql).await, "sales|churn|boolean|age integer, plan text");
}

#[tokio::test]
async fn every_system_relation_can_be_read() {
    let system = system();
    for schema in ["pg_catalog", "information_schema", "ml"] {
        for name in crate::system::relation_names(schema) {
            let sql = format!("SELECT * FROM {schema}.{name}");
            if let Err(error) = run(&system, &sql).await {
                panic!("{sql}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn parameters_of_catalog_queries_have_types() {
    let system = system();
    let types = async |sql: &str| {
        let plan = super::plan(&system, sql).await.expect("a plan");
        let mut types: Vec<_> = plan.get_parameter_types().expect("types").into_iter().collect();
        types.sort_by(|a, b| a.0.cmp(&b.0));
        types.into_iter().map(|(_, data_type)| data_type).collect::<Vec<_>>()
    };
    let by_oid = "SELECT typname FROM pg_catalog.pg_type WHERE oid = $1 AND typname = $2";
    assert_eq!(types(by_oid).await, [Some(DataType::UInt32), Some(DataType::Utf8)]);
    let by_name = "SELECT typname FROM pg_type WHERE oid = to_regtype($1)";
    assert_eq!(types(by_name).await, [None]);
    let plan = super::plan(&system, by_name).await.expect("a plan");
    let bound = plan.with_param_values(vec![ScalarValue::from("int8")]).expect("bound");
    let context = super::session(&system);
    let rows = context.execute_logical_plan(bound).await.expect("planned");
    assert_eq!(printed(&rows.collect().await.expect("rows")), "int8");
}

#[tokio::test]
async fn a_users_own_queries_are_left_alone() {
    let touches = |sql: &str| {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).expect("SQL").remove(0);
        crate::system::touches_catalog(&statement)
    };
    assert!(!touches(
        "SELECT id, name::text, lower(note) FROM t JOIN sales.orders o ON o.id = t.id"
    ));
    assert!(!touches("INSERT INTO t SELECT * FROM s WHERE x = ANY (ARRAY[1, 2])"));
    assert!(touches("SELECT current_user"));
    assert!(touches("SELECT 't'::regclass"));
    assert!(touches("WITH a AS (SELECT * FROM pg_class) SELECT * FROM a"));
    assert!(touches("SELECT * FROM ml.models"));
}

#[tokio::test]
async fn table_properties_are_storage_parameters() {
    let sql = "SELECT pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x \
               from pg_catalog.unnest(tc.reloptions) x), ', ') FROM pg_catalog.pg_class c \
               LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) \
               WHERE c.relname = 'orders'";
    let rows = run(&super::fixture::system_with_properties(), sql).await.expect("a plan");
    assert_eq!(printed(&rows), "delta.appendOnly=true");
}

#[tokio::test]
async fn oids_of_catalogs_are_the_real_ones() {
    assert_eq!(
        answer("SELECT 'pg_class'::regclass::oid, 'pg_type'::regclass::oid").await,
        "1259|1247"
    );
    let sql = "SELECT d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid \
               WHERE d.classoid = 'pg_class'::regclass AND c.relname = 't'";
    assert_eq!(answer(sql).await, "things");
}
