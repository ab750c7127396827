//! RETRAIN MODEL name VERSION n: trains a version again from the same data, options and seed, and
//! says whether the same model results. It proves or refuses; it makes no version.

use super::options;
use super::runs::{ENGINE_VERSION, Outcome, Run};
use super::source::{self, Text};
use super::training::{self, Recipe};
use crate::catalog::{CatalogState, ModelVersion};
use crate::delta::TableState;
use crate::error::{Error, Notice, Result};
use crate::ml::{Algorithm, Trained, content_hash, to_parts};
use crate::parser::{Cursor, ModelReference, TokenSlice};
use crate::planner::{ResolvedModel, World, resolve_model};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use crate::warehouse::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;

/// RETRAIN MODEL.
#[derive(Debug)]
pub struct RetrainModel {
    model: ModelReference,
    position: usize,
}

/// Parses RETRAIN MODEL.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["RETRAIN", "MODEL"])?;
    let position = cursor.position();
    let mut model = ModelReference::parse(&mut cursor)?;
    if model.version.is_none() {
        cursor.expect(&["VERSION"])?;
        model.version = Some(cursor.integer("a version's number")?.to_string());
    }
    cursor.expect_end()?;
    Ok(Arc::new(RetrainModel { model, position }))
}

#[async_trait::async_trait]
impl Statement for RetrainModel {
    fn name(&self) -> &'static str {
        "retrain_model"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    fn runs_again(&self) -> bool {
        false
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let resolved = resolve_model(&cx.planner(), &self.model)
            .await
            .map_err(|e| e.position_or(Some(self.position)))?;
        let version = &resolved.version;
        let run = Run::begin(&resolved.name, &version.query, &version.options, version.snapshot);
        let trained = match retrain(cx, &resolved).await {
            Ok(trained) => trained,
            Err(error) => {
                run.record_failure(cx, &error).await;
                return Err(error);
            }
        };
        let outcome = Outcome {
            status: "reproduced",
            n_rows: Some(trained.n_rows),
            artifact_hash: Some(&version.artifact_hash),
            error: None,
            params: Some(&trained.params),
            metrics: &trained.metrics,
        };
        run.record(cx.environment, cx.transaction, &outcome).await?;
        run.fail_if_lost(cx);
        cx.notice(Notice::notice(format!(
            "model \"{}\" version {} is reproduced (hash {})",
            resolved.name.name, version.version, version.artifact_hash
        )));
        Response::done("RETRAIN MODEL")
    }
}

/// Trains again; what comes out is the same model.
async fn retrain(cx: &Execution<'_>, resolved: &ResolvedModel) -> Result<Trained> {
    let version = &resolved.version;
    let world = Pinned::of(cx, resolved).await?;
    let environment = training::frozen(
        cx.environment,
        &version.search_path,
        &version.time_zone,
        version.started_at,
    );
    let work = source::plan(&environment, &world, Text::Stored(&version.query));
    let planned = cx
        .canceller
        .guard(work)
        .await
        .map_err(|e| e.context(format!("training query of model \"{}\"", resolved.name)))?;
    let recipe = Recipe {
        model: resolved.name.clone(),
        label: version.label.clone(),
        algorithm: Some(Algorithm::from_name(&version.algorithm)?),
        options: version.options.clone(),
        query: version.query.clone(),
    };
    options::check(recipe.algorithm, None, &recipe.options, &Default::default())?;
    let trained = training::fit(cx, &world, &recipe, &planned).await?;
    let hash = content_hash(&to_parts(&trained.model)?);
    if hash == version.artifact_hash {
        return Ok(trained);
    }
    let unpinned = planned.reads.unpinned.as_deref();
    Err(differs(resolved, &trained, &hash, unpinned))
}

/// 55000: what differs, the likely cause first.
fn differs(
    resolved: &ResolvedModel,
    trained: &Trained,
    hash: &str,
    unpinned: Option<&str>,
) -> Error {
    let version = &resolved.version;
    let mut lines = Vec::new();
    if let Some(what) = unpinned {
        lines.push(format!("It was trained on {what}, which no snapshot keeps."));
    }
    if trained.n_rows != version.n_rows {
        lines.push(format!("It had {} rows, now there are {}.", version.n_rows, trained.n_rows));
    }
    let features: Vec<&String> =
        trained.model.signature().features.iter().map(|f| &f.name).collect();
    if features != version.features.iter().map(|(name, _)| name).collect::<Vec<_>>() {
        lines.push("Its features were others.".to_owned());
    }
    if version.engine_version != ENGINE_VERSION {
        lines.push(format!(
            "It was trained by version {} of the program, this is {ENGINE_VERSION}.",
            version.engine_version
        ));
    }
    lines.push(format!("Its hash is {}, the new one is {hash}.", version.artifact_hash));
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("model \"{}\" version {} is not reproduced", resolved.name.name, version.version),
    )
    .detail(lines.join("\n"))
}

/// The warehouse as a training saw it.
struct Pinned {
    snapshot: Snapshot,
    versions: HashMap<String, i64>,
}

impl Pinned {
    /// The snapshot that the version was trained on. Where its own transaction had written to its
    /// tables before, that is the record of the version itself, with the pinned table versions.
    async fn of(cx: &Execution<'_>, resolved: &ResolvedModel) -> Result<Self> {
        let version = &resolved.version;
        let warehouse = &cx.services().warehouse;
        let snapshot = warehouse.snapshot_at(version.snapshot).await?;
        let is_there = |catalog: &CatalogState| {
            version.pins.iter().all(|p| catalog.head(&p.table).is_some_and(|h| h >= p.version))
        };
        if is_there(snapshot.catalog()) {
            return Ok(Self { snapshot, versions: HashMap::new() });
        }
        let mut versions = HashMap::new();
        for pin in &version.pins {
            let newest = versions.entry(pin.table.clone()).or_insert(pin.version);
            *newest = pin.version.max(*newest);
        }
        let snapshot = record_of(cx, &resolved.id, version).await?;
        Ok(Self { snapshot, versions })
    }
}

/// The warehouse right after the record that holds a version: the first that knows its run.
async fn record_of(cx: &Execution<'_>, model: &str, version: &ModelVersion) -> Result<Snapshot> {
    let warehouse = &cx.services().warehouse;
    let (mut before, mut at) = (version.snapshot, cx.transaction.snapshot().seq());
    let knows = |snapshot: &Snapshot| {
        let model = snapshot.catalog().model_by_id(model);
        model.is_some_and(|m| m.versions.iter().any(|v| v.run_id == version.run_id))
    };
    if !knows(cx.transaction.snapshot()) {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "the version was trained by this transaction, on rows that it wrote itself",
        )
        .hint("Run RETRAIN MODEL after COMMIT."));
    }
    while at - before > 1 {
        let middle = before + (at - before) / 2;
        if knows(&warehouse.snapshot_at(middle).await?) {
            at = middle;
        } else {
            before = middle;
        }
    }
    warehouse.snapshot_at(at).await
}

#[async_trait::async_trait]
impl World for Pinned {
    fn catalog(&self) -> Arc<CatalogState> {
        self.snapshot.catalog().clone()
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    async fn table(&self, id: &str) -> Result<Arc<TableState>> {
        match self.versions.get(id) {
            Some(version) => self.snapshot.table_at(id, *version).await,
            None => self.snapshot.table(id).await,
        }
    }
}
