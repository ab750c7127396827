//! The folder of files on their way, and the locks that say which processes use a warehouse.
//!
//! Every open store holds a lock on a file beside its own scratch folder; the kernel lets go of it
//! when the process ends, however it ends. One more lock keeps two starting processes apart: whoever
//! holds that one and finds no other lock taken is alone.

use super::{Disk, io_error};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Files on their way, within the root; never listed.
pub const SCRATCH_FOLDER: &str = "_cenote/tmp";

/// The name, without its extension, of the lock that starting processes take in turn.
const STARTING: &str = "starting";

/// No other process of this machine uses the folder, and none can start to, while this lives.
#[derive(Debug)]
pub struct Alone {
    _starting: File,
}

impl Alone {
    /// Takes a warehouse's folder for this process alone. Its own stores must be closed.
    ///
    /// # Errors
    /// 55006 if another process uses it, 58030 where files cannot be locked.
    pub fn hold(root: &Path) -> Result<Self> {
        let folder = root.join(SCRATCH_FOLDER);
        let fail = |e| io_error("lock folder", root, e);
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let starting = open_lock(&folder, STARTING).map_err(fail)?;
        starting.lock().map_err(fail)?;
        sweep(&folder);
        if owners(&folder).next().is_some() {
            return Err(Error::new(
                SqlState::ObjectInUse,
                format!("the warehouse at \"{}\" is in use", root.display()),
            )
            .hint("Stop its servers and shells, and try again."));
        }
        Ok(Self { _starting: starting })
    }
}

/// Makes a scratch folder for a store, and removes those whose owners are gone.
///
/// # Errors
/// 42501 and the like if the folder cannot be written.
pub(super) fn open_scratch(root: &Path, disk: &dyn Disk) -> Result<(PathBuf, File)> {
    let folder = root.join(SCRATCH_FOLDER);
    let fail = |e| io_error("write to folder", root, e);
    for dir in [&root.join("_cenote"), &folder] {
        disk.create_dir(dir).map_err(fail)?;
    }
    let starting = open_lock(&folder, STARTING).map_err(fail)?;
    if starting.lock().is_ok() {
        sweep(&folder);
    }
    let id = crate::catalog::random_id();
    let lock = open_lock(&folder, &id).map_err(fail)?;
    // Where locks do not work nobody can sweep, so nothing is at risk.
    let _ = lock.try_lock();
    let own = folder.join(&id);
    disk.create_dir(&own).map_err(fail)?;
    Ok((own, lock))
}

fn open_lock(folder: &Path, name: &str) -> std::io::Result<File> {
    let path = folder.join(name).with_extension("lock");
    File::options().create(true).append(true).open(path)
}

/// The lock files of stores, of living ones and of dead ones.
fn owners(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| {
        path.extension().is_some_and(|e| e == "lock")
            && path.file_stem().is_some_and(|s| s != STARTING)
    })
}

fn sweep(folder: &Path) {
    for path in owners(folder) {
        let owner_gone = File::open(&path).is_ok_and(|f| f.try_lock().is_ok());
        if owner_gone {
            let _ = std::fs::remove_dir_all(path.with_extension(""));
            let _ = std::fs::remove_file(&path);
        }
    }
}
