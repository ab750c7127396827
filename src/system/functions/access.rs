//! `has_*_privilege`: until there are grants, everybody may use what exists.

use super::{Call, Function, names, strict};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::rows::Cell;

pub(super) const ALL: &[Function] = &[
    strict("has_table_privilege", 2..=3, "bool", on_table),
    strict("has_any_column_privilege", 2..=3, "bool", on_table),
    strict("has_column_privilege", 3..=4, "bool", |c| on(c, c.arguments.len() - 3)),
    strict("has_schema_privilege", 2..=3, "bool", on_schema),
    strict("has_database_privilege", 2..=3, "bool", |_| Ok(true.into())),
    strict("has_function_privilege", 2..=3, "bool", |_| Ok(true.into())),
    strict("has_type_privilege", 2..=3, "bool", |_| Ok(true.into())),
    strict("has_language_privilege", 2..=3, "bool", |_| Ok(true.into())),
    strict("has_sequence_privilege", 2..=3, "bool", |_| Ok(false.into())),
    strict("has_tablespace_privilege", 2..=3, "bool", |_| Ok(true.into())),
    strict("pg_has_role", 2..=3, "bool", has_role),
];

fn on_table(call: &Call<'_>) -> Result<Cell> {
    on(call, call.arguments.len() - 2)
}

/// The relation stands at `index`, after the role if one is given. An OID that is none is NULL.
fn on(call: &Call<'_>, index: usize) -> Result<Cell> {
    let wanted = call.argument(index);
    match (names::class_of(call.system, wanted), wanted) {
        (Some(_), _) => Ok(true.into()),
        (None, Cell::Text(name)) if wanted.oid().is_none() => {
            Err(Error::new(SqlState::UndefinedTable, format!("relation \"{name}\" does not exist")))
        }
        _ => Ok(Cell::Null),
    }
}

fn on_schema(call: &Call<'_>) -> Result<Cell> {
    let objects = call.system.objects();
    let wanted = call.argument(call.arguments.len() - 2);
    if let Some(oid) = wanted.oid() {
        return Ok(objects.namespace_by_oid(oid).map(|_| true).into());
    }
    let name = wanted.text().unwrap_or_default();
    match objects.namespace(name) {
        Some(_) => Ok(true.into()),
        None => Err(Error::new(
            SqlState::InvalidSchemaName,
            format!("schema \"{name}\" does not exist"),
        )),
    }
}

/// A role has itself, and the bootstrap role has all.
fn has_role(call: &Call<'_>) -> Result<Cell> {
    let objects = call.system.objects();
    let oid = |cell: &Cell| cell.oid().or_else(|| objects.role_oid(cell.text()?));
    let last = call.arguments.len() - 2;
    let member = match last {
        0 => objects.role_oid(&call.system.context.role),
        _ => oid(call.argument(0)),
    };
    let bootstrap = member == Some(crate::system::objects::BOOTSTRAP_OID);
    Ok((bootstrap || member == oid(call.argument(last))).into())
}
