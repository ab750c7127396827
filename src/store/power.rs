//! A disk that remembers every call, so that a test can see what a power cut would have left.
//!
//! The model is the least that POSIX promises: a file's content survives if the file was fsynced
//! after it was written, a name survives if its folder was fsynced after it appeared, and a name
//! that survives without its content is an empty file. What was not fsynced may survive all the
//! same, each name and each file by chance.

use super::{Disk, OsDisk};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Records calls below a folder and passes them on to the operating system.
#[derive(Debug)]
pub struct TraceDisk {
    base: PathBuf,
    calls: Mutex<Vec<Call>>,
    /// How many calls of fsync still succeed before one fails.
    failing_sync: Mutex<Option<usize>>,
}

#[derive(Debug, Clone)]
enum Call {
    CreateDir(PathBuf),
    SyncDir(PathBuf),
    CreateFile(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    SyncFile(PathBuf),
    Link(PathBuf, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl TraceDisk {
    /// A disk over `base`, a folder that exists and counts as durable.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into(), calls: Mutex::default(), failing_sync: Mutex::default() }
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.lock().len()
    }

    /// Lets one fsync of a file or folder fail, after `good` that succeed.
    pub fn fail_sync_after(&self, good: usize) {
        *self.failing_sync.lock().unwrap_or_else(PoisonError::into_inner) = Some(good);
    }

    /// Writes to the empty folder `image` what is left of `base` if the power goes after `calls` calls.
    ///
    /// # Errors
    /// What writing the image answers.
    pub fn power_cut(&self, calls: usize, image: &Path) -> io::Result<()> {
        self.power_cut_with(calls, image, &mut || false)
    }

    /// The same, but what need not survive does if `survives` says so: the disk wrote it early.
    ///
    /// # Errors
    /// What writing the image answers.
    pub fn power_cut_with(
        &self,
        calls: usize,
        image: &Path,
        survives: &mut dyn FnMut() -> bool,
    ) -> io::Result<()> {
        let mut model = Model::default();
        for call in self.lock().iter().take(calls) {
            model.apply(call);
        }
        model.survive(survives);
        model.write(&self.base, image)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, result: io::Result<T>, call: impl FnOnce() -> Call) -> io::Result<T> {
        if result.is_ok() {
            self.lock().push(call());
        }
        result
    }

    fn injected(&self) -> io::Result<()> {
        let mut failing = self.failing_sync.lock().unwrap_or_else(PoisonError::into_inner);
        match failing.as_mut() {
            None => Ok(()),
            Some(0) => {
                *failing = None;
                Err(io::Error::other("an injected failure of fsync"))
            }
            Some(good) => {
                *good -= 1;
                Ok(())
            }
        }
    }
}

impl Disk for TraceDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.note(OsDisk.create_dir(path), || Call::CreateDir(path.into()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.injected()?;
        self.note(OsDisk.sync_dir(path), || Call::SyncDir(path.into()))
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.note(OsDisk.create_file(path), || Call::CreateFile(path.into()))
    }

    fn write_at(&self, file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(OsDisk.write_at(file, path, offset, bytes), || {
            Call::Write(path.into(), offset, bytes.to_vec())
        })
    }

    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.injected()?;
        self.note(OsDisk.sync_file(file, path), || Call::SyncFile(path.into()))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(OsDisk.link(from, to), || Call::Link(from.into(), to.into()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(OsDisk.rename(from, to), || Call::Rename(from.into(), to.into()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(OsDisk.remove(path), || Call::Remove(path.into()))
    }
}

/// What the file system holds, and what of it is on the disk.
#[derive(Default)]
struct Model {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
}

#[derive(Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

impl Model {
    fn apply(&mut self, call: &Call) {
        match call {
            Call::CreateDir(path) => {
                self.names.insert(path.clone(), Node::Folder);
            }
            Call::CreateFile(path) => {
                self.names.insert(path.clone(), Node::File(self.files.len()));
                self.files.push(Content::default());
            }
            Call::Write(path, offset, bytes) => {
                if let Some(content) = self.content(path) {
                    let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                    let end = start + bytes.len();
                    content.written.resize(content.written.len().max(end), 0);
                    content.written[start..end].copy_from_slice(bytes);
                }
            }
            Call::SyncFile(path) => {
                if let Some(content) = self.content(path) {
                    content.durable = content.written.clone();
                }
            }
            Call::SyncDir(dir) => {
                self.durable_names.retain(|path, _| path.parent() != Some(dir));
                let children = self.names.iter().filter(|(path, _)| path.parent() == Some(dir));
                self.durable_names.extend(children.map(|(path, node)| (path.clone(), *node)));
            }
            Call::Link(from, to) => {
                if let Some(node) = self.names.get(from).copied() {
                    self.names.insert(to.clone(), node);
                }
            }
            Call::Rename(from, to) => {
                if let Some(node) = self.names.remove(from) {
                    self.names.insert(to.clone(), node);
                }
            }
            Call::Remove(path) => {
                self.names.remove(path);
            }
        }
    }

    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        match self.names.get(path) {
            Some(Node::File(number)) => self.files.get_mut(*number),
            _ => None,
        }
    }

    /// Makes durable what survives though nothing promised it.
    fn survive(&mut self, survives: &mut dyn FnMut() -> bool) {
        for content in &mut self.files {
            if content.written != content.durable && survives() {
                content.durable.clone_from(&content.written);
            }
        }
        let paths: BTreeSet<&PathBuf> =
            self.names.keys().chain(self.durable_names.keys()).collect();
        let changed: Vec<PathBuf> = paths
            .into_iter()
            .filter(|path| self.names.get(*path) != self.durable_names.get(*path))
            .cloned()
            .collect();
        for path in changed {
            if !survives() {
                continue;
            }
            match self.names.get(&path).copied() {
                Some(node) => self.durable_names.insert(path, node),
                None => self.durable_names.remove(&path),
            };
        }
    }

    /// A BTreeMap yields a folder before what is in it; a name whose folder is lost is lost too.
    fn write(&self, base: &Path, image: &Path) -> io::Result<()> {
        for (path, node) in &self.durable_names {
            let Ok(relative) = path.strip_prefix(base) else { continue };
            let target = image.join(relative);
            if !target.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match node {
                Node::Folder => OsDisk.create_dir(&target)?,
                Node::File(number) => std::fs::write(&target, &self.files[*number].durable)?,
            }
        }
        Ok(())
    }
}
