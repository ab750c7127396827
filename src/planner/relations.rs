//! Names to relations: tables, views, system relations, and what stands in their place in a plan.

use super::models::ResolvedModel;
use super::rewrite::{Rewritten, VersionSpec};
use super::{CATALOG, Planned, Planner, Reads, SEARCH, World, display_name};
use crate::catalog::{
    Column as CatalogColumn, Dependency, Pin, QualifiedName, Relation, Table, View,
};
use crate::delta::TableState;
use crate::delta::scan::{DeltaTableScan, ScanOptions};
use crate::error::{Error, Result};
use crate::parser::TokenSlice;
use crate::sqlstate::SqlState;
use crate::suggest;
use crate::system::{self, System};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use sqlparser::ast::{ObjectName, Statement, TableFactor, Visit, Visitor, visit_relations};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Schemas whose relations are made from the catalog.
const SYSTEM_SCHEMAS: &[&str] = &["pg_catalog", "information_schema", "ml", "system"];
/// The schema of tables that only this program writes.
pub(crate) const INTERNAL_SCHEMA: &str = "_system";

/// What a name means.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// A Delta table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
    /// A relation of a system schema.
    System(QualifiedName),
}

/// Takes a name apart: the database, if given, must be this one.
///
/// # Errors
/// 0A000 for another database, 42601 for more than three parts.
pub fn split_name(mut parts: Vec<String>) -> Result<(Option<String>, String)> {
    let name = parts.pop().ok_or_else(|| Error::internal("a name has no parts"))?;
    let schema = parts.pop();
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Ok((schema, name)),
        (Some(database), true) if database == CATALOG => Ok((schema, name)),
        (Some(database), true) => Err(Error::new(
            SqlState::FeatureNotSupported,
            format!("cross-database references are not implemented: \"{database}\""),
        )
        .hint(format!("The only database is \"{CATALOG}\"."))),
        _ => {
            Err(Error::new(SqlState::SyntaxError, "improper relation name (too many dotted names)"))
        }
    }
}

/// Finds the relation that a name means.
///
/// # Errors
/// 42P01 with the nearest name, 3F000 for a schema that does not exist.
pub fn resolve_relation(
    world: &dyn World,
    search_path: &[String],
    parts: &[String],
) -> Result<Resolved> {
    let (schema, name) = split_name(parts.to_vec())?;
    let catalog = world.catalog();
    let found = |schema: &str| -> Option<Resolved> {
        if SYSTEM_SCHEMAS.contains(&schema) {
            let known = system::relation_names(schema).iter().any(|n| *n == name);
            return known.then(|| Resolved::System(QualifiedName::new(schema, &name)));
        }
        match catalog.relation(&QualifiedName::new(schema, &name))? {
            Relation::Table(table) => Some(Resolved::Table(table.clone())),
            Relation::View(view) => Some(Resolved::View(view.clone())),
        }
    };
    let resolved = match &schema {
        Some(schema) => found(schema),
        None => search_path.iter().find_map(|s| found(s)).or_else(|| found("pg_catalog")),
    };
    resolved.ok_or_else(|| missing(world, search_path, schema.as_deref(), &name))
}

fn missing(world: &dyn World, search_path: &[String], schema: Option<&str>, name: &str) -> Error {
    let catalog = world.catalog();
    let shown = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    };
    let mut known: Vec<String> = Vec::new();
    for relation in catalog.relations() {
        let q = relation.name();
        if q.schema == INTERNAL_SCHEMA {
            continue;
        }
        if schema.is_some_and(|s| s == q.schema)
            || (schema.is_none() && search_path.contains(&q.schema))
        {
            known.push(q.name.clone());
        }
    }
    if let Some(schema) = schema {
        known.extend(system::relation_names(schema).iter().map(|n| (*n).to_owned()));
    }
    let elsewhere = catalog
        .relations()
        .find(|r| r.name().name == name && r.name().schema != INTERNAL_SCHEMA)
        .map(|r| format!("Perhaps you meant \"{}\".", r.name()));
    Error::new(SqlState::UndefinedTable, format!("relation \"{shown}\" does not exist"))
        .table(name)
        .maybe_hint(suggest::hint("table", name, &known).or(elsewhere))
}

