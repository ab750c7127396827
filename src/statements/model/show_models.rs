//! SHOW MODELS [LIKE 'pattern']

use crate::catalog::{Model, QualifiedName, SqlType};
use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::comparison::like;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// SHOW MODELS.
#[derive(Debug)]
pub struct ShowModels {
    pattern: Option<String>,
}

/// Parses SHOW MODELS.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["SHOW", "MODELS"])?;
    let pattern = match cursor.accept(&["LIKE"]) {
        true => Some(cursor.string("a pattern")?),
        false => None,
    };
    cursor.expect_end()?;
    Ok(Arc::new(ShowModels { pattern }))
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("model"),
        number("default_version"),
        number("latest_version"),
        text("task"),
        text("algorithm"),
        text("label"),
        Field::new("created_at", SqlType::TimestampTz.arrow(), true),
    ]))
}

#[async_trait::async_trait]
impl Statement for ShowModels {
    fn name(&self) -> &'static str {
        "show_models"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(schema()))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let catalog = cx.transaction.catalog();
        let mut models: Vec<Arc<Model>> = Vec::new();
        for model in catalog.models() {
            if self.matches(&model.name)? {
                models.push(model.clone());
            }
        }
        Response::rows("SHOW", batch(&models)?)
    }
}

impl ShowModels {
    /// Whether the pattern fits the name, or what the column shows: the schema's and the name.
    fn matches(&self, name: &QualifiedName) -> Result<bool> {
        let Some(pattern) = &self.pattern else { return Ok(true) };
        let found = like(
            &StringArray::from(vec![name.name.clone(), name.to_string()]),
            &Scalar::new(StringArray::from(vec![pattern.as_str()])),
        )?;
        Ok(found.value(0) || found.value(1))
    }
}

/// Task and algorithm are those of the default version; before the first, what CREATE MODEL said.
fn batch(models: &[Arc<Model>]) -> Result<RecordBatch> {
    let texts = |f: &dyn Fn(&Model) -> Option<String>| -> ArrayRef {
        Arc::new(models.iter().map(|m| f(m)).collect::<StringArray>())
    };
    let numbers = |f: &dyn Fn(&Model) -> Option<u64>| -> ArrayRef {
        let number = |m: &Arc<Model>| f(m).and_then(|n| i64::try_from(n).ok());
        Arc::new(models.iter().map(number).collect::<Int64Array>())
    };
    let default = |m: &Model| m.default_version.and_then(|n| m.version(n).cloned());
    let created = models.iter().map(|m| m.created_at);
    let created = TimestampMicrosecondArray::from_iter_values(created).with_timezone("UTC");
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            texts(&|m| Some(m.name.to_string())),
            numbers(&|m| m.default_version),
            numbers(&|m| m.versions.last().map(|v| v.version)),
            texts(&|m| default(m).map(|v| v.task.clone())),
            texts(&|m| default(m).map(|v| v.algorithm.clone()).or(m.spec.algorithm.clone())),
            texts(&|m| Some(m.spec.label.clone())),
            Arc::new(created),
        ],
    )?)
}
