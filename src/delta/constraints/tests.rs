//! The errors of broken constraints, word by word.

use super::*;
use crate::catalog::{Check, QualifiedName, SqlType};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;

fn checks(checks: &[(&str, &str)]) -> TableChecks {
    let mut hidden = Column::new("_h", SqlType::BigInt);
    hidden.hidden = true;
    let table = Table {
        id: "0".into(),
        oid: 1,
        name: QualifiedName::new("public", "t"),
        path: "t".into(),
        columns: vec![
            Column::new("a", SqlType::Integer).required(),
            hidden,
            Column::new("b", SqlType::Text).required(),
        ],
        checks: checks
            .iter()
            .map(|(n, e)| Check { name: (*n).into(), expression: (*e).into() })
            .collect(),
        partition_by: vec![],
        properties: BTreeMap::new(),
        feature: None,
        internal: false,
        owner: "o".into(),
        comment: None,
    };
    let context = SessionContext::new();
    let schema = DFSchema::try_from(table.schema().as_ref().clone()).expect("a schema");
    let planned = table
        .checks
        .iter()
        .map(|check| {
            let parsed = context.parse_sql_expr(&check.expression, &schema).expect("an expression");
            let physical = context.create_physical_expr(parsed, &schema).expect("planned");
            (check.name.clone(), physical)
        })
        .collect();
    TableChecks::new(&table, planned)
}

fn rows(a: Vec<Option<i64>>, b: Vec<Option<&str>>) -> RecordBatch {
    let hidden = vec![Some(1); a.len()];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(a)),
        Arc::new(Int64Array::from(hidden)),
        Arc::new(StringArray::from(b)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("three columns")
}

#[test]
fn good_rows_get_the_tables_types() {
    let table = checks(&[("positive", "a > 0")]);
    let checked = table.apply(&rows(vec![Some(1)], vec![Some("x")])).expect("good rows");
    assert_eq!(&checked.schema(), table.schema());
}

#[test]
fn the_first_bad_row_is_reported() {
    let table = checks(&[("z", "a > 0"), ("m", "a < 10 OR b = 'big'")]);
    let error = table
        .apply(&rows(vec![Some(1), Some(2), None], vec![Some("x"), None, None]))
        .expect_err("NULL");
    assert_eq!(error.code(), SqlState::NotNullViolation);
    assert_eq!(
        error.message(),
        "null value in column \"b\" of relation \"t\" violates not-null constraint"
    );
    assert_eq!(error.get_detail(), Some("Failing row contains (2, null)."));
    assert_eq!(error.object().column.as_deref(), Some("b"));

    let error = table
        .apply(&rows(vec![Some(-1), None], vec![Some("x"), Some("y")]))
        .expect_err("a CHECK in an earlier row");
    assert_eq!(error.code(), SqlState::CheckViolation);
    assert_eq!(error.message(), "new row for relation \"t\" violates check constraint \"z\"");
    assert_eq!(error.get_detail(), Some("Failing row contains (-1, x)."));
    assert_eq!(error.object().constraint.as_deref(), Some("z"));
    assert_eq!(error.object().table.as_deref(), Some("t"));
}

#[test]
fn null_passes_a_check_and_names_decide_between_two() {
    let table = checks(&[("b", "a > 5"), ("a", "a > 3"), ("c", "nullif(a, 7) > 0")]);
    assert!(table.apply(&rows(vec![Some(7)], vec![Some("x")])).is_ok());
    let error = table.apply(&rows(vec![Some(1)], vec![Some("x")])).expect_err("both fail");
    assert_eq!(error.object().constraint.as_deref(), Some("a"));
    let long = "y".repeat(70);
    let error = table.apply(&rows(vec![Some(1)], vec![Some(&long)])).expect_err("long");
    let shown = format!("Failing row contains (1, {}...).", "y".repeat(64));
    assert_eq!(error.get_detail(), Some(shown.as_str()));
    let error = table.apply(&rows(vec![Some(1 << 40)], vec![Some("x")])).expect_err("too large");
    assert_eq!(error.message(), "integer out of range");
    assert_eq!(error.object().column.as_deref(), Some("a"));
}