/// Finds the table that a statement writes to.
///
/// # Errors
/// 42P01, 42809 for views and system relations, 42501 for tables of the system.
pub fn resolve_table(
    world: &dyn World,
    search_path: &[String],
    parts: &[String],
) -> Result<Arc<Table>> {
    match resolve_relation(world, search_path, parts)? {
        Resolved::Table(table) if table.internal => Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied for table {}", table.name.name),
        )
        .hint("Tables of the system are written by the system alone.")),
        Resolved::Table(table) => Ok(table),
        Resolved::View(view) => {
            Err(Error::new(SqlState::WrongObjectType, format!("\"{}\" is a view", view.name.name))
                .hint("Write to the tables that the view reads."))
        }
        Resolved::System(name) => Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied: \"{name}\" is a system catalog"),
        )),
    }
}

/// The providers of one statement, by schema (none: found through the search_path) and name.
#[derive(Debug, Default)]
pub(super) struct StatementCatalog {
    tables: HashMap<Option<String>, BTreeMap<String, Arc<dyn TableProvider>>>,
    hiding: Hiding,
}

/// The relations, by schema and name, whose hidden column the statement can see: it is not in `*`.
pub(super) type Hiding = HashSet<(Option<String>, String)>;

impl StatementCatalog {
    fn insert(&mut self, schema: Option<String>, name: String, provider: Arc<dyn TableProvider>) {
        self.tables.entry(schema).or_default().insert(name, provider);
    }

    /// The relations whose last column is a hidden one.
    pub(super) fn take_hiding(&mut self) -> Hiding {
        std::mem::take(&mut self.hiding)
    }

    /// As DataFusion wants it.
    pub(super) fn into_list(self) -> Arc<dyn CatalogProviderList> {
        let schemas = self
            .tables
            .into_iter()
            .map(|(schema, tables)| {
                (schema.unwrap_or_else(|| SEARCH.to_owned()), Arc::new(Tables(tables)))
            })
            .collect();
        Arc::new(List(Arc::new(Schemas(schemas))))
    }
}

#[derive(Debug)]
struct List(Arc<Schemas>);

impl CatalogProviderList for List {
    fn register_catalog(
        &self,
        _: String,
        _: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| self.0.clone() as Arc<dyn CatalogProvider>)
    }
}

#[derive(Debug)]
struct Schemas(HashMap<String, Arc<Tables>>);

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.0.get(name).map(|s| s.clone() as Arc<dyn SchemaProvider>)
    }
}

#[derive(Debug)]
struct Tables(BTreeMap<String, Arc<dyn TableProvider>>);

#[async_trait::async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    async fn table(
        &self,
        name: &str,
    ) -> datafusion::common::Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.0.get(name).cloned())
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Finds a provider for every relation of a rewritten statement.
pub(super) async fn resolve(
    planner: &Planner<'_>,
    slice: Option<&TokenSlice>,
    statement: &Statement,
    rewritten: &mut Rewritten,
    system: Option<&Arc<System>>,
    extra: &[(String, Arc<dyn TableProvider>)],
) -> Result<(StatementCatalog, Reads)> {
    let mut catalog = StatementCatalog::default();
    let mut reads = Reads { unpinned: rewritten.unpinned.take(), ..Reads::default() };
    for model in &rewritten.models {
        reads.direct.insert(Dependency::Model(model.clone()));
    }
    for (name, provider) in rewritten.providers.drain(..).chain(extra.iter().cloned()) {
        catalog.insert(None, name, provider);
    }
    for (generated, relation, spec) in std::mem::take(&mut rewritten.versions) {
        let parts = crate::parser::object_name(&relation);
        let (provider, hides) =
            versioned(planner, &parts, &spec, rewritten.mentions_committed_at, &mut reads)
                .await
                .map_err(|e| e.position_or(position(slice, &relation)))?;
        if hides {
            catalog.hiding.insert((None, generated.clone()));
        }
        catalog.insert(None, generated, provider);
    }
    let wrapped = datafusion::sql::parser::Statement::Statement(Box::new(statement.clone()));
    let (references, ctes) = datafusion::sql::resolve::resolve_table_references(&wrapped, true)?;
    let ctes: HashSet<String> = ctes.iter().map(|c| c.table().to_owned()).collect();
    let functions = table_functions(statement);
    let mut places = HashMap::new();
    let _ = visit_relations(statement, |name: &ObjectName| {
        places.entry(crate::parser::object_name(name)).or_insert_with(|| name.clone());
        ControlFlow::<()>::Continue(())
    });
    for reference in references {
        let parts = parts_of(&reference);
        let (schema, name) = split_name(parts.clone())?;
        if schema.is_none() && catalog.tables.get(&None).is_some_and(|t| t.contains_key(&name)) {
            continue;
        }
        let place = || places.get(&parts).and_then(|n| position(slice, n));
        let resolved =
            match resolve_relation(planner.world, &planner.environment.search_path, &parts) {
                Ok(resolved) => resolved,
                // A common table expression, or a function of DataFusion's in FROM.
                Err(_)
                    if schema.is_none() && (ctes.contains(&name) || functions.contains(&name)) =>
                {
                    continue;
                }
                Err(e) => return Err(e.position_or(place())),
            };
        let (provider, hides) =
            provider(planner, resolved, system, rewritten.mentions_committed_at, &mut reads)
                .await
                .map_err(|e| e.position_or(place()))?;
        if hides && !(schema.is_none() && ctes.contains(&name)) {
            catalog.hiding.insert((schema.clone(), name.clone()));
        }
        catalog.insert(schema, name, provider);
    }
    Ok((catalog, reads))
}

