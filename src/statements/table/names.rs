//! Names of objects that statements create or drop.

use crate::catalog::CatalogOp;
use crate::catalog::{CatalogState, Dependency, QualifiedName, Relation};
use crate::error::{Error, Notice, Result};
use crate::planner::split_name;
use crate::sqlstate::SqlState;
use crate::statements::Execution;
use crate::suggest;

/// Schemas that no user writes to.
const RESERVED: &[&str] = &["ml", "system", "information_schema", "pg_catalog"];

/// True for schemas that belong to the system.
pub fn is_reserved_schema(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("pg_") || name.starts_with('_')
}

/// The schema that a new object goes to.
///
/// # Errors
/// 3F000 if it does not exist, 42501 if it is the system's.
pub fn creation_schema(cx: &Execution<'_>, given: Option<&str>) -> Result<String> {
    let catalog = cx.transaction.catalog();
    let name = match given {
        Some(schema) => schema.to_owned(),
        None => cx
            .environment
            .search_path
            .iter()
            .find(|s| catalog.schema(s).is_some())
            .cloned()
            .ok_or_else(|| {
                Error::new(SqlState::InvalidSchemaName, "no schema has been selected to create in")
            })?,
    };
    if is_reserved_schema(&name) {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied for schema {name}"),
        )
        .hint("Schemas of the system hold no objects of users."));
    }
    if catalog.schema(&name).is_none() {
        return Err(missing_schema(&catalog, &name));
    }
    Ok(name)
}

/// 3F000, with the nearest name.
pub fn missing_schema(catalog: &CatalogState, name: &str) -> Error {
    let known: Vec<&str> = catalog.schemas().map(|s| s.name.as_str()).collect();
    Error::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist"))
        .maybe_hint(suggest::hint("schema", name, &known))
}

/// The qualified name of a new object.
///
/// # Errors
/// As [`creation_schema`]; 42939 for names that begin with `_`, 42622 for ones that are too long.
pub fn new_name(cx: &Execution<'_>, parts: &[String]) -> Result<QualifiedName> {
    let (schema, name) = split_name(parts.to_vec())?;
    check_new_name(&name)?;
    Ok(QualifiedName::new(creation_schema(cx, schema.as_deref())?, name))
}

/// Refuses names that cannot be taken.
///
/// # Errors
/// 42939, 42622, 42602.
pub fn check_new_name(name: &str) -> Result<()> {
    if name.starts_with('_') {
        return Err(Error::new(SqlState::ReservedName, format!("name \"{name}\" is reserved"))
            .hint("Names that begin with an underscore belong to the system."));
    }
    if name.len() > 63 {
        return Err(Error::new(
            SqlState::NameTooLong,
            format!("identifier \"{name}\" is too long"),
        )
        .hint("A name has at most 63 bytes."));
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::new(
            SqlState::InvalidName,
            "a name must not be empty or hold control characters",
        ));
    }
    Ok(())
}

/// The name of an object that is to be dropped, as far as the search_path finds one for which
/// `exists` is true; else its name in the first schema, for the error.
pub fn find_name(
    cx: &Execution<'_>,
    parts: &[String],
    exists: impl Fn(&QualifiedName) -> bool,
) -> Result<Option<QualifiedName>> {
    let (schema, name) = split_name(parts.to_vec())?;
    let schemas = match schema {
        Some(schema) => vec![schema],
        None => cx.environment.search_path.clone(),
    };
    Ok(schemas.into_iter().map(|s| QualifiedName::new(s, &name)).find(|n| exists(n)))
}

/// What DROP does with objects that depend on the dropped one: RESTRICT refuses, CASCADE drops
/// them first (models keep what they learnt, so they are never dropped with a table).
///
/// # Errors
/// 2BP01 under RESTRICT, with the dependents in the detail.
pub fn drop_dependents(
    cx: &Execution<'_>,
    what: &str,
    on: &Dependency,
    cascade: bool,
) -> Result<()> {
    let (views, models) = cx.transaction.catalog().dependents(on);
    if views.is_empty() && models.is_empty() {
        return Ok(());
    }
    if !cascade {
        let lines: Vec<String> = views
            .iter()
            .map(|v| format!("view {} depends on {what}", v.name))
            .chain(models.iter().map(|m| format!("model {} is trained on {what}", m.name)))
            .collect();
        return Err(Error::new(
            SqlState::DependentObjectsStillExist,
            format!("cannot drop {what} because other objects depend on it"),
        )
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for view in views {
        drop_dependents(cx, &format!("view {}", view.name), &Dependency::View(view.oid), true)?;
        let still_there = cx.transaction.catalog().relation(&view.name).is_some();
        if still_there {
            cx.transaction.apply(CatalogOp::DropView {
                schema: view.name.schema.clone(),
                name: view.name.name.clone(),
            })?;
            cx.notice(Notice::notice(format!("drop cascades to view {}", view.name)));
        }
    }
    for model in models {
        cx.notice(Notice::notice(format!(
            "model {} keeps its versions but cannot be trained again from its query",
            model.name
        )));
    }
    Ok(())
}

/// The error for an object of another kind under the name, if there is one.
pub fn wrong_kind(relation: &Relation, wanted: &str) -> Error {
    let (name, is) = match relation {
        Relation::Table(t) => (&t.name.name, "table"),
        Relation::View(v) => (&v.name.name, "view"),
    };
    Error::new(SqlState::WrongObjectType, format!("\"{name}\" is not a {wanted}"))
        .hint(format!("Use DROP {} to remove a {is}.", is.to_uppercase()))
}
