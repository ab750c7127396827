//! stub
use crate::catalog::Table;
use crate::delta::scan::DeltaTableScan;
use crate::error::Result;
use crate::planner::Environment;
use crate::statements::Execution;
use crate::warehouse::Transaction;
use datafusion::execution::SendableRecordBatchStream;
use std::sync::Arc;
pub async fn upsert(
    _cx: &Execution<'_>,
    _t: &Arc<Table>,
    _r: SendableRecordBatchStream,
) -> Result<u64> {
    Ok(0)
}
pub async fn upsert_in(
    _e: &Environment,
    _t: &Transaction,
    _tt: &Arc<Table>,
    _r: SendableRecordBatchStream,
) -> Result<u64> {
    Ok(0)
}
pub async fn keep_history(
    _cx: &Execution<'_>,
    _t: &Arc<Table>,
    _s: &Arc<DeltaTableScan>,
    _c: &[arrow::record_batch::RecordBatch],
) -> Result<()> {
    Ok(())
}