/// The names that are called in FROM.
fn table_functions(statement: &Statement) -> HashSet<String> {
    struct Finder(HashSet<String>);
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, args: Some(_), .. } = factor {
                self.0.extend(crate::parser::object_name(name).pop());
            }
            ControlFlow::Continue(())
        }
    }
    let mut finder = Finder(HashSet::new());
    let _ = statement.visit(&mut finder);
    finder.0
}

fn parts_of(reference: &TableReference) -> Vec<String> {
    [reference.catalog(), reference.schema(), Some(reference.table())]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// The position of a name in the client's text.
fn position(slice: Option<&TokenSlice>, name: &ObjectName) -> Option<usize> {
    let span = name.0.first()?.as_ident()?.span;
    slice?.position(span.start)
}

/// A relation, and whether its last column is a hidden one that the statement can see.
type Found = (Arc<dyn TableProvider>, bool);

async fn provider(
    planner: &Planner<'_>,
    resolved: Resolved,
    system: Option<&Arc<System>>,
    with_hidden: bool,
    reads: &mut Reads,
) -> Result<Found> {
    match resolved {
        Resolved::Table(table) => {
            reads.direct.insert(Dependency::Table(table.id.clone()));
            let state = planner.world.table(&table.id).await?;
            let version = state.version();
            let pin = Pin { table: table.id.clone(), name: table.name.clone(), version };
            if !reads.pins.contains(&pin) {
                reads.pins.push(pin);
            }
            table_provider(planner, &table, state, with_hidden)
        }
        Resolved::View(view) => {
            reads.direct.insert(Dependency::View(view.oid));
            let planned = plan_view(planner, &view).await?;
            let mut inner = planned.reads.clone();
            inner.views.insert(view.name.to_string(), view.query.clone());
            reads.merge(inner);
            let plan = frozen(planned.plan, &view)?;
            let shown: Arc<dyn TableProvider> =
                Arc::new(ViewTable::new(plan, Some(view.query.clone())));
            Ok((shown, false))
        }
        Resolved::System(name) => {
            reads.unpinned.get_or_insert_with(|| format!("the system relation {name}"));
            Ok((system_relation(planner, system, &name).await?, false))
        }
    }
}

/// A table as queries see it; the hidden columns only where the statement names them.
fn table_provider(
    planner: &Planner<'_>,
    table: &Table,
    state: Arc<TableState>,
    with_hidden: bool,
) -> Result<Found> {
    let location = planner.environment.services.warehouse.location(table)?;
    let scan = |row_ids| {
        DeltaTableScan::new(
            &state,
            &table.schema(),
            &table.partition_by,
            location.clone(),
            ScanOptions { row_ids },
        )
    };
    let has_hidden = table.columns.iter().any(|c| c.hidden);
    match crate::features::time_column(table) {
        Some(time) if with_hidden || !has_hidden => {
            let filled = crate::features::with_commit_times(scan(true)?, table, time, &[])?;
            return Ok((filled, has_hidden));
        }
        _ if !has_hidden => {
            let plain: Arc<dyn TableProvider> = scan(false)?;
            return Ok((plain, false));
        }
        _ => {}
    }
    let visible: Vec<Expr> = table
        .columns
        .iter()
        .filter(|c| !c.hidden)
        .map(|c| Expr::Column(Column::from_name(&c.name)))
        .collect();
    let source = datafusion::datasource::provider_as_source(scan(false)?);
    let plan =
        LogicalPlanBuilder::scan(&table.name.name, source, None)?.project(visible)?.build()?;
    let shown: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, None));
    Ok((shown, false))
}

