//! Feature tables: Delta tables with a key, whose replaced rows are kept.
//!
//! Every row carries the hidden column `_committed_at`. NULL there means the time of the record
//! that added the row's file, which is not known while the file is written; it stands in the
//! file's tag `cenote.time` and is written out when the row is copied to another file.

mod history;

pub use history::{REPLACED_AT, history_columns, history_name};

use crate::catalog::{Column, SqlType, Table};
use crate::delta::actions::Add;
use crate::delta::scan::{DeltaTableScan, FILE_COLUMN};
use crate::error::Result;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::catalog::TableProvider;
use datafusion::common::Result as DfResult;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The hidden column that says when a row was committed.
pub const COMMITTED_AT: &str = "_committed_at";

/// The hidden column's definition.
pub fn committed_at_column() -> Column {
    Column { hidden: true, ..Column::new(COMMITTED_AT, SqlType::TimestampTz) }
}

/// The time of the record that added a file: microseconds since 1970, UTC.
pub fn commit_time(add: &Add) -> Option<i64> {
    add.tag("cenote.time")?.parse().ok()
}

/// The column of a table in which NULL means the time of the record that added the row's file.
pub fn time_column(table: &Table) -> Option<&'static str> {
    let has = |name: &str| table.columns.iter().any(|c| c.name == name);
    match table.feature {
        Some(_) => Some(COMMITTED_AT),
        None if table.internal && has(REPLACED_AT) => Some(REPLACED_AT),
        None => None,
    }
}

/// A feature table or a history with its [`time_column`] filled in for every row, and the columns
/// `row_ids` of the scan behind its own.
///
/// # Errors
/// If the plan cannot be built.
pub fn with_commit_times(
    scan: Arc<DeltaTableScan>,
    table: &Table,
    time_column: &str,
    row_ids: &[&str],
) -> Result<Arc<dyn TableProvider>> {
    let times: Vec<Option<i64>> = scan.files().iter().map(|add| commit_time(add)).collect();
    let function = ScalarUDF::new_from_impl(CommittedAt {
        times: times.into(),
        signature: Signature::any(2, Volatility::Immutable),
    });
    let column = |name: &str| Expr::Column(datafusion::common::Column::from_name(name));
    let columns: Vec<Expr> = table
        .columns
        .iter()
        .map(|c| {
            if c.name == time_column {
                function.call(vec![column(&c.name), column(FILE_COLUMN)]).alias(&c.name)
            } else {
                column(&c.name)
            }
        })
        .chain(row_ids.iter().map(|name| column(name)))
        .collect();
    let source = provider_as_source(scan);
    let plan =
        LogicalPlanBuilder::scan(&table.name.name, source, None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// `coalesce(time, time of the file)`
#[derive(Debug)]
struct CommittedAt {
    times: Arc<[Option<i64>]>,
    signature: Signature,
}

impl PartialEq for CommittedAt {
    fn eq(&self, other: &Self) -> bool {
        self.times == other.times
    }
}

impl Eq for CommittedAt {}

impl Hash for CommittedAt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.times.hash(state);
    }
}

impl ScalarUDFImpl for CommittedAt {
    fn name(&self) -> &str {
        "committed_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let stored = args.args[0].to_array(args.number_rows)?;
        let stored = stored.as_primitive::<TimestampMicrosecondType>();
        let files = args.args[1].to_array(args.number_rows)?;
        let files = files.as_primitive::<Int32Type>();
        let filled: TimestampMicrosecondArray = (0..args.number_rows)
            .map(|row| {
                if stored.is_valid(row) {
                    return Some(stored.value(row));
                }
                let file = usize::try_from(files.value(row)).ok()?;
                self.times.get(file).copied().flatten()
            })
            .collect();
        let filled: ArrayRef = Arc::new(filled.with_timezone("UTC"));
        Ok(ColumnarValue::Array(filled))
    }
}
