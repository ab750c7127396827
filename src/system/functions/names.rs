//! Names and OIDs: visibility, `format_type`, `to_reg*`, and what the `reg*` casts are rewritten to.

use super::{Call, Function, lenient, strict};
use crate::error::{Error, Result};
use crate::parser::quote_ident;
use crate::sqlstate::SqlState;
use crate::system::System;
use crate::system::objects::{Class, PG_CATALOG};
use crate::system::rows::Cell;
use crate::system::types;
use arrow::datatypes::DataType;
use std::collections::HashMap;
use std::sync::OnceLock;

/// `x::oid`.
pub(in crate::system) const OID_IN: &str = "oidin";
/// `x::regclass` where an OID is wanted.
pub(in crate::system) const REGCLASS_IN: &str = "regclassin";
/// `x::regclass` where its name is wanted.
pub(in crate::system) const REGCLASS_OUT: &str = "regclassout";
/// `x::regtype` where an OID is wanted.
pub(in crate::system) const REGTYPE_IN: &str = "regtypein";
/// `x::regtype` where its name is wanted.
pub(in crate::system) const REGTYPE_OUT: &str = "regtypeout";
/// `x::regnamespace` where an OID is wanted.
pub(in crate::system) const REGNAMESPACE_IN: &str = "regnamespacein";
/// `x::regnamespace` where its name is wanted.
pub(in crate::system) const REGNAMESPACE_OUT: &str = "regnamespaceout";
/// `x::regproc` where an OID is wanted.
pub(in crate::system) const REGPROC_IN: &str = "regprocin";
/// `x::regproc` where its name is wanted.
pub(in crate::system) const REGPROC_OUT: &str = "regprocout";
/// `x::regrole` where an OID is wanted.
pub(in crate::system) const REGROLE_IN: &str = "regrolein";
/// `x::regrole` where its name is wanted.
pub(in crate::system) const REGROLE_OUT: &str = "regroleout";

pub(super) const ALL: &[Function] = &[
    strict("pg_table_is_visible", 1..=1, "bool", table_is_visible),
    strict("pg_type_is_visible", 1..=1, "bool", |c| Ok(types::by_oid(c.oid(0)).is_some().into())),
    strict("pg_function_is_visible", 1..=1, "bool", function_is_visible),
    strict("pg_operator_is_visible", 1..=1, "bool", always),
    strict("pg_opclass_is_visible", 1..=1, "bool", always),
    strict("pg_opfamily_is_visible", 1..=1, "bool", always),
    strict("pg_collation_is_visible", 1..=1, "bool", always),
    strict("pg_conversion_is_visible", 1..=1, "bool", always),
    strict("pg_statistics_obj_is_visible", 1..=1, "bool", always),
    strict("pg_relation_is_publishable", 1..=1, "bool", |_| Ok(false.into())),
    strict("pg_get_userbyid", 1..=1, "name", user_by_id),
    lenient("format_type", 2..=2, "text", format_type),
    strict("to_regclass", 1..=1, "regclass", |c| Ok(find_class(c)?.map(|class| class.oid).into())),
    strict("to_regtype", 1..=1, "regtype", |c| {
        Ok(types::parse_name(c.text(0)).map(|t| t.oid).into())
    }),
    strict("to_regnamespace", 1..=1, "regnamespace", |c| Ok(namespace_oid(c).into())),
    strict("to_regrole", 1..=1, "regrole", |c| Ok(role_oid(c).into())),
    strict("to_regproc", 1..=1, "regproc", |c| Ok(function_oid(c.system, c.text(0)).into())),
    strict(OID_IN, 1..=1, "oid", oid_in),
    strict(REGCLASS_IN, 1..=1, "oid", regclass_in),
    strict(REGCLASS_OUT, 1..=1, "text", regclass_out),
    strict(REGTYPE_IN, 1..=1, "oid", regtype_in),
    strict(REGTYPE_OUT, 1..=1, "text", regtype_out),
    strict(REGNAMESPACE_IN, 1..=1, "oid", regnamespace_in),
    strict(REGNAMESPACE_OUT, 1..=1, "text", regnamespace_out),
    strict(REGPROC_IN, 1..=1, "oid", regproc_in),
    strict(REGPROC_OUT, 1..=1, "text", regproc_out),
    strict(REGROLE_IN, 1..=1, "oid", regrole_in),
    strict(REGROLE_OUT, 1..=1, "text", regrole_out),
    lenient("pg_typeof", 1..=1, "text", type_of),
];

fn always(_: &Call<'_>) -> Result<Cell> {
    Ok(true.into())
}

fn table_is_visible(call: &Call<'_>) -> Result<Cell> {
    let class = call.system.objects().class_by_oid(call.oid(0));
    Ok(class.map(|class| is_visible(call.system, class)).into())
}

