//! From a query's tree to a stream of rows.
//!
//! 1. `rewrite` takes out of the tree what DataFusion does not know: table versions, `predict`, the
//!    functions of schema `ml`, and it names the result's columns as PostgreSQL does.
//! 2. `relations` resolves every name against one [`World`] (a snapshot, or a transaction with its
//!    own writes): tables, views (planned again from their text), system relations.
//! 3. DataFusion plans, once `using` has merged the columns of joins. Rules before its type coercion
//!    (`correlated`, `counted_sets`, `grouping`, `operands`) and after it (`checked`, with
//!    `casts` and `zones`, then `postgres` and `membership`) and the functions in `functions` give
//!    operators, casts and times PostgreSQL's meaning.
//! 4. After DataFusion's optimiser `guards` keeps conditions in the order in which they are written
//!    and `sort_keys` sorts by columns; `expressions` plans CHECK and DEFAULT through all of this.
//! 5. `watch` and `slices` make the physical plan stoppable; `execute` runs it on the query runtime and
//!    hands batches over a bounded channel. Where memory runs out first, joins sort instead of hash.

mod ast;
mod bounded;
mod casts;
mod checked;
mod classes;
mod commits;
mod correlated;
mod counted_sets;
mod execute;
mod expressions;
mod files;
mod filters;
mod from_functions;
mod functions;
mod grouping;
mod guards;
mod instants;
mod literals;
mod membership;
mod ml_functions;
pub mod models;
mod names;
mod operands;
mod order;
mod parameters;
mod postgres;
mod predict;
mod recursion;
mod relations;
mod rewrite;
mod row_sets;
mod row_values;
mod sample;
mod select_ast;
mod services;
mod slices;
mod sort_keys;
mod spelling;
mod types;
mod unseen;
mod using;
mod values;
mod watch;
mod zones;

pub use ast::{derived, identifier, parse_expression, parse_query, table_factor};
pub use execute::{CancelReason, Canceller, one_batch};
pub use expressions::Expressions;
pub use files::{CsvSource, is_a_directory, resolve_path};
pub use models::{ModelCache, ResolvedModel, find_model, resolve_model};
pub use names::display_name;
pub use relations::{Resolved, resolve_relation, resolve_table, split_name};
pub use row_values::row_of;
pub use select_ast::select;
pub use services::{Limits, STACK_BYTES, Services};
pub use types::sql_type_of;
pub use unseen::Unseen;
pub use watch::watched;

use crate::catalog::{CatalogState, Dependency, Pin, Table};
use crate::delta::TableState;
use crate::delta::predicate::Predicate;
use crate::error::{Error, Result};
use crate::format::{DateOrder, EncodeSettings, SessionZone};
use crate::parser::TokenSlice;
use crate::sqlstate::SqlState;
use crate::system::{self, System};
use crate::warehouse::{Snapshot, Transaction};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use futures::FutureExt;
use sqlparser::ast::{Query, Statement};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// The only database.
pub const CATALOG: &str = "cenote";
/// The schema name under which DataFusion looks names up that have no schema of their own.
const SEARCH: &str = "\u{1}search_path";
/// Views and model queries nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// What relations mean: a snapshot of the warehouse, or a transaction with its own writes.
#[async_trait::async_trait]
pub trait World: Send + Sync {
    /// What exists.
    fn catalog(&self) -> Arc<CatalogState>;
    /// The snapshot underneath.
    fn snapshot(&self) -> &Snapshot;
    /// A table as this world sees it.
    async fn table(&self, id: &str) -> Result<Arc<TableState>>;
}

#[async_trait::async_trait]
impl World for Snapshot {
    fn catalog(&self) -> Arc<CatalogState> {
        Snapshot::catalog(self).clone()
    }

    fn snapshot(&self) -> &Snapshot {
        self
    }

    async fn table(&self, id: &str) -> Result<Arc<TableState>> {
        Snapshot::table(self, id).await
    }
}

#[async_trait::async_trait]
impl World for Transaction {
    fn catalog(&self) -> Arc<CatalogState> {
        Transaction::catalog(self)
    }

