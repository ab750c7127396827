//! The relations of the schema `ml` that the catalog alone answers.

use super::System;
use super::rows::{Cell, Rows};
use crate::catalog::{Model, ModelVersion, Relation};
use serde_json::Value;

/// Fills the relation of this name.
pub(super) fn fill(system: &System, name: &str, rows: &mut Rows) {
    let models = &system.objects().models;
    match name {
        "models" => models.iter().for_each(|model| push_model(model, rows)),
        "model_versions" => {
            for model in models {
                model.versions.iter().for_each(|version| push_version(model, version, rows));
            }
        }
        "feature_tables" => feature_tables(system, rows),
        _ => {}
    }
}

fn push_model(model: &Model, rows: &mut Rows) {
    // An untrained model shows what it was declared with.
    let version = model.default_version.and_then(|n| model.version(n));
    let algorithm = version.map(|v| &v.algorithm).or(model.spec.algorithm.as_ref());
    rows.push([
        ("model", model.name.to_string().into()),
        ("default_version", number(model.default_version)),
        ("latest_version", number(model.versions.last().map(|v| v.version))),
        ("task", version.map(|v| &v.task).into()),
        ("algorithm", algorithm.into()),
        ("label", (&model.spec.label).into()),
        ("owner", (&model.owner).into()),
        ("created_at", model.created_at.into()),
    ]);
}

fn push_version(model: &Model, version: &ModelVersion, rows: &mut Rows) {
    let features: Vec<&String> = version.features.iter().map(|(name, _)| name).collect();
    let options = version.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    rows.push([
        ("model", model.name.to_string().into()),
        ("version", number(Some(version.version))),
        ("run_id", (&version.run_id).into()),
        ("algorithm", (&version.algorithm).into()),
        ("task", (&version.task).into()),
        ("label", (&version.label).into()),
        ("features", features.into()),
        ("options", Value::Object(options).to_string().into()),
        ("query", (&version.query).into()),
        ("snapshot", number(Some(version.snapshot))),
        ("n_rows", number(Some(version.n_rows))),
        ("artifact_hash", (&version.artifact_hash).into()),
        ("created_at", version.created_at.into()),
        ("created_by", (&version.created_by).into()),
        ("is_default", (model.default_version == Some(version.version)).into()),
        ("aliases", Cell::List(Vec::new())),
        ("tags", "{}".into()),
    ]);
}

fn feature_tables(system: &System, rows: &mut Rows) {
    let tables = system.context.catalog.relations().filter_map(|relation| match relation {
        Relation::Table(table) => table.feature.as_ref().map(|feature| (table, feature)),
        Relation::View(_) => None,
    });
    for (table, feature) in tables {
        rows.push([
            ("feature_table", table.name.to_string().into()),
            ("keys", feature.primary_key.clone().into()),
            ("timestamp_key", feature.timestamp_key.as_ref().into()),
            ("ttl", table.properties.get("ttl").into()),
            ("online", false.into()),
            ("query", feature.query.as_ref().into()),
            ("owner", (&table.owner).into()),
        ]);
    }
}

fn number(n: Option<u64>) -> Cell {
    n.and_then(|n| i64::try_from(n).ok()).into()
}
