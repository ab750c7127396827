//! DROP MODEL [IF EXISTS] name [VERSION n] [CASCADE | RESTRICT]

use crate::catalog::{CatalogOp, Dependency, Model, View};
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, ModelReference, TokenSlice};
use crate::planner::{Environment, Planner, find_model};
use crate::sqlstate::SqlState;
use crate::statements::model::runs;
use crate::statements::table::names;
use crate::statements::{Execution, Kind, Response, Statement};
use std::sync::Arc;

/// DROP MODEL.
#[derive(Debug)]
pub struct DropModel {
    model: ModelReference,
    position: usize,
    version: Option<(u64, usize)>,
    if_exists: bool,
    cascade: bool,
}

/// Parses DROP MODEL.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["DROP", "MODEL"])?;
    let if_exists = cursor.if_exists();
    let position = cursor.position();
    let model = ModelReference::parse(&mut cursor)?;
    if model.version.is_some() {
        return Err(Error::new(SqlState::SyntaxError, "DROP MODEL takes a name without a version")
            .position(position)
            .hint("One version is dropped by DROP MODEL m VERSION n."));
    }
    let mut version = None;
    if cursor.accept(&["VERSION"]) {
        let position = cursor.position();
        version = Some((cursor.integer("a version's number")?, position));
    }
    let cascade = cursor.accept(&["CASCADE"]);
    if !cascade {
        cursor.accept(&["RESTRICT"]);
    }
    cursor.expect_end()?;
    Ok(Arc::new(DropModel { model, position, version, if_exists, cascade }))
}

#[async_trait::async_trait]
impl Statement for DropModel {
    fn name(&self) -> &'static str {
        "drop_model"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let model = match find_model(&cx.planner(), &self.model) {
            Ok(model) => model,
            Err(e) if self.if_exists && e.code() == SqlState::UndefinedObject => {
                cx.notice(Notice::notice(format!(
                    "model \"{}\" does not exist, skipping",
                    self.model.name
                )));
                return Response::done("DROP MODEL");
            }
            Err(e) => return Err(e.position(self.position)),
        };
        match self.version {
            None => {
                let what = format!("model {}", model.name);
                let dependency = Dependency::Model(model.id.clone());
                names::drop_dependents(cx, &what, &dependency, self.cascade)
                    .map_err(|e| e.position(self.position))?;
                runs::keep_versions(cx, &model.versions).await?;
                cx.transaction.apply(CatalogOp::DropModel { id: model.id.clone() })?;
            }
            Some((number, position)) => {
                self.drop_version(cx, &model, number).await.map_err(|e| e.position(position))?;
            }
        }
        Response::done("DROP MODEL")
    }
}

impl DropModel {
    /// Drops one version; the newest of the others becomes the default if it was.
    async fn drop_version(&self, cx: &Execution<'_>, model: &Model, number: u64) -> Result<()> {
        let Some(version) = model.version(number) else {
            if self.if_exists {
                cx.notice(Notice::notice(format!(
                    "version {number} of model \"{}\" does not exist, skipping",
                    model.name.name
                )));
                return Ok(());
            }
            return Err(missing_version(model, number));
        };
        runs::keep_versions(cx, std::slice::from_ref(version)).await?;
        let id = model.id.clone();
        cx.transaction.apply(CatalogOp::DropModelVersion { id, version: number })?;
        self.drop_broken_views(cx, model, number).await?;
        let catalog = cx.transaction.catalog();
        let default = catalog.model_by_id(&model.id).and_then(|m| m.default_version);
        if model.default_version == Some(number) {
            cx.notice(Notice::notice(match default {
                Some(other) => {
                    format!("version {other} of model \"{}\" is the default now", model.name.name)
                }
                None => format!("model \"{}\" has no version any more", model.name.name),
            }));
        }
        Ok(())
    }

    /// Views name a model, perhaps with a version: those that need this one cannot be planned now.
    async fn drop_broken_views(
        &self,
        cx: &Execution<'_>,
        model: &Model,
        number: u64,
    ) -> Result<()> {
        let on = Dependency::Model(model.id.clone());
        let mut broken: Vec<Arc<View>> = Vec::new();
        for view in cx.transaction.catalog().dependents(&on).0 {
            let environment =
                Environment { search_path: view.search_path.clone(), ..cx.environment.clone() };
            let planner = Planner::new(&environment, cx.transaction);
            if planner.plan_text(&view.query).await.is_err() {
                broken.push(view);
            }
        }
        let what = format!("version {number} of model {}", model.name);
        if !broken.is_empty() && !self.cascade {
            let lines: Vec<String> =
                broken.iter().map(|v| format!("view {} depends on {what}", v.name)).collect();
            return Err(Error::new(
                SqlState::DependentObjectsStillExist,
                format!("cannot drop {what} because other objects depend on it"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for view in broken {
            let name = format!("view {}", view.name);
            names::drop_dependents(cx, &name, &Dependency::View(view.oid), true)?;
            if cx.transaction.catalog().relation(&view.name).is_some() {
                cx.transaction.apply(CatalogOp::DropView {
                    schema: view.name.schema.clone(),
                    name: view.name.name.clone(),
                })?;
                cx.notice(Notice::notice(format!("drop cascades to {name}")));
            }
        }
        Ok(())
    }
}

fn missing_version(model: &Model, number: u64) -> Error {
    let known: Vec<String> = model.versions.iter().map(|v| v.version.to_string()).collect();
    Error::new(
        SqlState::UndefinedObject,
        format!("version {number} of model \"{}\" does not exist", model.name.name),
    )
    .hint(match known.is_empty() {
        true => "The model has no version.".to_owned(),
        false => format!("It has the versions {}.", known.join(", ")),
    })
}
