//! Model references to models in memory.

use super::Planner;
use crate::catalog::{Model as CatalogModel, ModelVersion, QualifiedName};
use crate::error::{Error, Result};
use crate::ml;
use crate::parser::ModelReference;
use crate::sqlstate::SqlState;
use crate::suggest;
use crate::warehouse::Warehouse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Models that are kept in memory at once.
const CACHED_MODELS: usize = 64;

/// Models by their artefact's folder, which is never written twice.
#[derive(Default)]
pub struct ModelCache {
    models: Mutex<HashMap<String, Arc<ml::Model>>>,
}

impl ModelCache {
    /// The model of a version, read and checked if it is not in memory.
    ///
    /// # Errors
    /// XX001 if the artefact is not the one that the record promised.
    pub async fn get(
        &self,
        warehouse: &Warehouse,
        version: &ModelVersion,
    ) -> Result<Arc<ml::Model>> {
        if let Some(model) = self.lock().get(&version.path) {
            return Ok(model.clone());
        }
        let model = Arc::new(crate::ml::registry::load(warehouse, version).await?);
        self.insert(&version.path, model.clone());
        Ok(model)
    }

    /// Keeps a model that was just trained.
    pub fn insert(&self, path: &str, model: Arc<ml::Model>) {
        let mut models = self.lock();
        if models.len() >= CACHED_MODELS {
            models.clear();
        }
        models.insert(path.to_owned(), model);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ml::Model>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model reference that was followed.
#[derive(Clone)]
pub struct ResolvedModel {
    /// `schema.name`
    pub name: QualifiedName,
    /// The model's identity.
    pub id: String,
    /// The version, as the catalog knows it.
    pub version: Arc<ModelVersion>,
    /// The model.
    pub model: Arc<ml::Model>,
}

/// Finds the model that a reference names.
///
/// # Errors
/// 42704 with the nearest name.
pub fn find_model(planner: &Planner<'_>, reference: &ModelReference) -> Result<Arc<CatalogModel>> {
    let catalog = planner.world.catalog();
    let schemas: Vec<&str> = match &reference.schema {
        Some(schema) => vec![schema],
        None => planner.environment.search_path.iter().map(String::as_str).collect(),
    };
    let found = schemas
        .iter()
        .find_map(|schema| catalog.model(&QualifiedName::new(*schema, &reference.name)).cloned());
    found.ok_or_else(|| {
        let known: Vec<&str> = catalog
            .models()
            .filter(|m| schemas.contains(&m.name.schema.as_str()))
            .map(|m| m.name.name.as_str())
            .collect();
        let shown = match &reference.schema {
            Some(schema) => format!("{schema}.{}", reference.name),
            None => reference.name.clone(),
        };
        Error::new(SqlState::UndefinedObject, format!("model \"{shown}\" does not exist"))
            .maybe_hint(suggest::hint("model", &reference.name, &known))
    })
}

/// Follows a reference to a version, and loads it.
///
/// # Errors
/// 42704 for a model or version that does not exist, 55000 for a model without versions.
pub async fn resolve_model(
    planner: &Planner<'_>,
    reference: &ModelReference,
) -> Result<ResolvedModel> {
    let model = find_model(planner, reference)?;
    let version = find_version(&model, reference.version.as_deref())?;
    let services = &planner.environment.services;
    let loaded = services.models.get(&services.warehouse, version).await?;
    Ok(ResolvedModel {
        name: model.name.clone(),
        id: model.id.clone(),
        version: version.clone(),
        model: loaded,
    })
}

fn find_version<'a>(
    model: &'a CatalogModel,
    wanted: Option<&str>,
) -> Result<&'a Arc<ModelVersion>> {
    let name = &model.name.name;
    let number = match wanted {
        None => model.default_version,
        Some("latest") => model.versions.last().map(|v| v.version),
        Some("first") => model.versions.first().map(|v| v.version),
        Some(text) => {
            match text.parse::<u64>() {
                Ok(number) => {
                    return model.version(number).ok_or_else(|| {
                        let known: Vec<String> =
                            model.versions.iter().map(|v| v.version.to_string()).collect();
                        Error::new(
                            SqlState::UndefinedObject,
                            format!("version {number} of model \"{name}\" does not exist"),
                        )
                        .hint(match known.is_empty() {
                            true => "The model has no version yet; use TRAIN MODEL.".to_owned(),
                            false => format!("It has the versions {}.", known.join(", ")),
                        })
                    });
                }
                Err(_) => {
                    return Err(Error::new(
                    SqlState::UndefinedObject,
                    format!("alias \"{text}\" of model \"{name}\" does not exist"),
                )
                .hint("Aliases of one's own are not built yet; @first, @latest and @<version> are."));
                }
            }
        }
    };
    number.and_then(|n| model.version(n)).ok_or_else(|| {
        Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("model \"{name}\" has not been trained"),
        )
        .hint(format!("Use TRAIN MODEL {name}."))
    })
}
