//! Whether a statement asks about the system itself.

use super::is_catalog_relation;
use crate::system::{functions, types};
use sqlparser::ast::{DataType, Expr, ObjectName, Statement, Visit, Visitor};
use std::ops::ControlFlow;

/// True if the statement names a system schema, a relation of pg_catalog, a system function or an OID type.
pub fn touches_catalog(statement: &Statement) -> bool {
    statement.visit(&mut Search).is_break()
}

struct Search;

const SYSTEM_SCHEMAS: [&str; 4] = ["pg_catalog", "information_schema", "ml", "system"];

/// Words that call a function without brackets.
pub(super) const BARE_FUNCTIONS: [&str; 6] =
    ["current_user", "current_role", "session_user", "user", "current_catalog", "current_schema"];

impl Visitor for Search {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        flow(is_system_relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        flow(match expr {
            Expr::Function(function) => is_system_function(&function.name),
            Expr::Cast { data_type, .. } => is_oid_type(data_type),
            Expr::Identifier(ident) => {
                ident.quote_style.is_none()
                    && BARE_FUNCTIONS.contains(&ident.value.to_lowercase().as_str())
            }
            _ => false,
        })
    }
}

/// True for the name of a relation of the system's.
pub(super) fn is_system_relation(relation: &ObjectName) -> bool {
    let parts: Vec<&str> =
        relation.0.iter().filter_map(|p| Some(p.as_ident()?.value.as_str())).collect();
    match parts.as_slice() {
        [name] => is_catalog_relation(name),
        [.., schema, _] => SYSTEM_SCHEMAS.contains(schema),
        [] => false,
    }
}

fn flow(found: bool) -> ControlFlow<()> {
    if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn is_system_function(name: &ObjectName) -> bool {
    let parts: Vec<String> =
        name.0.iter().filter_map(|p| Some(p.as_ident()?.value.to_lowercase())).collect();
    match parts.as_slice() {
        [name] => functions::is_function(name),
        [schema, _] => schema == "pg_catalog" || schema == "information_schema",
        _ => false,
    }
}

fn is_oid_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Regclass => true,
        DataType::Custom(name, _) => {
            let last = name.0.last().and_then(|p| p.as_ident()).map(|i| i.value.to_lowercase());
            name.0.len() > 1
                || last.is_some_and(|name| {
                    name == "name"
                        || name == "oid"
                        || name.starts_with("reg") && types::by_name(&name).is_some()
                })
        }
        DataType::Array(sqlparser::ast::ArrayElemTypeDef::SquareBracket(inner, _)) => {
            is_oid_type(inner)
        }
        _ => false,
    }
}