/// A relation is visible if no schema before its own in the path has one of its name.
pub(super) fn is_visible(system: &System, class: &Class) -> bool {
    let objects = system.objects();
    let path = system.lookup_path();
    let first = path.iter().find(|s| objects.class_by_name(s, &class.name).is_some());
    first.is_some_and(|schema| *schema == class.schema)
}

fn function_is_visible(call: &Call<'_>) -> Result<Cell> {
    let path = call.system.lookup_path();
    let model = call.system.objects().models.iter().find(|m| m.oid == call.oid(0));
    Ok(model.is_none_or(|model| path.contains(&model.name.schema.as_str())).into())
}

fn user_by_id(call: &Call<'_>) -> Result<Cell> {
    let oid = call.oid(0);
    let name = call.system.objects().role_name(oid).map(str::to_owned);
    Ok(name.unwrap_or_else(|| format!("unknown (OID={oid})")).into())
}

fn format_type(call: &Call<'_>) -> Result<Cell> {
    let Some(oid) = call.argument(0).oid() else { return Ok(Cell::Null) };
    Ok(types::format(oid, call.argument(1).int().unwrap_or(-1)).into())
}

/// A possibly qualified and quoted name in its parts, folded.
pub(super) fn split_name(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut chars) = (false, text.trim().chars().peekable());
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => part.extend(chars.next()),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if quoted => part.push(c),
            c => part.push(c.to_ascii_lowercase()),
        }
    }
    parts
}

/// The class that the first argument names: an OID, or a name in the search path.
pub(super) fn find_class<'a>(call: &Call<'a>) -> Result<Option<&'a Class>> {
    Ok(class_of(call.system, call.argument(0)))
}

/// The class that an OID or a name means.
pub(super) fn class_of<'a>(system: &'a System, cell: &Cell) -> Option<&'a Class> {
    let objects = system.objects();
    if let Some(oid) = cell.oid() {
        return objects.class_by_oid(oid);
    }
    let parts = split_name(cell.text()?);
    match parts.as_slice() {
        [name] => {
            let path = system.lookup_path();
            path.iter().find_map(|schema| objects.class_by_name(schema, name))
        }
        [schema, name] => objects.class_by_name(schema, name),
        [database, schema, name] if *database == system.context.database => {
            objects.class_by_name(schema, name)
        }
        _ => None,
    }
}

fn oid_in(call: &Call<'_>) -> Result<Cell> {
    match call.argument(0).oid() {
        Some(oid) => Ok(oid.into()),
        None => Err(Error::new(
            SqlState::InvalidTextRepresentation,
            format!("invalid input syntax for type oid: \"{}\"", call.text(0)),
        )),
    }
}

fn regclass_in(call: &Call<'_>) -> Result<Cell> {
    if let Some(oid) = call.argument(0).oid() {
        return Ok(oid.into());
    }
    match find_class(call)? {
        Some(class) => Ok(class.oid.into()),
        None => Err(Error::new(
            SqlState::UndefinedTable,
            format!("relation \"{}\" does not exist", split_name(call.text(0)).join(".")),
        )),
    }
}

fn regclass_out(call: &Call<'_>) -> Result<Cell> {
    let oid = regclass_in(call)?.oid().unwrap_or_default();
    Ok(match call.system.objects().class_by_oid(oid) {
        None if oid == 0 => "-".into(),
        None => oid.to_string().into(),
        Some(class) if is_visible(call.system, class) => quote_ident(&class.name).into(),
        Some(class) => {
            format!("{}.{}", quote_ident(&class.schema), quote_ident(&class.name)).into()
        }
    })
}

fn regtype_in(call: &Call<'_>) -> Result<Cell> {
    if let Some(oid) = call.argument(0).oid() {
        return Ok(oid.into());
    }
    match types::parse_name(call.text(0)) {
        Some(pg_type) => Ok(pg_type.oid.into()),
        None => Err(undefined("type", call.text(0))),
    }
}

fn regtype_out(call: &Call<'_>) -> Result<Cell> {
    let oid = regtype_in(call)?.oid().unwrap_or_default();
    Ok(match types::by_oid(oid) {
        None if oid != 0 => oid.to_string().into(),
        _ => types::format(oid, -1).into(),
    })
}

fn undefined(kind: &str, name: &str) -> Error {
    Error::new(SqlState::UndefinedObject, format!("{kind} \"{name}\" does not exist"))
}

fn namespace_oid(call: &Call<'_>) -> Option<u32> {
    let name = split_name(call.text(0)).pop()?;
    call.system.objects().namespace(&name).map(|n| n.oid)
}

