//! An object store over a local folder whose writes survive a power cut.
//!
//! A put writes a scratch file, fsyncs it, links it (put-if-absent) or renames it (overwrite) to its
//! name, and fsyncs the folder. Folders that it writes to for the first time are fsynced up to the
//! root, even if they exist: another process may have created them a moment ago. After a failed
//! fsync nobody knows what the disk holds, so this store then writes no more.

use super::scratch::{SCRATCH_FOLDER, open_scratch};
use super::upload::DurableUpload;
use super::{Disk, as_store_error, io_error};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type StoreResult<T> = object_store::Result<T>;

/// See the head of this file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DurableStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    local: LocalFileSystem,
    disk: Arc<dyn Disk>,
    scratch: PathBuf,
    /// Held for as long as this store lives: its scratch files are in use.
    _scratch_lock: File,
    next_scratch: AtomicU64,
    /// Folders that are durable up to the root.
    durable_dirs: Mutex<HashSet<PathBuf>>,
    /// Why nothing may be written any more.
    poison: Mutex<Option<String>>,
}

impl DurableStore {
    /// Opens the folder `root`, and creates it if `create` says so.
    ///
    /// # Errors
    /// 58P01 if it does not exist, 58030 if it is no folder, 42501 if it cannot be written.
    pub fn open(root: &FsPath, create: bool, disk: Arc<dyn Disk>) -> Result<Self> {
        match std::fs::metadata(root) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Err(Error::new(
                    SqlState::IoError,
                    format!("\"{}\" is not a folder", root.display()),
                )
                .hint("Give the path of a folder; a new one is created if nothing is there."));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
                create_root(root, disk.as_ref())?;
            }
            Err(e) => return Err(io_error("open folder", root, e)),
        }
        let root = root.canonicalize().map_err(|e| io_error("open folder", root, e))?;
        let (scratch, lock) = open_scratch(&root, disk.as_ref())?;
        let inner = Inner {
            local: LocalFileSystem::new_with_prefix(&root)?,
            root,
            disk,
            scratch,
            _scratch_lock: lock,
            next_scratch: AtomicU64::new(0),
            durable_dirs: Mutex::new(HashSet::new()),
            poison: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The folder, as an absolute path without links.
    pub fn root(&self) -> &FsPath {
        &self.inner.root
    }

    /// Makes the names in a folder durable, and the folder itself; nothing if there is no folder.
    ///
    /// # Errors
    /// 58030 if fsync fails; the store then writes no more.
    pub async fn sync_folder(&self, folder: &Path) -> Result<()> {
        let inner = self.inner.clone();
        let dir = inner.local.path_to_filesystem(folder)?;
        blocking(move || {
            inner.check_poison()?;
            if !dir.is_dir() {
                return Ok(());
            }
            inner.ensure_dir(&dir)?;
            inner.sync_dir(&dir)
        })
        .await
        .map_err(Error::from)
    }

    /// Why this store writes no more, if it does not.
    pub fn poison(&self) -> Option<String> {
        self.inner.poison.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Inner {
    pub(super) fn check_poison(&self) -> StoreResult<()> {
        let poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        match poison.as_ref() {
            None => Ok(()),
            Some(reason) => Err(as_store_error(poisoned(reason))),
        }
    }

    /// A failed fsync: what the disk holds is unknown from now on.
    fn poison(&self, path: &FsPath, error: std::io::Error) -> object_store::Error {
        let reason = io_error("fsync", path, error).message().to_owned();
        let mut poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        as_store_error(poisoned(poison.get_or_insert(reason)))
    }

    fn sync_dir(&self, dir: &FsPath) -> StoreResult<()> {
        self.disk.sync_dir(dir).map_err(|e| self.poison(dir, e))
    }

    fn sync_file(&self, file: &File, path: &FsPath) -> StoreResult<()> {
        self.disk.sync_file(file, path).map_err(|e| self.poison(path, e))
    }

    /// Creates a folder below the root and makes it durable; free for one that was seen before.
    fn ensure_dir(&self, dir: &FsPath) -> StoreResult<()> {
        let known = |dir: &FsPath| {
            self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).contains(dir)
        };
        if dir == self.root || known(dir) {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(&self.root);
        self.ensure_dir(parent)?;
        self.disk.create_dir(dir).map_err(|e| write_error("create folder", dir, e))?;
        self.sync_dir(parent)?;
        self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    /// A new scratch file, open for writing.
    fn scratch_file(&self) -> StoreResult<(PathBuf, File)> {
        let number = self.next_scratch.fetch_add(1, Ordering::Relaxed);
        let path = self.scratch.join(number.to_string());
        let file =
            self.disk.create_file(&path).map_err(|e| write_error("create file", &path, e))?;
        Ok((path, file))
    }

    fn write(
        &self,
        file: &File,
        path: &FsPath,
        offset: u64,
        payload: &PutPayload,
    ) -> StoreResult<()> {
        let mut offset = offset;
        for chunk in payload {
            self.disk
                .write_at(file, path, offset, chunk)
                .map_err(|e| write_error("write file", path, e))?;
            offset += chunk.len() as u64;
        }
        Ok(())
    }

    /// Gives a finished scratch file its name. The scratch file is gone afterwards in any case.
    fn finish(&self, scratch: &FsPath, file: &File, to: &FsPath, create: bool) -> StoreResult<()> {
        let named = self.sync_file(file, scratch).and_then(|()| self.name(scratch, to, create));
        if named.is_err() || create {
            // Only tidiness: what is left in the scratch folder is swept at the next start.
            let _ = self.disk.remove(scratch);
        }
        named?;
        self.sync_dir(to.parent().unwrap_or(&self.root))
    }

    fn name(&self, scratch: &FsPath, to: &FsPath, create: bool) -> StoreResult<()> {
        let dir = to.parent().unwrap_or(&self.root);
        self.ensure_dir(dir)?;
        let attempt = || match create {
            true => self.disk.link(scratch, to),
            false => self.disk.rename(scratch, to),
        };
        let outcome = match attempt() {
            // Someone removed the folder since it was last seen.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.ensure_dir(dir)?;
                attempt()
            }
            other => other,
        };
        outcome.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists {
                path: to.display().to_string(),
                source: Box::new(e),
            },
            _ => write_error("write file", to, e),
        })
    }

    fn put(&self, to: &FsPath, payload: &PutPayload, create: bool) -> StoreResult<()> {
        self.check_poison()?;
        let (scratch, file) = self.scratch_file()?;
        if let Err(e) = self.write(&file, &scratch, 0, payload) {
            let _ = self.disk.remove(&scratch);
            return Err(e);
        }
        self.finish(&scratch, &file, to, create)
    }
}

