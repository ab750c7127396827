//! The table that keeps the rows that a feature table no longer has.

use super::COMMITTED_AT;
use crate::catalog::{Column, QualifiedName, SqlType, Table};

/// The column of a history that says when a row was replaced or deleted.
pub const REPLACED_AT: &str = "_replaced_at";

/// The name of a feature table's history; users cannot take it, for it begins with `_`.
pub fn history_name(name: &QualifiedName) -> QualifiedName {
    QualifiedName::new(&name.schema, format!("_{}_history", name.name))
}

/// The columns of a history: the feature table's own, when the row was committed, and when it was
/// replaced (NULL means the commit that added the file, as for `_committed_at`).
pub fn history_columns(table: &Table) -> Vec<Column> {
    let mut columns: Vec<Column> = table
        .columns
        .iter()
        .filter(|c| c.name != COMMITTED_AT)
        .map(|c| Column { not_null: false, default: None, ..c.clone() })
        .collect();
    columns.push(Column::new(COMMITTED_AT, SqlType::TimestampTz));
    columns.push(Column::new(REPLACED_AT, SqlType::TimestampTz));
    columns
}
