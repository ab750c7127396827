//! What every statement of a process shares: the warehouse, the query runtime, functions, models.

use super::models::ModelCache;
use super::{
    bounded, checked, correlated, counted_sets, functions, grouping, guards, instants, operands,
    order, postgres, types,
};
use crate::error::{Error, Result};
use crate::warehouse::Warehouse;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::Analyzer;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Decoded Parquet footers are kept up to this many bytes.
const METADATA_CACHE_BYTES: usize = 256 << 20;

/// What a thread that plans may use of stack; pages are taken as they are touched. A level of a query's tree
/// takes some kilobytes.
pub const STACK_BYTES: usize = 256 << 20;

/// Shared by all sessions of a process.
pub struct Services {
    /// The warehouse.
    pub warehouse: Arc<Warehouse>,
    /// Models in memory.
    pub models: ModelCache,
    /// The state that every statement's own one is made from.
    base: SessionState,
    runtime_env: Arc<RuntimeEnv>,
    /// Queries run here, so that the network never waits for a sort.
    compute: tokio::runtime::Handle,
    /// Keeps the query runtime alive.
    runtime: Option<tokio::runtime::Runtime>,
}

/// How much a process may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory for queries and training, in bytes.
    pub memory_bytes: usize,
    /// Worker threads for queries.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self { memory_bytes: default_memory(), threads }
    }
}

impl Limits {
    /// The default, with another amount of memory if one is given.
    pub fn of_memory(bytes: Option<usize>) -> Self {
        let default = Self::default();
        Self { memory_bytes: bytes.unwrap_or(default.memory_bytes), ..default }
    }
}

/// Three quarters of the machine's memory, 4 GiB where that cannot be told.
fn default_memory() -> usize {
    let total_kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok())
    });
    total_kib.map_or(4 << 30, |kib| kib * 1024 / 4 * 3)
}

impl Services {
    /// Builds the services over an open warehouse.
    ///
    /// # Errors
    /// If the runtime cannot be made.
    pub fn new(warehouse: Arc<Warehouse>, limits: &Limits) -> Result<Arc<Self>> {
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(limits.memory_bytes),
            NonZeroUsize::new(3).expect("3 is not 0"),
        );
        let runtime_env = Arc::new(
            RuntimeEnvBuilder::new()
                .with_memory_pool(Arc::new(pool))
                .with_metadata_cache_limit(METADATA_CACHE_BYTES)
                .build()?,
        );
        runtime_env.register_object_store(warehouse.object_store_url().as_ref(), warehouse.store());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .thread_stack_size(STACK_BYTES)
            .thread_name("cenote-query")
            .enable_all()
            .build()?;
        let base = base_state(&runtime_env, limits)?;
        Ok(Arc::new(Self {
            warehouse,
            models: ModelCache::default(),
            base,
            runtime_env,
            compute: runtime.handle().clone(),
            runtime: Some(runtime),
        }))
    }

    /// The state that a statement's own one is made from.
    pub fn base(&self) -> &SessionState {
        &self.base
    }

    /// The memory that queries and training share.
    pub fn memory_pool(&self) -> &Arc<dyn MemoryPool> {
        &self.runtime_env.memory_pool
    }

    /// Memory, temporary files and object stores of queries and training.
    pub fn runtime_env(&self) -> &Arc<RuntimeEnv> {
        &self.runtime_env
    }

    /// The runtime that queries and training run on.
    pub fn compute(&self) -> &tokio::runtime::Handle {
        &self.compute
    }

    /// Runs work on the query runtime; dropping the future stops the work.
    ///
    /// # Errors
    /// What the work answers with; XX000 if it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = tokio_util::task::AbortOnDropHandle::new(self.compute().spawn(work));
        task.await.map_err(|e| Error::internal(format!("the statement's task failed: {e}")))?
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // The last owner may be a task, which must not wait for the runtime's threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn base_state(runtime_env: &Arc<RuntimeEnv>, limits: &Limits) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.threads)
        .with_information_schema(false)
        .with_default_catalog_and_schema(super::CATALOG, super::SEARCH);
    let options = config.options_mut();
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.hash_join_single_partition_threshold = 64 << 20;
    options.optimizer.hash_join_single_partition_threshold_rows = 1_000_000;
    // Each sort of each partition sets this aside for merging what it spilled.
    let share = limits.memory_bytes / (8 * limits.threads.max(1));
    options.execution.sort_spill_reservation_bytes =
        options.execution.sort_spill_reservation_bytes.min(share);
    // The check compares what may be NULL before and after rules that learn more of it.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.sql_parser.collect_spans = true;
    options.sql_parser.enable_subquery_sort_elimination = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    let mut analysis: Vec<Arc<dyn datafusion::optimizer::AnalyzerRule + Send + Sync>> = vec![
        Arc::new(counted_sets::CountedSets),
        Arc::new(correlated::Correlated),
        Arc::new(grouping::GroupedColumns),
        Arc::new(operands::Operands),
    ];
    analysis.extend(Analyzer::new().rules);
    analysis.push(Arc::new(checked::CheckedArithmetic));
    analysis.push(Arc::new(postgres::PostgresMeaning));
    // Scans take their filters from the logical plan. DataFusion 55.2's push-down through physical
    // plans finds columns by name and takes the wrong one of two, behind a join whose sides were
    // swapped; what it would add, filters that a join or a sort learns while it runs, skips row
    // groups of tables that are sorted by the key and measured nothing elsewhere.
    let rules = PhysicalOptimizer::new().rules;
    let wanted = rules.into_iter().filter(|r| !r.name().starts_with("FilterPushdown"));
    let mut physical: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = wanted.collect();
    physical.push(Arc::new(order::WrittenOrder));
    let mut state = SessionStateBuilder::new()
        .with_physical_optimizer_rules(physical)
        .with_config(config)
        .with_runtime_env(runtime_env.clone())
        .with_default_features()
        .with_analyzer_rules(analysis)
        .with_type_planner(Arc::new(types::Types))
        .with_query_planner(Arc::new(guards::Guarded))
        .build();
    register_functions(&mut state)?;
    Ok(state)
}

fn register_functions(state: &mut SessionState) -> Result<()> {
    use datafusion::execution::FunctionRegistry;
    for aggregate in cenote_udfs::sql_aggregates().into_iter().chain(cenote_udfs::all_aggregates())
    {
        state.register_udaf(Arc::new(aggregate))?;
    }
    for function in bounded::functions() {
        state.register_udf(Arc::new(function))?;
    }
    let to_timestamp = instants::to_timestamp(state.config_options());
    state.register_udf(Arc::new(to_timestamp))?;
    functions::register(state)?;
    let sign = datafusion::functions::math::signum();
    state.register_udf(Arc::new(sign.as_ref().clone().with_aliases(["sign"])))?;
    Ok(())
}
