//! The rows of information_schema, in PostgreSQL's columns and words.

use super::System;
use super::objects::{Attribute, Class, Constraint, PG_CATALOG, Source};
use super::pg_catalog::{ModelSignature, view_text};
use super::rows::{Cell, Rows};
use super::types;

/// Fills the relation of this name. The others have no rows: there are no foreign keys, sequences, triggers.
pub(super) fn fill(system: &System, name: &str, rows: &mut Rows) {
    match name {
        "information_schema_catalog_name" => {
            rows.push([("catalog_name", (&system.context.database).into())]);
        }
        "schemata" => schemata(system, rows),
        "tables" => tables(system, rows),
        "columns" => columns(system, rows),
        "views" => views(system, rows),
        "table_constraints" => table_constraints(system, rows),
        "key_column_usage" => key_columns(system, rows, "ordinal_position"),
        "constraint_column_usage" => constraint_columns(system, rows),
        "check_constraints" => check_constraints(system, rows),
        "table_privileges" | "role_table_grants" => table_privileges(system, rows),
        "column_privileges" => column_privileges(system, rows),
        "routines" => routines(system, rows),
        "character_sets" => rows.push([
            ("character_set_name", "UTF8".into()),
            ("character_repertoire", "UCS".into()),
            ("form_of_use", "UTF8".into()),
            ("default_collate_catalog", (&system.context.database).into()),
        ]),
        "enabled_roles" => {
            rows.push([("role_name", (&system.context.role).into())]);
        }
        _ => {}
    }
}

fn schemata(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for namespace in &objects.namespaces {
        rows.push([
            ("catalog_name", (&system.context.database).into()),
            ("schema_name", (&namespace.name).into()),
            ("schema_owner", objects.role_name(namespace.owner).into()),
        ]);
    }
}

fn tables(system: &System, rows: &mut Rows) {
    for class in system.objects().relations() {
        let table = class.kind == 'r';
        rows.push([
            ("table_catalog", (&system.context.database).into()),
            ("table_schema", (&class.schema).into()),
            ("table_name", (&class.name).into()),
            ("table_type", if table { "BASE TABLE" } else { "VIEW" }.into()),
            ("is_insertable_into", yes_no(is_writable(class))),
            ("is_typed", "NO".into()),
        ]);
    }
}

fn is_writable(class: &Class) -> bool {
    matches!(class.source, Source::Table(_))
}

fn yes_no(yes: bool) -> Cell {
    if yes { "YES" } else { "NO" }.into()
}

fn columns(system: &System, rows: &mut Rows) {
    for class in system.objects().relations() {
        for (number, attribute) in (1i32..).zip(&class.attributes) {
            push_column(system, class, number, attribute, rows);
        }
    }
}

