//! The server itself: database, roles, settings, sessions, and functions with models among them.

use super::SYSTEM_OWNER;
use crate::catalog::Model;
use crate::system::System;
use crate::system::functions::signatures;
use crate::system::objects::{BOOTSTRAP_OID, DATABASE_OID, function_oid};
use crate::system::rows::{Cell, Rows};
use crate::system::types;
use std::collections::HashSet;

/// PostgreSQL's number for UTF8.
const UTF8: i32 = 6;
/// The tablespace pg_default.
const PG_DEFAULT: u32 = 1663;
/// The schema pg_catalog.
const PG_CATALOG_OID: u32 = 11;
/// The language of functions that are part of the program.
const LANGUAGE_INTERNAL: u32 = 12;
/// The language that a model's function names, for want of one of its own.
const LANGUAGE_SQL: u32 = 14;

pub(super) fn database(system: &System, rows: &mut Rows) {
    rows.push([
        ("oid", DATABASE_OID.into()),
        ("datname", (&system.context.database).into()),
        ("datdba", BOOTSTRAP_OID.into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", 'c'.into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("dattablespace", PG_DEFAULT.into()),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ]);
}

pub(super) fn roles(system: &System, rows: &mut Rows) {
    for role in &system.objects().roles {
        let bootstrap: Cell = (role.oid == BOOTSTRAP_OID).into();
        rows.push([
            ("rolname", (&role.name).into()),
            ("rolsuper", bootstrap.clone()),
            ("rolinherit", true.into()),
            ("rolcreaterole", bootstrap.clone()),
            ("rolcreatedb", bootstrap.clone()),
            ("rolcanlogin", true.into()),
            ("rolreplication", false.into()),
            ("rolconnlimit", (-1).into()),
            ("rolpassword", "********".into()),
            ("rolbypassrls", bootstrap),
            ("oid", role.oid.into()),
        ]);
    }
}

pub(super) fn users(system: &System, rows: &mut Rows) {
    for role in &system.objects().roles {
        let bootstrap: Cell = (role.oid == BOOTSTRAP_OID).into();
        rows.push([
            ("usename", (&role.name).into()),
            ("usesysid", role.oid.into()),
            ("usecreatedb", bootstrap.clone()),
            ("usesuper", bootstrap.clone()),
            ("userepl", false.into()),
            ("usebypassrls", bootstrap),
            ("passwd", "********".into()),
        ]);
    }
}

pub(super) fn settings(system: &System, rows: &mut Rows) {
    for setting in &system.context.settings {
        rows.push([
            ("name", (&setting.name).into()),
            ("setting", (&setting.value).into()),
            ("category", "Cenote".into()),
            ("short_desc", (&setting.description).into()),
            ("context", "user".into()),
            ("vartype", "string".into()),
            ("source", "session".into()),
            ("boot_val", (&setting.value).into()),
            ("reset_val", (&setting.value).into()),
            ("pending_restart", false.into()),
        ]);
    }
}

pub(super) fn activity(system: &System, rows: &mut Rows) {
    for session in &system.context.sessions {
        rows.push([
            ("datid", DATABASE_OID.into()),
            ("datname", (&system.context.database).into()),
            ("pid", session.pid.into()),
            ("usesysid", system.objects().role_oid(&session.role).into()),
            ("usename", (&session.role).into()),
            ("application_name", (&session.application_name).into()),
            ("state", (&session.state).into()),
            ("query", (&session.query).into()),
            ("backend_type", "client backend".into()),
        ]);
    }
}

pub(super) fn time_zones(rows: &mut Rows) {
    for zone in chrono_tz::TZ_VARIANTS {
        rows.push([("name", zone.name().into())]);
    }
}

pub(super) fn functions(system: &System, rows: &mut Rows) {
    let known = include_str!("../../../sql/system/pg_proc.tsv");
    rows.push_file(known);
    let names: HashSet<&str> = known.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    for (name, arguments, result) in signatures().filter(|(name, ..)| !names.contains(name)) {
        rows.push([
            ("oid", function_oid(name).into()),
            ("proname", name.into()),
            ("pronamespace", PG_CATALOG_OID.into()),
            ("proowner", SYSTEM_OWNER.into()),
            ("prolang", LANGUAGE_INTERNAL.into()),
            ("procost", 1.into()),
            ("prokind", 'f'.into()),
            ("provolatile", 's'.into()),
            ("proparallel", 's'.into()),
            ("pronargs", i64::try_from(arguments).unwrap_or(i64::MAX).into()),
            ("prorettype", types::by_name(result).map_or(0, |t| t.oid).into()),
            ("prosrc", name.into()),
        ]);
    }
    let objects = system.objects();
    for model in &objects.models {
        let signature = ModelSignature::of(model);
        rows.push([
            ("oid", model.oid.into()),
            ("proname", (&model.name.name).into()),
            ("pronamespace", objects.namespace(&model.name.schema).map(|n| n.oid).into()),
            ("proowner", objects.role_oid(&model.owner).unwrap_or(SYSTEM_OWNER).into()),
            ("prolang", LANGUAGE_SQL.into()),
            ("procost", 1.into()),
            ("prokind", 'f'.into()),
            ("provolatile", 's'.into()),
            ("proparallel", 's'.into()),
            ("pronargs", i64::try_from(signature.arguments.len()).unwrap_or(i64::MAX).into()),
            ("prorettype", signature.result.into()),
            ("proargtypes", signature.arguments.iter().map(|a| a.1).collect::<Vec<_>>().into()),
            (
                "proargnames",
                signature.arguments.iter().map(|a| a.0.clone()).collect::<Vec<_>>().into(),
            ),
            ("prosrc", format!("predict('{}', …)", model.name).into()),
        ]);
    }
}

/// A model seen as a function: the features of its default version, and the type of its prediction.
pub(in crate::system) struct ModelSignature {
    /// Names and type OIDs.
    pub(in crate::system) arguments: Vec<(String, u32)>,
    /// The OID of the result's type.
    pub(in crate::system) result: u32,
}

impl ModelSignature {
    /// The signature of the default version; no arguments and void before the first training.
    pub(in crate::system) fn of(model: &Model) -> Self {
        let oid = |name| types::by_name(name).map_or(0, |t| t.oid);
        let Some(version) = model.default_version.and_then(|n| model.version(n)) else {
            return Self { arguments: Vec::new(), result: oid("void") };
        };
        let argument = |(name, t): &(String, _)| (name.clone(), types::of_sql_type(t).0);
        let result = match version.task.as_str() {
            "regression" => oid("float8"),
            _ => types::of_sql_type(&version.label_type).0,
        };
        Self { arguments: version.features.iter().map(argument).collect(), result }
    }
}
