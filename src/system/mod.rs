//! What PostgreSQL's clients ask a server about itself: pg_catalog, information_schema, the `ml` relations,
//! the functions over them, and the rewrites that make clients' catalog queries plannable.
//!
//! Everything is computed from one [`CatalogState`] in memory; nothing here opens a table. The planner
//! asks [`touches_catalog`] for each statement. If the answer is yes it makes a [`System`] and
//! 1. calls [`System::rewrite`] on the parsed statement,
//! 2. registers [`System::functions`] in the statement's session state,
//! 3. resolves names in the system schemas through [`System::relation`],
//! 4. shows result columns by [`display_name`].
//!
//! Columns carry `cenote.pg_type` where the Arrow type does not tell PostgreSQL's; OIDs are `UInt32`.

mod functions;
mod information_schema;
mod ml;
mod objects;
mod pg_catalog;
mod rewrite;
mod rows;
mod types;

#[cfg(test)]
mod tests;

use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::ScalarUDF;
use objects::Objects;
use rows::{Definition, Rows};
use sqlparser::ast::Statement;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use rewrite::{display_name, touches_catalog};

/// A setting as pg_settings and `current_setting` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value now, as SHOW prints it.
    pub value: String,
    /// What it is for.
    pub description: String,
}

/// A connection as pg_stat_activity shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The number that cancel requests name.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// What the client calls itself.
    pub application_name: String,
    /// `active`, `idle` or `idle in transaction`.
    pub state: String,
    /// The statement that runs or ran last.
    pub query: String,
}

/// What the system relations and functions are computed from.
#[derive(Debug, Clone)]
pub struct SystemContext {
    /// The catalog of the statement's snapshot.
    pub catalog: Arc<CatalogState>,
    /// The role that asks.
    pub role: String,
    /// The database that the client connected to.
    pub database: String,
    /// The schemas in which unqualified names are looked up; `$user` is allowed.
    pub search_path: Vec<String>,
    /// All settings.
    pub settings: Vec<Setting>,
    /// All connections.
    pub sessions: Vec<SessionInfo>,
    /// The number of this connection.
    pub pid: i32,
    /// `server_version`, such as `16.6`.
    pub server_version: String,
    /// When the server started: microseconds since 1970, UTC.
    pub started_at: i64,
}

/// The system relations and functions for one statement.
#[derive(Debug)]
pub struct System {
    context: SystemContext,
    objects: OnceLock<Objects>,
    /// The relations that were asked for, by OID: a rewrite looks at them before the scan does.
    batches: Mutex<HashMap<u32, RecordBatch>>,
}

impl System {
    /// Cheap: the catalog is read when the first relation or function needs it.
    pub fn new(context: SystemContext) -> Arc<Self> {
        Arc::new(Self { context, objects: OnceLock::new(), batches: Mutex::default() })
    }

    /// The system relation of this name, if there is one.
    ///
    /// # Errors
    /// XX000 if its rows do not fit its columns.
    pub fn relation(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(definition) = rows::definition(schema, name) else { return Ok(None) };
        let batch = self.rows_of(definition)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(Error::from)?;
        Ok(Some(Arc::new(table)))
    }

    /// The functions over the catalog and the session, to be registered under their bare names.
    pub fn functions(self: &Arc<Self>) -> Vec<ScalarUDF> {
        functions::all(self)
    }

    /// Turns PostgreSQL's ways of asking into ones that DataFusion plans.
    ///
    /// # Errors
    /// Those of names in the statement that do not exist, such as 42704 for an unknown type.
    pub fn rewrite(&self, statement: &mut Statement) -> Result<()> {
        rewrite::rewrite(self, statement)
    }

    fn rows_of(&self, definition: &'static Definition) -> Result<RecordBatch> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = batches.get(&definition.oid) {
            return Ok(batch.clone());
        }
        let batch = self.compute(definition)?;
        batches.insert(definition.oid, batch.clone());
        Ok(batch)
    }

    fn compute(&self, definition: &'static Definition) -> Result<RecordBatch> {
        let mut rows = Rows::new(definition);
        match definition.schema {
            "information_schema" => information_schema::fill(self, definition.name, &mut rows),
            "ml" => ml::fill(self, definition.name, &mut rows),
            _ => pg_catalog::fill(self, definition.name, &mut rows),
        }
        rows.finish()
    }

    fn objects(&self) -> &Objects {
        self.objects.get_or_init(|| Objects::new(&self.context))
    }

    /// The schemas that unqualified names are looked up in, in order: existing ones, pg_catalog first
    /// unless the path names it.
    fn lookup_path(&self) -> Vec<&str> {
        let named: Vec<&str> = self.named_path();
        let implicit = (!named.contains(&objects::PG_CATALOG)).then_some(objects::PG_CATALOG);
        implicit.into_iter().chain(named).collect()
    }

    /// The existing schemas of the search path.
    fn named_path(&self) -> Vec<&str> {
        let resolve = |name: &'_ String| match name.as_str() {
            "$user" => self.objects().namespace(&self.context.role),
            name => self.objects().namespace(name),
        };
        self.context.search_path.iter().filter_map(resolve).map(|n| n.name.as_str()).collect()
    }

    /// The value of a setting.
    fn setting(&self, name: &str) -> Option<&str> {
        let settings = &self.context.settings;
        let found = settings.iter().find(|s| s.name.eq_ignore_ascii_case(name));
        found.map(|s| s.value.as_str())
    }
}

/// The names of the system relations of a schema, for suggestions and listings.
pub fn relation_names(schema: &str) -> Vec<&'static str> {
    rows::definitions().iter().filter(|d| d.schema == schema).map(|d| d.name).collect()
}