    fn snapshot(&self) -> &Snapshot {
        Transaction::snapshot(self)
    }

    async fn table(&self, id: &str) -> Result<Arc<TableState>> {
        Transaction::table(self, id).await
    }
}

/// What a session contributes to planning: settings and identity. Made anew for each statement.
#[derive(Clone)]
pub struct Environment {
    /// What all sessions share.
    pub services: Arc<Services>,
    /// The schemas that bare names are looked up in.
    pub search_path: Vec<String>,
    /// The session's TimeZone.
    pub time_zone: String,
    /// The order of day, month and year in text that is ambiguous.
    pub date_order: DateOrder,
    /// What `now()` is.
    pub now: DateTime<Utc>,
    /// What the statement's predictions met that training had not.
    pub unseen: Arc<Unseen>,
    /// The role.
    pub role: String,
    /// Where relative paths in read_csv and the like start.
    pub file_search_path: Option<PathBuf>,
    /// What pg_catalog shows; made only when a statement asks.
    pub system: Arc<dyn Fn(Arc<CatalogState>) -> Arc<System> + Send + Sync>,
    /// Overrides of DataFusion's options, such as the number of partitions.
    pub target_partitions: Option<usize>,
}

impl Environment {
    /// How text is read as values.
    fn reading(&self) -> EncodeSettings {
        EncodeSettings {
            time_zone: SessionZone::parse(&self.time_zone).unwrap_or_else(SessionZone::utc),
            date_order: self.date_order,
            ..EncodeSettings::default()
        }
    }
}

/// Plans queries against one world.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// The session's part.
    pub environment: &'a Environment,
    /// What relations mean.
    pub world: &'a dyn World,
    depth: usize,
}

/// A planned query.
pub struct Planned {
    /// The plan, with PostgreSQL's column names (see [`Planned::schema`]).
    pub plan: LogicalPlan,
    /// The state that it runs in.
    pub state: SessionState,
    /// What it reads.
    pub reads: Reads,
    /// Types that the text gives to parameters.
    parameters: HashMap<usize, DataType>,
    /// The columns with the types that they have when the plan runs.
    columns: SchemaRef,
}

/// What a query reads, through all its views.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// Objects named in the text itself.
    pub direct: BTreeSet<Dependency>,
    /// Tables and their versions.
    pub pins: Vec<Pin>,
    /// Texts of views, by name.
    pub views: BTreeMap<String, String>,
    /// Something was read that no snapshot keeps: a file, a system relation.
    pub unpinned: Option<String>,
}

impl Reads {
    fn merge(&mut self, inner: Reads) {
        for pin in inner.pins {
            if !self.pins.contains(&pin) {
                self.pins.push(pin);
            }
        }
        self.views.extend(inner.views);
        if self.unpinned.is_none() {
            self.unpinned = inner.unpinned;
        }
    }
}

/// Types and values of `$1`, `$2`, …
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// Types that the client gave; none where it left them open.
    pub types: Vec<Option<DataType>>,
    /// Values, at execution.
    pub values: Option<Vec<ScalarValue>>,
}

impl<'a> Planner<'a> {
    /// A planner for one statement.
    pub fn new(environment: &'a Environment, world: &'a dyn World) -> Self {
        Self { environment, world, depth: 0 }
    }

    /// Plans a query whose tree came from `slice`.
    ///
    /// # Errors
    /// What is wrong with it, with the position where it is known.
    pub async fn plan(
        &self,
        slice: &TokenSlice,
        query: Query,
        parameters: &Parameters,
    ) -> Result<Planned> {
        self.plan_over(slice, query, parameters, &[]).await
    }

    /// Plans a query that also reads relations of the statement's own, under generated names.
    ///
    /// # Errors
    /// What is wrong with it, with the position where it is known.
    pub async fn plan_over(
        &self,
        slice: &TokenSlice,
        query: Query,
        parameters: &Parameters,
        extra: &[(String, Arc<dyn TableProvider>)],
    ) -> Result<Planned> {
        let mut query = query;
        parameters::cast(&mut query, &parameters::declared(&parameters.types));
        let mut planned = self.plan_tree(Some(slice), query, extra).await?;
        if let Some(values) = &parameters.values {
            planned.plan = planned.plan.with_param_values(ParamValues::from(values.clone()))?;
        }
        Ok(planned)
    }

