//! Artefacts in the warehouse: a folder of two files per trained version, checked when read.

use super::{Model, content_hash, from_parts, to_parts};
use crate::catalog::{FileDigest, ModelVersion, random_id};
use crate::delta::new_files::NewFiles;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::warehouse::Warehouse;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::sync::Arc;

const JSON: &str = "model.json";
const TENSORS: &str = "model.safetensors";

/// An artefact that was written, before its record makes it a version.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its folder, relative to the warehouse.
    pub path: String,
    /// Its files.
    pub files: Vec<FileDigest>,
    /// Equal for equal models.
    pub hash: String,
}

/// Writes a model's artefact into a folder of its own, and notes its files as new ones.
///
/// # Errors
/// What the store answers with.
pub async fn save(
    store: &Arc<dyn ObjectStore>,
    new_files: &NewFiles,
    model_id: &str,
    model: &Model,
) -> Result<Saved> {
    let artifact = to_parts(model)?;
    let hash = content_hash(&artifact);
    let path = format!("_models/{model_id}/{}", random_id());
    let mut files = Vec::new();
    for (name, bytes) in [(JSON, artifact.json), (TENSORS, artifact.tensors)] {
        files.push(FileDigest {
            name: name.to_owned(),
            size: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
        });
        let location = Path::from(format!("{path}/{name}"));
        new_files.note(location.clone());
        let (store, payload) = (store.clone(), PutPayload::from(bytes));
        let put = async move {
            store.put_opts(&location, payload, PutMode::Create.into()).await?;
            Ok(())
        };
        new_files.appear(put).await?;
    }
    Ok(Saved { path, files, hash })
}

/// Reads the artefact of a version.
///
/// # Errors
/// XX001 if a file is missing or not the one that the record promised.
pub async fn load(warehouse: &Warehouse, version: &ModelVersion) -> Result<Model> {
    let json = read(warehouse, version, JSON).await?;
    let tensors = read(warehouse, version, TENSORS).await?;
    from_parts(&json, &tensors)
}

async fn read(warehouse: &Warehouse, version: &ModelVersion, name: &str) -> Result<Vec<u8>> {
    let damaged = |what: &str| {
        Error::new(SqlState::DataCorrupted, format!("file {name} of a model's artefact {what}"))
            .detail(format!("The artefact is {}.", version.path))
    };
    let promised = version
        .files
        .iter()
        .find(|f| f.name == name)
        .ok_or_else(|| damaged("is not in its record"))?;
    let location = Path::from(format!("{}/{name}", version.path));
    let bytes = match warehouse.store().get(&location).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Err(damaged("is missing")),
        Err(other) => return Err(other.into()),
    };
    if bytes.len() as u64 != promised.size
        || blake3::hash(&bytes).to_hex().as_str() != promised.blake3
    {
        return Err(damaged("is not the one that was written"));
    }
    Ok(bytes.to_vec())
}
