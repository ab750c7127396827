//! The rows of pg_catalog. A relation that is declared but not filled here is empty, as it is in a
//! PostgreSQL without such objects (triggers, policies, publications, sequences, …).

mod classes;
mod server;

use super::System;
use super::objects::{BOOTSTRAP_OID, DATABASE_OID};
use super::rows::Rows;
use super::types::PG_TYPE_ROWS;

pub(super) use classes::{comment, view_text};
pub(super) use server::ModelSignature;

/// Fills the relation of this name.
pub(super) fn fill(system: &System, name: &str, rows: &mut Rows) {
    match name {
        "pg_namespace" => classes::namespaces(system, rows),
        "pg_class" => classes::classes(system, rows),
        "pg_attribute" => classes::attributes(system, rows),
        "pg_attrdef" => classes::defaults(system, rows),
        "pg_index" => classes::indexes(system, rows),
        "pg_constraint" => classes::constraints(system, rows),
        "pg_description" => classes::descriptions(system, rows),
        "pg_tables" => classes::tables(system, rows),
        "pg_views" => classes::views(system, rows),
        "pg_indexes" => classes::index_list(system, rows),
        "pg_stat_all_tables" | "pg_stat_user_tables" => {
            classes::table_statistics(system, name, rows)
        }
        "pg_proc" => server::functions(system, rows),
        "pg_database" => server::database(system, rows),
        "pg_roles" => server::roles(system, rows),
        "pg_user" => server::users(system, rows),
        "pg_settings" => server::settings(system, rows),
        "pg_stat_activity" => server::activity(system, rows),
        "pg_stat_database" => rows
            .push([("datid", DATABASE_OID.into()), ("datname", (&system.context.database).into())]),
        "pg_timezone_names" => server::time_zones(rows),
        "pg_stat_ssl" | "pg_stat_gssapi" => rows.push([("pid", system.context.pid.into())]),
        "pg_type" => rows.push_file(PG_TYPE_ROWS),
        "pg_am" => rows.push_file(include_str!("../../../sql/system/pg_am.tsv")),
        "pg_cast" => rows.push_file(include_str!("../../../sql/system/pg_cast.tsv")),
        "pg_collation" => rows.push_file(include_str!("../../../sql/system/pg_collation.tsv")),
        "pg_language" => rows.push_file(include_str!("../../../sql/system/pg_language.tsv")),
        "pg_opclass" => rows.push_file(include_str!("../../../sql/system/pg_opclass.tsv")),
        "pg_operator" => rows.push_file(include_str!("../../../sql/system/pg_operator.tsv")),
        "pg_tablespace" => rows.push_file(include_str!("../../../sql/system/pg_tablespace.tsv")),
        _ => {}
    }
}

/// The OID that the catalogs name as owner of everything that nobody created.
const SYSTEM_OWNER: u32 = BOOTSTRAP_OID;
