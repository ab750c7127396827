//! Column lists and column definitions.

use crate::catalog::{Check, Column, Table};
use crate::delta::schema::validate_column_name;
use crate::error::{Error, Result};
use crate::parser::{TokenSlice, fold_ident, object_name};
use crate::planner::sql_type_of;
use crate::sqlstate::SqlState;
use crate::suggest;
use sqlparser::ast::{ColumnDef, ColumnOption, Expr, Ident, ObjectName, Spanned, TableConstraint};
use std::collections::HashSet;

/// Columns and constraints of a table definition.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// CHECK constraints, named.
    pub checks: Vec<Check>,
    /// Columns of a PRIMARY KEY clause, in order.
    pub primary_key: Option<Vec<String>>,
}

/// Makes a definition of what sqlparser read.
///
/// # Errors
/// 42701 for a column given twice, 42602 for a name that Delta cannot hold, 0A000 for constraints
/// that are not built.
pub fn define(
    slice: &TokenSlice,
    table: &str,
    columns: &[ColumnDef],
    constraints: &[TableConstraint],
) -> Result<Definition> {
    let mut out = Definition::default();
    let mut names = HashSet::new();
    for column in columns {
        let position = slice.position(column.name.span.start);
        let place = |e: Error| e.position_or(position);
        let name = fold_ident(&column.name.value, column.name.quote_style);
        check_column_name(&name).map_err(place)?;
        if !names.insert(name.to_lowercase()) {
            return Err(place(duplicate(&name)));
        }
        let mut new = Column::new(&name, sql_type_of(&column.data_type).map_err(place)?);
        let says = |wanted: &ColumnOption| column.options.iter().any(|o| o.option == *wanted);
        let primary =
            column.options.iter().any(|o| matches!(o.option, ColumnOption::PrimaryKey(_)));
        if says(&ColumnOption::Null) && (says(&ColumnOption::NotNull) || primary) {
            return Err(place(Error::new(
                SqlState::SyntaxError,
                format!(
                    "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\""
                ),
            )));
        }
        for option in &column.options {
            let given = option.name.as_ref().map(fold);
            column_option(table, &mut new, &mut out, given, &option.option).map_err(place)?;
        }
        out.columns.push(new);
    }
    for constraint in constraints {
        let position = slice.position(constraint.span().start);
        table_constraint(table, &mut out, constraint).map_err(|e| e.position_or(position))?;
    }
    let mut taken = HashSet::new();
    for check in &out.checks {
        if !taken.insert(check.name.clone()) {
            return Err(Error::new(
                SqlState::DuplicateObject,
                format!("check constraint \"{}\" already exists", check.name),
            ));
        }
    }
    Ok(out)
}

/// Refuses column names that the system or Delta cannot hold.
///
/// # Errors
/// 42602, 42939.
pub fn check_column_name(name: &str) -> Result<()> {
    validate_column_name(name)?;
    if name.starts_with("__") || name == crate::features::COMMITTED_AT {
        return Err(Error::new(
            SqlState::ReservedName,
            format!("column name \"{name}\" is reserved"),
        )
        .column(name));
    }
    Ok(())
}

/// 42701.
pub fn duplicate(name: &str) -> Error {
    Error::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once"))
        .column(name)
}

fn fold(ident: &Ident) -> String {
    fold_ident(&ident.value, ident.quote_style)
}

fn column_option(
    table: &str,
    column: &mut Column,
    out: &mut Definition,
    name: Option<String>,
    option: &ColumnOption,
) -> Result<()> {
    match option {
        ColumnOption::NotNull => column.not_null = true,
        ColumnOption::Null => {}
        ColumnOption::Default(expr) => column.default = Some(expr.to_string()),
        ColumnOption::Check(check) => {
            let default = format!("{table}_{}_check", column.name);
            let name = name.or_else(|| check.name.as_ref().map(fold));
            push_check(out, name, default, &check.expr);
        }
        ColumnOption::PrimaryKey(_) => {
            column.not_null = true;
            if out.primary_key.replace(vec![column.name.clone()]).is_some() {
                return Err(two_keys(table));
            }
        }
        ColumnOption::Unique(_) => return Err(unsupported_constraint("UNIQUE")),
        ColumnOption::ForeignKey(_) => return Err(unsupported_constraint("REFERENCES")),
        ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
            return Err(Error::unsupported(
                "a generated column",
                "Compute the value in the INSERT, or in a view.",
            ));
        }
        other => {
            return Err(Error::unsupported(
                format_args!("the column option {other}"),
                "NOT NULL, DEFAULT and CHECK are supported.",
            ));
        }
    }
    Ok(())
}

