//! Schemas, relations, columns, indexes and constraints: what `\d` and reflection read.

use crate::system::System;
use crate::system::objects::{Class, Source};
use crate::system::rows::{Cell, Rows};
use crate::system::types;

/// The OID of the access method that pg_am calls `delta`.
const DELTA: u32 = 2;
/// The OID of the btree access method, which the index of a primary key names.
const BTREE: u32 = 403;
/// pg_class's own OID, as pg_description and pg_depend name it.
const PG_CLASS: u32 = 1259;

pub(super) fn namespaces(system: &System, rows: &mut Rows) {
    for namespace in &system.objects().namespaces {
        rows.push([
            ("oid", namespace.oid.into()),
            ("nspname", (&namespace.name).into()),
            ("nspowner", namespace.owner.into()),
        ]);
    }
}

pub(super) fn classes(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for class in &objects.classes {
        let of_class = || objects.constraints_of().filter(|(_, owner)| owner.oid == class.oid);
        rows.push([
            ("oid", class.oid.into()),
            ("relname", (&class.name).into()),
            ("relnamespace", class.namespace.into()),
            ("relowner", class.owner.into()),
            ("relam", access_method(class).into()),
            ("relfilenode", if class.kind == 'v' { 0 } else { class.oid }.into()),
            ("reltuples", (-1).into()),
            ("relhasindex", of_class().any(|(c, _)| c.kind == 'p').into()),
            ("relpersistence", 'p'.into()),
            ("relkind", class.kind.into()),
            ("relnatts", i64::try_from(class.attributes.len()).unwrap_or(i64::MAX).into()),
            ("relchecks", i64::from(count(of_class().filter(|(c, _)| c.kind == 'c'))).into()),
            ("relhasrules", (class.kind == 'v').into()),
            ("relispopulated", true.into()),
            ("relreplident", if class.kind == 'r' { 'd' } else { 'n' }.into()),
            ("reloptions", options(class)),
        ]);
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> i32 {
    i32::try_from(items.count()).unwrap_or(i32::MAX)
}

fn access_method(class: &Class) -> u32 {
    match class.kind {
        'r' => DELTA,
        'i' => BTREE,
        _ => 0,
    }
}

/// Delta table properties, in the form of storage parameters.
fn options(class: &Class) -> Cell {
    match &class.source {
        Source::Table(table) if !table.properties.is_empty() => {
            let options = table.properties.iter().map(|(name, value)| format!("{name}={value}"));
            options.collect::<Vec<_>>().into()
        }
        _ => Cell::Null,
    }
}

pub(super) fn attributes(system: &System, rows: &mut Rows) {
    for class in &system.objects().classes {
        for (number, attribute) in (1i32..).zip(&class.attributes) {
            let Some(pg_type) = types::by_oid(attribute.type_oid) else { continue };
            rows.push([
                ("attrelid", class.oid.into()),
                ("attname", (&attribute.name).into()),
                ("atttypid", attribute.type_oid.into()),
                ("attstattarget", (-1).into()),
                ("attlen", pg_type.length.into()),
                ("attnum", number.into()),
                ("attndims", attribute.dimensions.into()),
                ("attcacheoff", (-1).into()),
                ("atttypmod", attribute.typmod.into()),
                ("attbyval", pg_type.by_value.into()),
                ("attalign", pg_type.align.into()),
                ("attstorage", pg_type.storage.into()),
                ("attnotnull", attribute.not_null.into()),
                ("atthasdef", attribute.default.is_some().into()),
                ("attislocal", true.into()),
                ("attcollation", pg_type.collation.into()),
            ]);
        }
    }
}

pub(super) fn defaults(system: &System, rows: &mut Rows) {
    for class in &system.objects().classes {
        for (index, attribute) in class.attributes.iter().enumerate() {
            let Some(default) = &attribute.default else { continue };
            rows.push([
                ("oid", class.default_oid(index + 1).into()),
                ("adrelid", class.oid.into()),
                ("adnum", i64::try_from(index + 1).unwrap_or(i64::MAX).into()),
                ("adbin", default.into()),
            ]);
        }
    }
}

pub(super) fn indexes(system: &System, rows: &mut Rows) {
    let keys = system.objects().constraints_of().filter(|(c, _)| c.kind == 'p');
    for (key, class) in keys {
        let columns =
            key.key.iter().filter_map(|n| class.attributes.get(usize::try_from(n - 1).ok()?));
        let column_types: Vec<_> = columns.filter_map(|a| types::by_oid(a.type_oid)).collect();
        let width = i64::try_from(key.key.len()).unwrap_or(i64::MAX);
        rows.push([
            ("indexrelid", key.index.into()),
            ("indrelid", class.oid.into()),
            ("indnatts", width.into()),
            ("indnkeyatts", width.into()),
            ("indisunique", true.into()),
            ("indisprimary", true.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indkey", key.key.clone().into()),
            ("indcollation", column_types.iter().map(|t| t.collation).collect::<Vec<_>>().into()),
            (
                "indclass",
                column_types
                    .iter()
                    .map(|t| types::operator_class(t.oid))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            ("indoption", vec![0i16; key.key.len()].into()),
        ]);
    }
}

pub(super) fn constraints(system: &System, rows: &mut Rows) {
    for (constraint, class) in system.objects().constraints_of() {
        let key =
            if constraint.key.is_empty() { Cell::Null } else { constraint.key.clone().into() };
        rows.push([
            ("oid", constraint.oid.into()),
            ("conname", (&constraint.name).into()),
            ("connamespace", class.namespace.into()),
            ("contype", constraint.kind.into()),
            ("convalidated", true.into()),
            ("conrelid", class.oid.into()),
            ("conindid", constraint.index.into()),
            ("confupdtype", ' '.into()),
            ("confdeltype", ' '.into()),
            ("confmatchtype", ' '.into()),
            ("conislocal", true.into()),
            ("connoinherit", (constraint.kind == 'p').into()),
            ("conkey", key),
            ("conbin", (constraint.kind == 'c').then_some(&constraint.definition).into()),
        ]);
    }
}

pub(super) fn descriptions(system: &System, rows: &mut Rows) {
    for class in &system.objects().classes {
        if let Some(comment) = comment(class) {
            rows.push([
                ("objoid", class.oid.into()),
                ("classoid", PG_CLASS.into()),
                ("description", comment.into()),
            ]);
        }
    }
}

/// The comment of a class.
pub(in crate::system) fn comment(class: &Class) -> Option<&str> {
    match &class.source {
        Source::Table(table) => table.comment.as_deref(),
        _ => None,
    }
}

pub(super) fn tables(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for class in objects.classes.iter().filter(|c| c.kind == 'r') {
        rows.push([
            ("schemaname", (&class.schema).into()),
            ("tablename", (&class.name).into()),
            ("tableowner", objects.role_name(class.owner).into()),
            (
                "hasindexes",
                objects.constraints_of().any(|(c, o)| c.kind == 'p' && o.oid == class.oid).into(),
            ),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]);
    }
}

pub(super) fn views(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for class in objects.classes.iter().filter(|c| c.kind == 'v') {
        rows.push([
            ("schemaname", (&class.schema).into()),
            ("viewname", (&class.name).into()),
            ("viewowner", objects.role_name(class.owner).into()),
            ("definition", view_text(class).into()),
        ]);
    }
}

/// A view's query with the semicolon that PostgreSQL ends it with.
pub(in crate::system) fn view_text(class: &Class) -> Option<String> {
    match &class.source {
        Source::View(view) => {
            Some(format!(" {};", view.query.trim().trim_end_matches(';').trim_end()))
        }
        _ => None,
    }
}

pub(super) fn index_list(system: &System, rows: &mut Rows) {
    let keys = system.objects().constraints_of().filter(|(c, _)| c.kind == 'p');
    for (key, class) in keys {
        rows.push([
            ("schemaname", (&class.schema).into()),
            ("tablename", (&class.name).into()),
            ("indexname", (&key.name).into()),
            ("indexdef", crate::system::functions::index_definition(key, class, false).into()),
        ]);
    }
}

pub(super) fn table_statistics(system: &System, name: &str, rows: &mut Rows) {
    let all = name == "pg_stat_all_tables";
    let tables = system.objects().classes.iter().filter(|c| c.kind == 'r');
    for class in tables.filter(|c| all || !c.is_system()) {
        rows.push([
            ("relid", class.oid.into()),
            ("schemaname", (&class.schema).into()),
            ("relname", (&class.name).into()),
        ]);
    }
}
