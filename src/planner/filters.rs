//! Which rows of a table a planned query looks at: the filters that reach its scans.

use crate::catalog::Table;
use crate::delta::predicate::{Predicate, lower};
use crate::delta::scan::DeltaTableScan;
use crate::error::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use object_store::path::Path;

/// The rows of a table that an optimised plan looks at, subqueries included.
///
/// The optimiser gives a filter to a scan only if the rows without it change no answer, so that the
/// target of a MERGE gets those conditions of ON that speak of the target alone. `scans` is how
/// often the query names the table, at least: fewer scans mean that one hides where no filter is
/// seen.
///
/// # Errors
/// What walking the plan answers with.
pub(super) fn rows_read(
    plan: &LogicalPlan,
    table: &Table,
    prefix: &Path,
    scans: usize,
) -> Result<Predicate> {
    let schema = table.schema();
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(provider) = provider.downcast_ref::<DeltaTableScan>()
            && provider.prefix() == prefix
        {
            found.push(lower(&scan.filters, &schema));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if found.len() < scans || found.contains(&Predicate::True) {
        return Ok(Predicate::True);
    }
    found.dedup();
    Ok(if found.len() == 1 { found.remove(0) } else { Predicate::Or(found) })
}