fn regnamespace_in(call: &Call<'_>) -> Result<Cell> {
    match call.argument(0).oid().or_else(|| namespace_oid(call)) {
        Some(oid) => Ok(oid.into()),
        None => Err(Error::new(
            SqlState::InvalidSchemaName,
            format!("schema \"{}\" does not exist", call.text(0)),
        )),
    }
}

fn regnamespace_out(call: &Call<'_>) -> Result<Cell> {
    let oid = regnamespace_in(call)?.oid().unwrap_or_default();
    let namespace = call.system.objects().namespace_by_oid(oid);
    Ok(namespace.map_or_else(|| oid_text(oid), |n| quote_ident(&n.name)).into())
}

fn oid_text(oid: u32) -> String {
    if oid == 0 { "-".to_owned() } else { oid.to_string() }
}

fn role_oid(call: &Call<'_>) -> Option<u32> {
    call.system.objects().role_oid(&split_name(call.text(0)).pop()?)
}

fn regrole_in(call: &Call<'_>) -> Result<Cell> {
    match call.argument(0).oid().or_else(|| role_oid(call)) {
        Some(oid) => Ok(oid.into()),
        None => Err(undefined("role", call.text(0))),
    }
}

fn regrole_out(call: &Call<'_>) -> Result<Cell> {
    let oid = regrole_in(call)?.oid().unwrap_or_default();
    Ok(call.system.objects().role_name(oid).map_or_else(|| oid_text(oid), quote_ident).into())
}

/// Names and OIDs of pg_proc's embedded rows.
fn functions() -> &'static HashMap<u32, &'static str> {
    static ALL: OnceLock<HashMap<u32, &'static str>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = include_str!("../../../sql/system/pg_proc.tsv");
        let row = |line: &'static str| {
            let mut parts = line.split('\t');
            Some((parts.next()?.parse().ok()?, parts.next()?))
        };
        text.lines().skip(1).filter_map(row).collect()
    })
}

/// The functions of a name that PostgreSQL has too; one of several is none that a name tells.
fn builtin_oids(name: &str) -> Vec<u32> {
    let bare = split_name(name).pop().unwrap_or_default();
    functions().iter().filter(|(_, n)| **n == bare).map(|(oid, _)| *oid).collect()
}

fn function_oid(system: &System, name: &str) -> Option<u32> {
    let parts = split_name(name);
    let bare = parts.last()?;
    let model = system.objects().models.iter().find(|model| {
        model.name.name == *bare && (parts.len() == 1 || parts[0] == model.name.schema)
    });
    let builtin = || match builtin_oids(bare)[..] {
        [oid] => Some(oid),
        _ => None,
    };
    if parts.len() > 1 && parts[0] == PG_CATALOG {
        return builtin();
    }
    builtin().or_else(|| model.map(|m| m.oid))
}

fn regproc_in(call: &Call<'_>) -> Result<Cell> {
    match call.argument(0).oid().or_else(|| function_oid(call.system, call.text(0))) {
        Some(oid) => Ok(oid.into()),
        None if builtin_oids(call.text(0)).len() > 1 => Err(Error::new(
            SqlState::AmbiguousFunction,
            format!("more than one function named \"{}\"", call.text(0)),
        )),
        None => Err(Error::new(
            SqlState::UndefinedFunction,
            format!("function \"{}\" does not exist", call.text(0)),
        )),
    }
}

fn regproc_out(call: &Call<'_>) -> Result<Cell> {
    let oid = regproc_in(call)?.oid().unwrap_or_default();
    let model = || call.system.objects().models.iter().find(|m| m.oid == oid);
    let name = functions().get(&oid).copied().map(str::to_owned);
    Ok(name
        .or_else(|| model().map(|m| m.name.name.clone()))
        .unwrap_or_else(|| oid_text(oid))
        .into())
}

/// The SQL name of the argument's type, from its field.
fn type_of(call: &Call<'_>) -> Result<Cell> {
    let Some(field) = call.fields.first() else { return Ok(Cell::Null) };
    let marked = field.metadata().get(crate::format::PG_TYPE_KEY);
    if let Some(pg_type) = marked.and_then(|name| types::by_name(name)) {
        return Ok(types::format(pg_type.oid, -1).into());
    }
    if matches!(field.data_type(), DataType::Interval(_) | DataType::Duration(_)) {
        return Ok("interval".to_owned().into());
    }
    let sql_type = crate::catalog::SqlType::from_arrow(field.data_type());
    Ok(sql_type
        .map_or("unknown".to_owned(), |t| types::format(types::of_sql_type(&t).0, -1))
        .into())
}

#[cfg(test)]
mod tests {
    use super::split_name;

    #[test]
    fn names_split_as_identifiers() {
        assert_eq!(split_name("Sales.Orders"), ["sales", "orders"]);
        assert_eq!(split_name("\"A.b\".\"c\"\"d\""), ["A.b", "c\"d"]);
    }
}
