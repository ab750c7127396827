//! DESCRIBE MODEL name[@alias | @version]: what a version was trained from, and what it takes.

use crate::catalog::{Model, ModelVersion, SqlType};
use crate::error::Result;
use crate::parser::{Cursor, ModelReference, TokenSlice};
use crate::planner::{find_model, resolve_model};
use crate::statements::{
    Describe, Description, Execution, Kind, Response, Statement, text_batch, text_schema,
};
use chrono::DateTime;
use std::sync::Arc;

const COLUMNS: &[&str] = &["property", "value"];

/// DESCRIBE MODEL.
#[derive(Debug)]
pub struct DescribeModel {
    model: ModelReference,
    position: usize,
}

/// Parses DESCRIBE MODEL.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.advance();
    cursor.expect(&["MODEL"])?;
    let position = cursor.position();
    let model = ModelReference::parse(&mut cursor)?;
    cursor.expect_end()?;
    Ok(Arc::new(DescribeModel { model, position }))
}

#[async_trait::async_trait]
impl Statement for DescribeModel {
    fn name(&self) -> &'static str {
        "describe_model"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(text_schema(COLUMNS)))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: crate::error::Error| e.position_or(Some(self.position));
        let model = find_model(&cx.planner(), &self.model).map_err(place)?;
        // A model that was never trained can be described, but not one of its versions.
        let rows = if self.model.version.is_none() && model.default_version.is_none() {
            untrained(&model)
        } else {
            let resolved = resolve_model(&cx.planner(), &self.model).await.map_err(place)?;
            trained(&model, &resolved.version)
        };
        let properties = rows.iter().map(|(name, _)| Some((*name).to_owned())).collect();
        let values = rows.into_iter().map(|(_, value)| Some(value)).collect();
        Response::rows("DESCRIBE", text_batch(&[(COLUMNS[0], properties), (COLUMNS[1], values)])?)
    }
}

type Rows = Vec<(&'static str, String)>;

fn untrained(model: &Model) -> Rows {
    let spec = &model.spec;
    let options = spec.options.iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name} = {text}"),
        other => format!("{name} = {other}"),
    });
    let mut rows = vec![
        ("model", model.name.to_string()),
        ("version", "none".to_owned()),
        ("label", spec.label.clone()),
        ("options", options.collect::<Vec<_>>().join(", ")),
        ("created", time(model.created_at)),
    ];
    rows.extend(spec.algorithm.clone().map(|a| ("algorithm", a)));
    rows.extend(spec.query.clone().map(|q| ("query", q)));
    rows
}

fn trained(model: &Model, version: &ModelVersion) -> Rows {
    let is_default = model.default_version == Some(version.version);
    let typed = |(name, sql_type): &(String, SqlType)| format!("{name} {sql_type}");
    let list = |items: Vec<String>| items.join(", ");
    let pins = version.pins.iter().map(|p| format!("{} version {}", p.name, p.version));
    vec![
        ("model", model.name.to_string()),
        ("version", format!("{}{}", version.version, if is_default { " (default)" } else { "" })),
        ("algorithm", version.algorithm.clone()),
        ("task", version.task.clone()),
        ("label", typed(&(version.label.clone(), version.label_type.clone()))),
        ("features", list(version.features.iter().map(typed).collect())),
        ("options", list(version.params.iter().map(|(n, v)| format!("{n} = {v}")).collect())),
        ("snapshot", version.snapshot.to_string()),
        ("tables", list(pins.collect())),
        ("seed", version.seed.to_string()),
        ("rows", version.n_rows.to_string()),
        ("hash", version.artifact_hash.clone()),
        ("engine", version.engine_version.clone()),
        ("run", version.run_id.clone()),
        ("created", format!("{} by {}", time(version.created_at), version.created_by)),
        ("query", version.query.clone()),
    ]
}

/// A time as PostgreSQL shows it in UTC.
fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map_or_else(String::new, |t| t.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string())
}
