//! Definitions and comments as text: `pg_get_*`, `obj_description` and their like, and sizes.

use super::{Call, Function, lenient, names, strict};
use crate::error::Result;
use crate::parser::quote_ident;
use crate::system::objects::{Class, Constraint};
use crate::system::pg_catalog::{ModelSignature, comment, view_text};
use crate::system::rows::Cell;
use crate::system::types;

pub(super) const ALL: &[Function] = &[
    strict("pg_get_expr", 2..=3, "text", |c| Ok(c.argument(0).clone())),
    strict("pg_get_viewdef", 1..=2, "text", view_definition),
    strict("pg_get_constraintdef", 1..=2, "text", constraint_definition),
    strict("pg_get_indexdef", 1..=3, "text", index_text),
    strict("pg_get_function_result", 1..=1, "text", function_result),
    strict("pg_get_function_arguments", 1..=1, "text", function_arguments),
    strict("pg_get_function_identity_arguments", 1..=1, "text", function_arguments),
    strict("pg_get_functiondef", 1..=1, "text", nothing),
    strict("pg_get_function_sqlbody", 1..=1, "text", nothing),
    strict("pg_get_partkeydef", 1..=1, "text", nothing),
    strict("pg_get_ruledef", 1..=2, "text", nothing),
    strict("pg_get_triggerdef", 1..=2, "text", nothing),
    strict("pg_get_statisticsobjdef_columns", 1..=1, "text", nothing),
    strict("pg_get_serial_sequence", 2..=2, "text", nothing),
    strict("obj_description", 1..=2, "text", object_description),
    strict("shobj_description", 2..=2, "text", nothing),
    strict("col_description", 2..=2, "text", nothing),
    lenient("pg_relation_size", 1..=2, "int8", relation_size),
    lenient("pg_table_size", 1..=1, "int8", relation_size),
    lenient("pg_total_relation_size", 1..=1, "int8", relation_size),
    lenient("pg_indexes_size", 1..=1, "int8", relation_size),
    lenient("pg_database_size", 1..=1, "int8", nothing),
    lenient("pg_tablespace_size", 1..=1, "int8", nothing),
    strict("pg_stat_get_numscans", 1..=1, "int8", |_| Ok(0.into())),
    strict("pg_stat_get_live_tuples", 1..=1, "int8", |_| Ok(0.into())),
    strict("pg_tablespace_location", 1..=1, "text", |_| Ok("".into())),
];

fn nothing(_: &Call<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

fn view_definition(call: &Call<'_>) -> Result<Cell> {
    Ok(names::find_class(call)?.and_then(view_text).into())
}

fn constraint_definition(call: &Call<'_>) -> Result<Cell> {
    let found = call.system.objects().constraint(call.oid(0));
    Ok(found.map(|(constraint, _)| &constraint.definition).into())
}

/// CREATE UNIQUE INDEX, as PostgreSQL would have said it for a primary key.
pub(in crate::system) fn index_definition(key: &Constraint, class: &Class, short: bool) -> String {
    let columns: Vec<String> = key.columns.iter().map(|name| quote_ident(name)).collect();
    let schema = if short { String::new() } else { format!("{}.", quote_ident(&class.schema)) };
    format!(
        "CREATE UNIQUE INDEX {} ON {schema}{} USING btree ({})",
        quote_ident(&key.name),
        quote_ident(&class.name),
        columns.join(", ")
    )
}

fn index_text(call: &Call<'_>) -> Result<Cell> {
    let oid = call.oid(0);
    let found = call.system.objects().constraints_of().find(|(c, _)| oid != 0 && c.index == oid);
    let Some((key, class)) = found else { return Ok(Cell::Null) };
    let column = call.argument(1).int().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    Ok(match column {
        0 => {
            let short = call.argument(2).is_true() && names::is_visible(call.system, class);
            index_definition(key, class, short).into()
        }
        n => key.columns.get(n - 1).map_or(String::new(), |name| quote_ident(name)).into(),
    })
}

fn signature(call: &Call<'_>) -> Option<ModelSignature> {
    let oid = call.oid(0);
    let model = call.system.objects().models.iter().find(|m| m.oid == oid)?;
    Some(ModelSignature::of(model))
}

fn function_result(call: &Call<'_>) -> Result<Cell> {
    Ok(signature(call).map(|s| types::format(s.result, -1)).into())
}

fn function_arguments(call: &Call<'_>) -> Result<Cell> {
    let print =
        |(name, oid): &(String, u32)| format!("{} {}", quote_ident(name), types::format(*oid, -1));
    let list = |s: ModelSignature| s.arguments.iter().map(print).collect::<Vec<_>>().join(", ");
    Ok(signature(call).map(list).into())
}

fn object_description(call: &Call<'_>) -> Result<Cell> {
    // Tables alone carry comments; an OID says what it is, so that the catalog's name is not needed.
    Ok(call.system.objects().class_by_oid(call.oid(0)).and_then(comment).into())
}

/// Sizes are in the tables' own logs, which no catalog query opens: 0 for what exists.
fn relation_size(call: &Call<'_>) -> Result<Cell> {
    Ok(names::find_class(call)?.map(|_| 0).into())
}
