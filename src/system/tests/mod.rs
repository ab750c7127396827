//! The system relations as clients ask for them, against what PostgreSQL 15 answers.

mod fixture;
mod queries;

use super::{System, display_name};
use crate::error::Result;
use arrow::array::RecordBatch;
use datafusion::catalog::CatalogProvider;
use datafusion::catalog::{MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use sqlparser::ast::{Ident, ObjectNamePart, Statement, Visit, Visitor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Parses, rewrites, plans and runs a query as the planner does.
async fn run(system: &Arc<System>, sql: &str) -> Result<Vec<RecordBatch>> {
    let plan = plan(system, sql).await?;
    Ok(session(system).execute_logical_plan(plan).await?.collect().await?)
}

async fn plan(system: &Arc<System>, sql: &str) -> Result<LogicalPlan> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
        .map_err(|e| crate::error::Error::internal(e.to_string()))?;
    let mut statement = statements.remove(0);
    assert!(super::touches_catalog(&statement), "{sql}");
    system.rewrite(&mut statement)?;
    let context = context_for(system, &statement)?;
    let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
    Ok(context.state().statement_to_plan(statement).await?)
}

/// A session in which the relations that the statement names, and all functions, are registered.
fn context_for(system: &Arc<System>, statement: &Statement) -> Result<SessionContext> {
    struct Names(Vec<(String, String)>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &sqlparser::ast::ObjectName) -> ControlFlow<()> {
            let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
            if let [schema, name] = parts.as_slice() {
                self.0.push((schema.value.clone(), name.value.clone()));
            }
            ControlFlow::Continue(())
        }
    }
    let context = session(system);
    let mut names = Names(Vec::new());
    let _ = statement.visit(&mut names);
    let catalog = Arc::new(MemoryCatalogProvider::new());
    for (schema, name) in names.0 {
        let Some(table) = system.relation(&schema, &name)? else { continue };
        if catalog.schema(&schema).is_none() {
            catalog.register_schema(&schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let provider = catalog.schema(&schema).expect("registered above");
        if !provider.table_exist(&name) {
            provider.register_table(name, table)?;
        }
    }
    context.register_catalog("cenote", catalog);
    Ok(context)
}

fn session(system: &Arc<System>) -> SessionContext {
    let mut config = SessionConfig::new().with_default_catalog_and_schema("cenote", "public");
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    config.options_mut().execution.target_partitions = 1;
    let context = SessionContext::new_with_config(config);
    for function in system.functions() {
        context.register_udf(function);
    }
    context
}

/// Rows as `psql -At -P null=NULL` prints them.
fn printed(batches: &[RecordBatch]) -> String {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let value = |column| ScalarValue::try_from_array(column, row).expect("a row");
            let columns = batch.columns().iter().zip(batch.schema_ref().fields());
            let cells: Vec<String> = columns
                .map(|(column, field)| match field.metadata().get(crate::format::PG_TYPE_KEY) {
                    // Vectors are printed with spaces.
                    Some(name) if name.ends_with("vector") => {
                        text(&value(column)).trim_matches(['{', '}']).replace(',', " ")
                    }
                    _ => text(&value(column)),
                })
                .collect();
            lines.push(cells.join("|"));
        }
    }
    lines.join("\n")
}

fn text(value: &ScalarValue) -> String {
    match value {
        v if v.is_null() => "NULL".to_owned(),
        ScalarValue::Boolean(Some(b)) => if *b { "t" } else { "f" }.to_owned(),
        ScalarValue::List(list) => {
            let items = list.value(0);
            let item = |i| text(&ScalarValue::try_from_array(&items, i).expect("an element"));
            format!("{{{}}}", (0..items.len()).map(item).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// The columns' names as the client sees them.
fn headings(batches: &[RecordBatch]) -> Vec<String> {
    let schema = batches[0].schema();
    schema.fields().iter().map(|f| display_name(f.name()).to_owned()).collect()
}