    /// Plans a query that stands in the catalog or was made by this program: no positions.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn plan_text(&self, text: &str) -> Result<Planned> {
        let query = ast::parse_query(text).map_err(Error::without_position)?;
        self.plan_tree(None, query, &[]).await.map_err(Error::without_position)
    }

    /// Plans a tree; `slice` gives positions to errors.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn plan_tree(
        &self,
        slice: Option<&TokenSlice>,
        mut query: Query,
        extra: &[(String, Arc<dyn TableProvider>)],
    ) -> Result<Planned> {
        if self.depth > MAX_DEPTH {
            return Err(Error::new(SqlState::StatementTooComplex, "views are nested too deeply"));
        }
        let models = rewrite::load_models(self, slice, &query).await?;
        let mut rewritten = rewrite::rewrite(self, slice, &mut query, &models)?;
        let mut statement = Statement::Query(Box::new(query));
        let system = system::touches_catalog(&statement)
            .then(|| (self.environment.system)(self.world.catalog()));
        row_values::rewrite(&mut statement, slice, system.is_none())?;
        spelling::rewrite(&mut statement, slice, &self.environment.time_zone, system.is_none())?;
        if let Some(system) = &system {
            system.rewrite(&mut statement)?;
            rewritten.functions.extend(system.functions().into_iter().map(Arc::new));
        }
        let (mut catalog, reads) =
            relations::resolve(self, slice, &statement, &mut rewritten, system.as_ref(), extra)
                .await?;
        let hiding = catalog.take_hiding();
        let state = self.state(catalog, &rewritten)?;
        let plan = match logical_plan(&state, slice, &hiding, statement, &models).await {
            Ok(plan) => plan,
            Err(error) => {
                let predictions = std::mem::take(&mut rewritten.predictions);
                return Err(ml_functions::name_taken(self, error, predictions).await);
            }
        };
        let parameters = std::mem::take(&mut rewritten.parameters);
        let plan = parameters::arrays(names::widen_unsigned(plan)?)?;
        let columns = columns_at_run_time(&plan, &state);
        Ok(Planned { plan, state, reads, parameters, columns })
    }

    /// The same planner, one view deeper, with that view's search_path.
    fn inside<'b>(&self, environment: &'b Environment) -> Planner<'b>
    where
        'a: 'b,
    {
        Planner { environment, world: self.world, depth: self.depth + 1 }
    }

    fn state(
        &self,
        catalog: relations::StatementCatalog,
        rewritten: &rewrite::Rewritten,
    ) -> Result<SessionState> {
        use datafusion::execution::FunctionRegistry;
        // A builder would register every function anew, which takes longer than planning an INSERT.
        let mut state = self.environment.services.base().clone();
        let config = state.config_mut();
        config.options_mut().execution.time_zone = Some(self.environment.time_zone.clone());
        config.options_mut().extensions.insert(casts::Reading(self.environment.date_order));
        if let Some(n) = self.environment.target_partitions {
            config.options_mut().execution.target_partitions = n;
        }
        let config = config.options().clone();
        let bound = state.scalar_functions().values();
        let bound: Vec<_> =
            bound.filter_map(|f| f.inner().with_updated_config(&config)).map(Arc::new).collect();
        for function in bound {
            state.register_udf(function)?;
        }
        state.register_catalog_list(catalog.into_list());
        let properties = state.execution_props_mut();
        properties.query_execution_start_time = Some(self.environment.now);
        // What functions see while they run: the session's zone, not that of the shared state.
        properties.config_options = Some(config);
        for function in &rewritten.functions {
            state.register_udf(function.clone())?;
        }
        Ok(state)
    }
}

/// DataFusion's plan of a rewritten statement.
async fn logical_plan(
    state: &SessionState,
    slice: Option<&TokenSlice>,
    hiding: &relations::Hiding,
    mut statement: Statement,
    models: &HashMap<String, ResolvedModel>,
) -> Result<LogicalPlan> {
    using::merge(state, slice, hiding, &mut statement).await?;
    let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
    let planned = state.statement_to_plan(statement).await;
    planned.map_err(|e| relations::explain_failure(e, slice, models))
}