fn two_keys(table: &str) -> Error {
    Error::new(
        SqlState::InvalidTableDefinition,
        format!("multiple primary keys for table \"{table}\" are not allowed"),
    )
}

fn unsupported_constraint(what: &str) -> Error {
    Error::unsupported(
        format_args!("the constraint {what}"),
        "NOT NULL and CHECK are enforced; a feature table (CREATE FEATURE TABLE) has a key.",
    )
}

/// Adds a CHECK; PostgreSQL numbers default names that are taken.
fn push_check(out: &mut Definition, name: Option<String>, default: String, expr: &Expr) {
    let name = name.unwrap_or_else(|| {
        let taken = |n: &String| out.checks.iter().any(|c| c.name == *n);
        let numbered = (1..).map(|i| format!("{default}{i}"));
        std::iter::once(default.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or_default()
    });
    out.checks.push(Check { name, expression: expr.to_string() });
}

fn table_constraint(table: &str, out: &mut Definition, constraint: &TableConstraint) -> Result<()> {
    match constraint {
        TableConstraint::Check(check) => {
            let columns: Vec<String> = out.columns.iter().map(|c| c.name.clone()).collect();
            let default = match columns_of(&check.expr, &columns).as_slice() {
                [one] => format!("{table}_{one}_check"),
                _ => format!("{table}_check"),
            };
            push_check(out, check.name.as_ref().map(fold), default, &check.expr);
            Ok(())
        }
        TableConstraint::PrimaryKey(key) => {
            let names = key
                .columns
                .iter()
                .map(|c| match &c.column.expr {
                    Expr::Identifier(ident) => Ok(fold(ident)),
                    other => Err(Error::new(
                        SqlState::SyntaxError,
                        format!("{other} is not a column's name"),
                    )),
                })
                .collect::<Result<Vec<_>>>()?;
            for name in &names {
                let column = out.columns.iter_mut().find(|c| c.name == *name).ok_or_else(|| {
                    Error::new(
                        SqlState::UndefinedColumn,
                        format!("column \"{name}\" named in key does not exist"),
                    )
                })?;
                column.not_null = true;
            }
            if out.primary_key.replace(names).is_some() {
                return Err(two_keys(table));
            }
            Ok(())
        }
        TableConstraint::Unique(_) => Err(unsupported_constraint("UNIQUE")),
        TableConstraint::ForeignKey(_) => Err(unsupported_constraint("FOREIGN KEY")),
        other => Err(unsupported_constraint(&other.to_string())),
    }
}

/// The columns that an expression names, without repetition.
fn columns_of(expr: &Expr, known: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let _ = sqlparser::ast::visit_expressions(expr, |e| {
        if let Expr::Identifier(ident) = e {
            let name = fold(ident);
            if known.contains(&name) && !found.contains(&name) {
                found.push(name);
            }
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    found
}

/// The places of the columns that a statement names, in the statement's order.
///
/// # Errors
/// 42703 with the nearest name, 42701 for one named twice.
pub fn places(slice: &TokenSlice, table: &Table, names: &[ObjectName]) -> Result<Vec<usize>> {
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let parts = object_name(name);
        let position =
            name.0.first().and_then(|p| p.as_ident()).and_then(|i| slice.position(i.span.start));
        let column = parts.last().map_or("", String::as_str);
        let place = place(table, column).map_err(|e| e.position_or(position))?;
        if out.contains(&place) {
            return Err(duplicate(column).position_or(position));
        }
        out.push(place);
    }
    Ok(out)
}

/// The place of a visible column.
///
/// # Errors
/// 42703 with the nearest name.
pub fn place(table: &Table, column: &str) -> Result<usize> {
    table.columns.iter().position(|c| c.name == column && !c.hidden).ok_or_else(|| {
        let known: Vec<&str> =
            table.columns.iter().filter(|c| !c.hidden).map(|c| c.name.as_str()).collect();
        Error::new(
            SqlState::UndefinedColumn,
            format!("column \"{column}\" of relation \"{}\" does not exist", table.name.name),
        )
        .table(&table.name.name)
        .column(column)
        .maybe_hint(suggest::hint("column", column, &known))
    })
}
