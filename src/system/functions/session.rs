//! The session and the server: who, where, since when, and with which settings.

use super::{Call, Function, lenient, strict};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::suggest;
use crate::system::objects::PG_CATALOG;
use crate::system::rows::Cell;

pub(super) const ALL: &[Function] = &[
    strict("version", 0..=0, "text", version),
    strict("current_database", 0..=0, "name", |c| Ok((&c.system.context.database).into())),
    strict("current_catalog", 0..=0, "name", |c| Ok((&c.system.context.database).into())),
    strict("current_schema", 0..=0, "name", current_schema),
    strict("current_schemas", 1..=1, "_name", current_schemas),
    strict("current_user", 0..=0, "name", role),
    strict("current_role", 0..=0, "name", role),
    strict("session_user", 0..=0, "name", role),
    strict("user", 0..=0, "name", role),
    strict("pg_backend_pid", 0..=0, "int4", |c| Ok(c.system.context.pid.into())),
    lenient("current_setting", 1..=2, "text", current_setting),
    strict("getdatabaseencoding", 0..=0, "name", |_| Ok("UTF8".into())),
    strict("pg_client_encoding", 0..=0, "name", |_| Ok("UTF8".into())),
    strict("pg_encoding_to_char", 1..=1, "name", encoding_name),
    strict("pg_char_to_encoding", 1..=1, "int4", encoding_number),
    strict("pg_is_in_recovery", 0..=0, "bool", |_| Ok(false.into())),
    strict("pg_is_other_temp_schema", 1..=1, "bool", |_| Ok(false.into())),
    strict("pg_my_temp_schema", 0..=0, "oid", |_| Ok(0.into())),
    strict("pg_postmaster_start_time", 0..=0, "timestamptz", started_at),
    strict("pg_conf_load_time", 0..=0, "timestamptz", started_at),
    strict("inet_server_addr", 0..=0, "text", nothing),
    strict("inet_server_port", 0..=0, "int4", nothing),
    strict("inet_client_addr", 0..=0, "text", nothing),
    strict("inet_client_port", 0..=0, "int4", nothing),
    strict("txid_current", 0..=0, "int8", |c| Ok(c.system.context.catalog.next_oid().into())),
    strict("pg_advisory_unlock_all", 0..=0, "void", |_| Ok("".into())),
    strict("pg_export_snapshot", 0..=0, "text", nothing),
];

fn nothing(_: &Call<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

/// Clients take the number after `PostgreSQL`; the product's own stands in brackets.
fn version(call: &Call<'_>) -> Result<Cell> {
    Ok(format!(
        "PostgreSQL {} (Cenote {}) on {}-{}, compiled by rustc, 64-bit",
        call.system.context.server_version,
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
    .into())
}

fn role(call: &Call<'_>) -> Result<Cell> {
    Ok((&call.system.context.role).into())
}

fn current_schema(call: &Call<'_>) -> Result<Cell> {
    Ok(call.system.named_path().first().copied().into())
}

fn current_schemas(call: &Call<'_>) -> Result<Cell> {
    let implicit = call.argument(0).is_true();
    let path = if implicit { call.system.lookup_path() } else { call.system.named_path() };
    debug_assert!(!implicit || path.contains(&PG_CATALOG));
    Ok(path.into())
}

fn current_setting(call: &Call<'_>) -> Result<Cell> {
    let Some(name) = call.argument(0).text() else { return Ok(Cell::Null) };
    if let Some(value) = call.system.setting(name) {
        return Ok(value.into());
    }
    if call.argument(1).is_true() {
        return Ok(Cell::Null);
    }
    let known: Vec<&str> = call.system.context.settings.iter().map(|s| s.name.as_str()).collect();
    Err(Error::new(
        SqlState::UndefinedObject,
        format!("unrecognized configuration parameter \"{name}\""),
    )
    .maybe_hint(suggest::hint("setting", name, &known)))
}

/// PostgreSQL's numbers of the encodings that clients ask for.
const ENCODINGS: &[(i64, &str)] = &[(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1"), (24, "WIN1252")];

fn encoding_name(call: &Call<'_>) -> Result<Cell> {
    let number = call.argument(0).int();
    let found = ENCODINGS.iter().find(|(n, _)| Some(*n) == number);
    Ok(found.map_or("", |(_, name)| name).into())
}

fn encoding_number(call: &Call<'_>) -> Result<Cell> {
    let name = call.text(0).replace('-', "");
    let found = ENCODINGS.iter().find(|(_, n)| n.eq_ignore_ascii_case(&name));
    Ok(found.map_or(-1, |(number, _)| *number).into())
}

fn started_at(call: &Call<'_>) -> Result<Cell> {
    Ok(call.system.context.started_at.into())
}