/// The columns of a plan after the analyser, which types literals and coerces operands. Where it
/// cannot (a parameter without a type), as the plan says.
fn columns_at_run_time(plan: &LogicalPlan, state: &SessionState) -> SchemaRef {
    let analyzed =
        state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
    let schema = match &analyzed {
        Ok(analyzed) => analyzed.schema(),
        Err(_) => plan.schema(),
    };
    Arc::new(schema.as_arrow().clone())
}

impl Planned {
    /// A plan that was made by hand, over relations that need no name.
    pub fn new(plan: LogicalPlan, state: SessionState, reads: Reads) -> Self {
        let columns = columns_at_run_time(&plan, &state);
        Self { plan, state, reads, parameters: HashMap::new(), columns }
    }

    /// The result's columns as the client sees them.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_name(display_name(f.name())))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// The types of the parameters that the plan could tell.
    ///
    /// # Errors
    /// If one parameter is used as two types.
    pub fn parameter_types(&self) -> Result<BTreeMap<usize, Option<DataType>>> {
        Ok(self
            .plan
            .get_parameter_types()?
            .into_iter()
            .filter_map(|(name, t)| {
                let number: usize = name.strip_prefix('$')?.parse().ok()?;
                Some((number, t.or_else(|| self.parameters.get(&number).cloned())))
            })
            .collect())
    }

    /// The physical plan.
    ///
    /// # Errors
    /// What the optimiser and the physical planner find.
    pub async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.state.create_physical_plan(&self.plan).await?)
    }

    /// Runs the plan on the query runtime; rows come over a bounded channel.
    ///
    /// # Errors
    /// What planning finds; what running finds comes with the rows.
    pub async fn stream(
        &self,
        services: &Arc<Services>,
        canceller: &Canceller,
    ) -> Result<SendableRecordBatchStream> {
        let plan = watch::watched(self.physical().await?, canceller)?;
        let frugal = self.frugal(&plan, canceller);
        execute::stream(services, plan, self.state.task_ctx(), canceller, frugal)
    }

    /// A hash join keeps one side in memory; joins by sorting spill. The way to plan with the
    /// latter, if `plan` has the former.
    fn frugal(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        canceller: &Canceller,
    ) -> Option<execute::Frugal> {
        let joins = plan.exists(|node| Ok(node.is::<HashJoinExec>()));
        joins.is_ok_and(|found| found).then(|| {
            let (mut state, logical) = (self.state.clone(), self.plan.clone());
            let canceller = canceller.clone();
            let options = state.config_mut().options_mut();
            options.optimizer.prefer_hash_join = false;
            // DataFusion sorts for a join only where it could also share the work out.
            options.execution.target_partitions = options.execution.target_partitions.max(2);
            let make = async move {
                let plan = state.create_physical_plan(&logical).await?;
                Ok((watch::watched(plan, &canceller)?, state.task_ctx()))
            };
            Box::new(move || make.boxed()) as execute::Frugal
        })
    }

    /// Runs the plan of a change as [`stream`](Self::stream) does; also gives the rows of the table to be
    /// changed that it looks at.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn stream_changes(
        &self,
        services: &Arc<Services>,
        canceller: &Canceller,
        target: &Table,
    ) -> Result<(SendableRecordBatchStream, Predicate)> {
        let optimized = self.state.optimize(&self.plan)?;
        // Once as the target, and again if a subquery or a view names it.
        let named = self.reads.pins.iter().any(|pin| pin.table == target.id);
        let prefix = services.warehouse.location(target)?.prefix;
        let reads = filters::rows_read(&optimized, target, &prefix, 1 + usize::from(named))?;
        let planner = self.state.query_planner();
        let plan = planner.create_physical_plan(&optimized, &self.state).await?;
        let plan = watch::watched(plan, canceller)?;
        let frugal = self.frugal(&plan, canceller);
        Ok((execute::stream(services, plan, self.state.task_ctx(), canceller, frugal)?, reads))
    }
}
