//! What the stand-in session can do, so that the server has something to serve.

use super::{CopyIn, Parameter, Response, TransactionStatus};
use crate::error::{Error, Result};
use crate::format::{CopyFormat, CopyOptions, PgType, arrow_type_of};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

pub(super) fn is_query(text: &str) -> bool {
    !matches!(first_word(text).as_str(), "begin" | "commit" | "rollback" | "copy")
}

pub(super) fn parameters(plan: &LogicalPlan, oids: &[u32]) -> Result<Vec<Parameter>> {
    let mut types: Vec<_> = plan.get_parameter_types()?.into_iter().collect();
    types.sort_by_key(|(name, _)| name[1..].parse::<usize>().unwrap_or_default());
    Ok(types
        .into_iter()
        .enumerate()
        .map(|(index, (_, inferred))| {
            let asked = oids.get(index).copied().filter(|oid| *oid != 0);
            let oid = asked.unwrap_or(match inferred {
                Some(DataType::Int64) => PgType::Int8.oid(),
                Some(DataType::Int32) => PgType::Int4.oid(),
                _ => PgType::Text.oid(),
            });
            Parameter { oid, data_type: arrow_type_of(oid).unwrap_or(DataType::Utf8) }
        })
        .collect())
}

pub(super) async fn execute(
    context: &SessionContext,
    status: &mut TransactionStatus,
    text: &str,
    parameters: &[ScalarValue],
) -> Result<Response> {
    let word = first_word(text);
    if *status == TransactionStatus::Failed && !matches!(word.as_str(), "commit" | "rollback") {
        return Err(Error::new(
            SqlState::InFailedSqlTransaction,
            "current transaction is aborted, commands ignored until end of transaction block",
        ));
    }
    let end = match word.as_str() {
        "begin" => Some(TransactionStatus::Active),
        "commit" | "rollback" => Some(TransactionStatus::Idle),
        _ => None,
    };
    if let Some(next) = end {
        *status = next;
        return Ok(Response::Complete(word.to_ascii_uppercase()));
    }
    let response = if word == "copy" {
        copy(context, text).await
    } else {
        query(context, text, parameters).await.map(|(schema, stream)| Response::Rows {
            schema,
            stream,
            tag: "SELECT",
            counted: true,
        })
    };
    if response.is_err() && *status == TransactionStatus::Active {
        *status = TransactionStatus::Failed;
    }
    response
}

async fn query(
    context: &SessionContext,
    text: &str,
    parameters: &[ScalarValue],
) -> Result<(SchemaRef, SendableRecordBatchStream)> {
    let mut frame = context.sql(text).await?;
    if !parameters.is_empty() {
        let values: Vec<_> = parameters.iter().map(|value| value.clone().into()).collect();
        frame = frame.with_param_values(ParamValues::List(values))?;
    }
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    Ok((schema, frame.execute_stream().await?))
}

async fn copy(context: &SessionContext, text: &str) -> Result<Response> {
    let lower = text.to_ascii_lowercase();
    let format = match () {
        () if lower.contains("binary") => CopyFormat::Binary,
        () if lower.contains("csv") => CopyFormat::Csv,
        () => CopyFormat::Text,
    };
    if lower.contains("from stdin") {
        return Ok(Response::CopyIn(Box::new(Sink { lines: 0 })));
    }
    let (Some(open), Some(close)) = (text.find('('), text.to_ascii_lowercase().find(") to")) else {
        return Err(Error::new(SqlState::SyntaxError, "syntax error at end of input"));
    };
    let (schema, stream) = query(context, &text[open + 1..close], &[]).await?;
    Ok(Response::CopyOut { schema, stream, options: CopyOptions::new(format) })
}

struct Sink {
    lines: usize,
}

#[async_trait::async_trait]
impl CopyIn for Sink {
    fn format(&self) -> i8 {
        0
    }

    fn columns(&self) -> usize {
        2
    }

    async fn push(&mut self, data: &[u8]) -> Result<()> {
        self.lines += data.iter().filter(|byte| **byte == b'\n').count();
        if data.starts_with(b"bad") {
            return Err(Error::new(SqlState::BadCopyFileFormat, "missing data for column \"b\"")
                .context(format!("COPY t, line {}", self.lines)));
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<String> {
        Ok(format!("COPY {}", self.lines))
    }

    async fn abort(self: Box<Self>, reason: &str) -> Error {
        Error::new(SqlState::QueryCanceled, reason)
    }
}