async fn plan_view(planner: &Planner<'_>, view: &View) -> Result<Planned> {
    let environment =
        super::Environment { search_path: view.search_path.clone(), ..planner.environment.clone() };
    let inner = planner.inside(&environment);
    Box::pin(inner.plan_text(&view.query)).await.map_err(|e| {
        let context = format!("view \"{}\"", view.name);
        e.context(context)
    })
}

/// The view's plan with the column names and types of its creation, whatever `*` means by now.
fn frozen(plan: LogicalPlan, view: &View) -> Result<LogicalPlan> {
    let columns = shown(plan.schema(), view)?;
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

fn shown(schema: &DFSchema, view: &View) -> Result<Vec<Expr>> {
    let now: Vec<_> = schema.iter().collect();
    let unfit = |message: String| {
        Error::new(SqlState::InvalidObjectDefinition, message)
            .hint("Drop the view and create it again.")
    };
    if view.renamed && now.len() != view.columns.len() {
        let (was, is) = (view.columns.len(), now.len());
        let view = &view.name;
        return Err(unfit(format!("view \"{view}\" has {was} columns, its query now has {is}")));
    }
    let one = |(i, column): (usize, &CatalogColumn)| {
        let same_name = |(_, field): &&(_, &FieldRef)| display_name(field.name()) == column.name;
        let found = match view.renamed {
            true => now.get(i),
            false => now.get(i).filter(same_name).or_else(|| now.iter().find(same_name)),
        };
        let (qualifier, field) = found.ok_or_else(|| {
            let (view, column) = (&view.name, &column.name);
            unfit(format!("the query of view \"{view}\" has no column \"{column}\" any more"))
        })?;
        let expr = Expr::Column(Column::from((*qualifier, *field)));
        let wanted = column.sql_type.arrow();
        let is_as_wanted =
            *field.data_type() == wanted || matches!(field.data_type(), DataType::Map(..));
        Ok(if is_as_wanted { expr } else { cast(expr, wanted) }.alias(&column.name))
    };
    view.columns.iter().enumerate().map(one).collect()
}

async fn system_relation(
    planner: &Planner<'_>,
    system: Option<&Arc<System>>,
    name: &QualifiedName,
) -> Result<Arc<dyn TableProvider>> {
    if let Some(provider) = super::ml_functions::history_relation(planner, name).await? {
        return Ok(provider);
    }
    let made;
    let system = match system {
        Some(system) => system,
        None => {
            made = (planner.environment.system)(planner.world.catalog());
            &made
        }
    };
    system
        .relation(&name.schema, &name.name)?
        .ok_or_else(|| missing(planner.world, &[], Some(&name.schema), &name.name))
}

/// A table at a version, a time or a snapshot.
async fn versioned(
    planner: &Planner<'_>,
    parts: &[String],
    spec: &VersionSpec,
    with_hidden: bool,
    reads: &mut Reads,
) -> Result<Found> {
    let snapshot = planner.world.snapshot();
    if let VersionSpec::Snapshot(seq) = spec {
        let past = planner.environment.services.warehouse.snapshot_at(*seq).await?;
        let table = time_travel_table(&past, &planner.environment.search_path, parts)?;
        let state = past.table(&table.id).await?;
        reads.pins.push(Pin {
            table: table.id.clone(),
            name: table.name.clone(),
            version: state.version(),
        });
        return table_provider(planner, &table, state, with_hidden);
    }
    let table = time_travel_table(planner.world, &planner.environment.search_path, parts)?;
    reads.direct.insert(Dependency::Table(table.id.clone()));
    let version = match spec {
        VersionSpec::Version(version) => *version,
        VersionSpec::Expression(expr) => {
            let micros = evaluate_time(planner, expr).await?;
            snapshot.version_at_time(&table.id, micros).await?
        }
        VersionSpec::Snapshot(_) => return Err(Error::internal("handled above")),
    };
    let state = snapshot.table_at(&table.id, version).await?;
    reads.pins.push(Pin { table: table.id.clone(), name: table.name.clone(), version });
    let mut columns = crate::delta::schema::columns_from_json(&state.metadata().schema_string)?;
    for column in &mut columns {
        column.hidden = table.columns.iter().any(|c| c.hidden && c.name == column.name);
    }
    let table = Table {
        columns,
        partition_by: state.metadata().partition_columns.clone(),
        ..Table::clone(&table)
    };
    table_provider(planner, &table, state, with_hidden)
}

fn time_travel_table(
    world: &dyn World,
    search_path: &[String],
    parts: &[String],
) -> Result<Arc<Table>> {
    match resolve_relation(world, search_path, parts)? {
        Resolved::Table(table) => Ok(table),
        Resolved::View(view) => Err(Error::unsupported(
            format_args!("time travel on the view \"{}\"", view.name.name),
            "Give the version of each table inside of the view's query.",
        )),
        Resolved::System(name) => Err(Error::unsupported(
            format_args!("time travel on \"{name}\""),
            "System relations show the present only.",
        )),
    }
}

/// The value of a constant expression as microseconds since 1970, UTC.
async fn evaluate_time(planner: &Planner<'_>, expr: &sqlparser::ast::Expr) -> Result<i64> {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::TimestampMicrosecondType;
    let text = format!("SELECT CAST({expr} AS timestamptz) AS t");
    let planned = Box::pin(planner.plan_text(&text)).await?;
    let stream =
        planned.stream(&planner.environment.services, &super::Canceller::default()).await?;
    let batches = datafusion::physical_plan::common::collect(stream).await?;
    let invalid =
        || Error::new(SqlState::InvalidParameterValue, "the time of TIMESTAMP AS OF is NULL");
    let batch = batches.first().filter(|b| b.num_rows() == 1).ok_or_else(invalid)?;
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    if times.is_valid(0) { Ok(times.value(0)) } else { Err(invalid()) }
}

/// Turns DataFusion's planning failure into ours: the place in the text, and better words.
pub(super) fn explain_failure(
    error: DataFusionError,
    slice: Option<&TokenSlice>,
    models: &HashMap<String, ResolvedModel>,
) -> Error {
    let place = error.diagnostic().and_then(|d| d.span).and_then(|span| {
        slice?.position(sqlparser::tokenizer::Location {
            line: span.start.line,
            column: span.start.column,
        })
    });
    feature_hint(Error::from(error).position_or(place), models)
}

/// A column that the input of a function of schema `ml` lacks; the place in the generated query is
/// none in the client's text.
fn missing_input(error: Error, column: &str, models: &HashMap<String, ResolvedModel>) -> Error {
    let hint = error.get_hint().map(str::to_owned);
    let of = |what: &str, model: &ResolvedModel| {
        format!("{what} \"{column}\" of model \"{}\" is missing in the input", model.name)
    };
    let feature =
        |m: &&ResolvedModel| m.model.signature().features.iter().any(|f| f.name == column);
    let message = if let Some(model) = models.values().find(feature) {
        of("feature", model)
    } else if let Some(model) = models.values().find(|m| m.model.label().name == column) {
        of("label", model)
    } else {
        format!("column \"{column}\" is missing in the input")
    };
    Error::new(SqlState::UndefinedColumn, message).column(column).maybe_hint(hint)
}

/// If the missing column is one that a model needs, says so.
pub fn feature_hint(error: Error, models: &HashMap<String, ResolvedModel>) -> Error {
    if error.code() != SqlState::UndefinedColumn {
        return error;
    }
    let Some(column) = error.object().column.clone() else { return error };
    if error.message().starts_with(super::ml_functions::MISSING) {
        return missing_input(error, &column, models);
    }
    let needs =
        models.values().find(|m| m.model.signature().features.iter().any(|f| f.name == column));
    match needs {
        Some(model) => {
            error.detail(format!("Model \"{}\" needs the feature \"{column}\".", model.name))
        }
        None => error,
    }
}