/// A file that a multipart upload fills.
#[derive(Debug)]
pub(super) struct Scratch {
    inner: Arc<Inner>,
    path: PathBuf,
    file: File,
    to: PathBuf,
}

impl Scratch {
    pub(super) fn write(&self, offset: u64, payload: &PutPayload) -> StoreResult<()> {
        self.inner.check_poison()?;
        self.inner.write(&self.file, &self.path, offset, payload)
    }

    pub(super) fn finish(&self) -> StoreResult<()> {
        self.inner.check_poison()?;
        self.inner.finish(&self.path, &self.file, &self.to, false)
    }

    pub(super) fn discard(&self) {
        let _ = self.inner.disk.remove(&self.path);
    }
}

fn poisoned(reason: &str) -> Error {
    Error::new(SqlState::IoError, "this server writes no more, for the disk failed it")
        .detail(format!("An earlier fsync failed: {reason}."))
        .hint("Check the disk, then restart the server.")
}

fn write_error(doing: &str, path: &FsPath, error: std::io::Error) -> object_store::Error {
    as_store_error(io_error(doing, path, error))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> StoreResult<T> + Send + 'static,
) -> StoreResult<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Creates the root folder and what is missing above it, and makes the new names durable.
fn create_root(root: &FsPath, disk: &dyn Disk) -> Result<()> {
    let absolute = std::path::absolute(root).map_err(|e| io_error("open folder", root, e))?;
    let missing: Vec<&FsPath> = absolute.ancestors().take_while(|p| !p.exists()).collect();
    for dir in missing.into_iter().rev() {
        disk.create_dir(dir).map_err(|e| io_error("create folder", dir, e))?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(|e| io_error("fsync", parent, e))?;
        }
    }
    Ok(())
}

impl std::fmt::Display for DurableStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DurableStore({})", self.inner.root.display())
    }
}

fn refuse_update(mode: &PutMode) -> StoreResult<bool> {
    match mode {
        PutMode::Create => Ok(true),
        PutMode::Overwrite => Ok(false),
        PutMode::Update(_) => Err(object_store::Error::NotImplemented {
            operation: "conditional update".into(),
            implementer: "DurableStore".into(),
        }),
    }
}

fn is_scratch(location: &Path) -> bool {
    location.as_ref().starts_with(SCRATCH_FOLDER)
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        let create = refuse_update(&opts.mode)?;
        let to = self.inner.local.path_to_filesystem(location)?;
        let inner = self.inner.clone();
        blocking(move || inner.put(&to, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let to = self.inner.local.path_to_filesystem(location)?;
        let inner = self.inner.clone();
        let scratch = blocking(move || {
            inner.check_poison()?;
            let (path, file) = inner.scratch_file()?;
            Ok(Scratch { inner, path, file, to })
        })
        .await?;
        Ok(Box::new(DurableUpload::new(scratch)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.local.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.local.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        match self.inner.check_poison() {
            Ok(()) => self.inner.local.delete_stream(locations),
            Err(e) => futures::stream::once(futures::future::ready(Err(e))).boxed(),
        }
    }

    /// Sorted by path, as object stores answer and log readers expect.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let listing = self.inner.local.list(prefix);
        let sorted = async move {
            let mut all: Vec<ObjectMeta> = listing.try_collect().await?;
            all.retain(|m| !is_scratch(&m.location));
            all.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, object_store::Error>(futures::stream::iter(all.into_iter().map(Ok)))
        };
        futures::stream::once(sorted).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let mut result = self.inner.local.list_with_delimiter(prefix).await?;
        result.objects.retain(|m| !is_scratch(&m.location));
        result.common_prefixes.retain(|p| !is_scratch(p));
        result.objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(result)
    }

    /// Reads and puts: rarely used, and so as durable as any put.
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        let bytes = self.get(from).await?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Create => PutMode::Create,
            CopyMode::Overwrite => PutMode::Overwrite,
        };
        self.put_opts(to, bytes.into(), mode.into()).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