fn push_column(system: &System, class: &Class, number: i32, column: &Attribute, rows: &mut Rows) {
    let Some(pg_type) = types::by_oid(column.type_oid) else { return };
    let is_array = pg_type.category == "A";
    let data_type = if is_array { "ARRAY".to_owned() } else { types::format(pg_type.oid, -1) };
    let (precision, radix, scale) = numeric_facts(pg_type.name, column.typmod);
    let length = (pg_type.name == "varchar" && column.typmod >= 4).then(|| column.typmod - 4);
    let is_time = matches!(pg_type.name, "time" | "timetz" | "timestamp" | "timestamptz");
    let time_precision = if is_time { Some(6) } else { (pg_type.name == "date").then_some(0) };
    rows.push([
        ("table_catalog", (&system.context.database).into()),
        ("table_schema", (&class.schema).into()),
        ("table_name", (&class.name).into()),
        ("column_name", (&column.name).into()),
        ("ordinal_position", number.into()),
        ("column_default", column.default.as_ref().into()),
        ("is_nullable", yes_no(!column.not_null)),
        ("data_type", data_type.into()),
        ("character_maximum_length", length.into()),
        ("character_octet_length", octets(pg_type.name, length).into()),
        ("numeric_precision", precision.into()),
        ("numeric_precision_radix", radix.into()),
        ("numeric_scale", scale.into()),
        ("datetime_precision", time_precision.into()),
        ("udt_catalog", (&system.context.database).into()),
        ("udt_schema", PG_CATALOG.into()),
        ("udt_name", pg_type.name.into()),
        ("dtd_identifier", number.to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", yes_no(is_writable(class))),
    ]);
}

/// The bytes that a text column can hold: four for each character, a gigabyte without a limit.
fn octets(type_name: &str, length: Option<i32>) -> Option<i32> {
    match (type_name, length) {
        (_, Some(length)) => Some(length.saturating_mul(4)),
        ("text" | "varchar", None) => Some(1 << 30),
        _ => None,
    }
}

/// numeric_precision, numeric_precision_radix and numeric_scale.
fn numeric_facts(name: &str, typmod: i32) -> (Option<i32>, Option<i32>, Option<i32>) {
    match name {
        "int2" => (Some(16), Some(2), Some(0)),
        "int4" => (Some(32), Some(2), Some(0)),
        "int8" => (Some(64), Some(2), Some(0)),
        "float4" => (Some(24), Some(2), None),
        "float8" => (Some(53), Some(2), None),
        "numeric" if typmod >= 4 => {
            (Some((typmod - 4) >> 16 & 0xffff), Some(10), Some((typmod - 4) & 0x7ff))
        }
        "numeric" => (None, Some(10), None),
        _ => (None, None, None),
    }
}

fn views(system: &System, rows: &mut Rows) {
    for class in system.objects().relations().filter(|c| c.kind == 'v') {
        rows.push([
            ("table_catalog", (&system.context.database).into()),
            ("table_schema", (&class.schema).into()),
            ("table_name", (&class.name).into()),
            ("view_definition", view_text(class).into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
            ("is_trigger_updatable", "NO".into()),
            ("is_trigger_deletable", "NO".into()),
            ("is_trigger_insertable_into", "NO".into()),
        ]);
    }
}

fn table_constraints(system: &System, rows: &mut Rows) {
    let named = system.objects().constraints_of().map(|(constraint, class)| {
        let kind = if constraint.kind == 'p' { "PRIMARY KEY" } else { "CHECK" };
        (constraint.name.clone(), class, kind)
    });
    let not_null = not_null_columns(system).map(|(name, class, _)| (name, class, "CHECK"));
    for (name, class, kind) in named.chain(not_null) {
        rows.push([
            ("constraint_catalog", (&system.context.database).into()),
            ("constraint_schema", (&class.schema).into()),
            ("constraint_name", name.into()),
            ("table_catalog", (&system.context.database).into()),
            ("table_schema", (&class.schema).into()),
            ("table_name", (&class.name).into()),
            ("constraint_type", kind.into()),
            ("is_deferrable", "NO".into()),
            ("initially_deferred", "NO".into()),
            ("enforced", "YES".into()),
        ]);
    }
}

/// NOT NULL of users' tables, named as PostgreSQL names them here.
fn not_null_columns(system: &System) -> impl Iterator<Item = (String, &Class, &Attribute)> {
    let tables = system.objects().classes.iter().filter(|c| is_writable(c));
    tables.flat_map(|class| {
        let columns = (1..).zip(&class.attributes).filter(|(_, a)| a.not_null);
        columns.map(move |(number, attribute)| {
            (format!("{}_{}_{number}_not_null", class.namespace, class.oid), class, attribute)
        })
    })
}

fn check_constraints(system: &System, rows: &mut Rows) {
    let checks = system.objects().constraints_of().filter(|(c, _)| c.kind == 'c');
    let checks = checks.map(|(check, class)| {
        let clause = check.definition.trim_start_matches("CHECK ").to_owned();
        (check.name.clone(), class, clause)
    });
    let not_null = not_null_columns(system)
        .map(|(name, class, column)| (name, class, format!("{} IS NOT NULL", column.name)));
    for (name, class, clause) in checks.chain(not_null) {
        rows.push([
            ("constraint_catalog", (&system.context.database).into()),
            ("constraint_schema", (&class.schema).into()),
            ("constraint_name", name.into()),
            ("check_clause", clause.into()),
        ]);
    }
}

fn primary_keys(system: &System) -> impl Iterator<Item = (&Constraint, &Class)> {
    system.objects().constraints_of().filter(|(c, _)| c.kind == 'p')
}

fn key_columns(system: &System, rows: &mut Rows, position: &str) {
    for (key, class) in primary_keys(system) {
        for (number, column) in (1i32..).zip(&key.columns) {
            rows.push([
                ("constraint_catalog", (&system.context.database).into()),
                ("constraint_schema", (&class.schema).into()),
                ("constraint_name", (&key.name).into()),
                ("table_catalog", (&system.context.database).into()),
                ("table_schema", (&class.schema).into()),
                ("table_name", (&class.name).into()),
                ("column_name", column.into()),
                (position, number.into()),
            ]);
        }
    }
}

fn constraint_columns(system: &System, rows: &mut Rows) {
    for (key, class) in primary_keys(system) {
        for column in &key.columns {
            rows.push([
                ("table_catalog", (&system.context.database).into()),
                ("table_schema", (&class.schema).into()),
                ("table_name", (&class.name).into()),
                ("column_name", column.into()),
                ("constraint_catalog", (&system.context.database).into()),
                ("constraint_schema", (&class.schema).into()),
                ("constraint_name", (&key.name).into()),
            ]);
        }
    }
}

/// The rights that an owner has on a table.
const OWNER_RIGHTS: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];

fn table_privileges(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for class in objects.relations().filter(|c| !c.is_system()) {
        let owner = objects.role_name(class.owner);
        for right in OWNER_RIGHTS {
            rows.push([
                ("grantor", owner.into()),
                ("grantee", owner.into()),
                ("table_catalog", (&system.context.database).into()),
                ("table_schema", (&class.schema).into()),
                ("table_name", (&class.name).into()),
                ("privilege_type", right.into()),
                ("is_grantable", "YES".into()),
                ("with_hierarchy", yes_no(right == "SELECT")),
            ]);
        }
    }
}

fn column_privileges(system: &System, rows: &mut Rows) {
    let objects = system.objects();
    for class in objects.relations().filter(|c| !c.is_system()) {
        let owner = objects.role_name(class.owner);
        for column in &class.attributes {
            for right in ["SELECT", "INSERT", "UPDATE"] {
                rows.push([
                    ("grantor", owner.into()),
                    ("grantee", owner.into()),
                    ("table_catalog", (&system.context.database).into()),
                    ("table_schema", (&class.schema).into()),
                    ("table_name", (&class.name).into()),
                    ("column_name", (&column.name).into()),
                    ("privilege_type", right.into()),
                    ("is_grantable", "YES".into()),
                ]);
            }
        }
    }
}

fn routines(system: &System, rows: &mut Rows) {
    for model in &system.objects().models {
        let result = types::format(ModelSignature::of(model).result, -1);
        rows.push([
            ("specific_catalog", (&system.context.database).into()),
            ("specific_schema", (&model.name.schema).into()),
            ("specific_name", format!("{}_{}", model.name.name, model.oid).into()),
            ("routine_catalog", (&system.context.database).into()),
            ("routine_schema", (&model.name.schema).into()),
            ("routine_name", (&model.name.name).into()),
            ("routine_type", "FUNCTION".into()),
            ("data_type", result.into()),
            ("routine_body", "EXTERNAL".into()),
            ("external_language", "SQL".into()),
        ]);
    }
}
