//! EXPLAIN [ANALYZE] [VERBOSE] query: the plan, and what running it cost.

use super::select::{parameter_types, parse_query};
use crate::error::{Error, Result};
use crate::parser::{Cursor, Options, TokenSlice};
use crate::planner::{Planned, watched};
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use sqlparser::ast::Query;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// EXPLAIN.
#[derive(Debug)]
pub struct Explain {
    query: Query,
    slice: TokenSlice,
    analyze: bool,
    verbose: bool,
}

/// Parses EXPLAIN.
///
/// # Errors
/// 42601 with the position, 0A000 for statements that are no queries.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["EXPLAIN"])?;
    let (mut analyze, mut verbose) = (false, false);
    if cursor.peek() == Some(&Token::LParen)
        && !matches!(cursor.peek_nth(1), Some(Token::Word(w)) if w.value.eq_ignore_ascii_case("select"))
    {
        for (name, value, position) in Options::parse(&mut cursor)?.iter() {
            let on = *value != crate::parser::OptionValue::Bool(false);
            match name {
                "analyze" => analyze = on,
                "verbose" => verbose = on,
                "costs" | "buffers" | "timing" | "summary" | "settings" => {}
                "format" if value.to_string().eq_ignore_ascii_case("'text'") => {}
                _ => {
                    return Err(Error::unsupported(
                        format_args!("EXPLAIN ({name})"),
                        "ANALYZE and VERBOSE are supported.",
                    )
                    .position(position));
                }
            }
        }
    } else {
        analyze = cursor.accept(&["ANALYZE"]);
        verbose = cursor.accept(&["VERBOSE"]);
    }
    let start = cursor.index();
    let is_query = cursor.peek() == Some(&Token::LParen)
        || ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|w| cursor.peek_words(&[w]));
    if !is_query {
        const STATEMENTS: &[&str] =
            &["INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DECLARE", "EXECUTE", "REFRESH"];
        if !STATEMENTS.iter().any(|w| cursor.peek_words(&[w])) {
            return Err(cursor.error(Some("a query")));
        }
        return Err(Error::unsupported(
            "EXPLAIN of this statement",
            "Explain the query that the statement runs.",
        )
        .position(cursor.position()));
    }
    let slice = slice.from(start);
    Ok(Arc::new(Explain { query: parse_query(&slice)?, slice, analyze, verbose }))
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]))
}

#[async_trait::async_trait]
impl Statement for Explain {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let planned = cx.planner().plan(&self.slice, self.query.clone(), cx.parameters).await?;
        let parameters = parameter_types(&planned, &cx.parameters.types)?;
        Ok(Description { columns: Some(schema()), parameters })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let planned = cx.planner().plan(&self.slice, self.query.clone(), cx.parameters).await?;
        let plan = planned.physical().await?;
        let mut text = String::new();
        if self.analyze {
            text += &self.run(cx, &planned, watched(plan, cx.canceller)?).await?;
        } else {
            if self.verbose {
                text += &format!("{}\n\n", planned.plan.display_indent());
            }
            text += &DisplayableExecutionPlan::new(plan.as_ref()).indent(self.verbose).to_string();
        }
        let lines: StringArray = text.trim_end().lines().map(Some).collect();
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(lines)])?;
        Response::rows("EXPLAIN", batch)
    }
}

impl Explain {
    /// Runs the plan, throws its rows away, and prints it with its metrics.
    async fn run(
        &self,
        cx: &Execution<'_>,
        planned: &Planned,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<String> {
        let started = std::time::Instant::now();
        let task = planned.state.task_ctx();
        let running = plan.clone();
        let work = cx.services().run(async move {
            let mut rows = 0u64;
            let mut stream = execute_stream(running, task)?;
            while let Some(batch) = stream.try_next().await? {
                rows += batch.num_rows() as u64;
            }
            Ok(rows)
        });
        let rows = cx.canceller.guard(work).await?;
        let shown = DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(self.verbose);
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        Ok(format!("{shown}\nRows: {rows}\nExecution Time: {ms:.3} ms"))
    }
}
