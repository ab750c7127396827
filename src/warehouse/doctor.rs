//! The examination of a warehouse: is everything there that its log promises, and whole?
//!
//! The log is read from its first record to its head, then every live table's files and every model's
//! are looked up. The one thing that is mended here is a torn last record, which a failing disk may
//! leave (a crash does not: records are linked to their key when they are whole): it is moved aside,
//! so that the warehouse is again what the records before it say.

use super::log::{self, LOG_FOLDER, Log};
use super::open::{Options, Warehouse};
use super::record::Record;
use super::snapshot::Snapshot;
use crate::delta::location::object_path;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::store::{Alone, Disk, DurableStore, OsDisk, io_error};
use futures::stream::{self, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

/// Where torn records go.
const ASIDE_FOLDER: &str = "_cenote/aside";
/// Files that are looked up at a time.
const LOOKUPS_AT_ONCE: usize = 16;

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// Records of the log.
    pub records: u64,
    /// Live tables.
    pub tables: usize,
    /// Data files of live tables.
    pub data_files: usize,
    /// Bytes of these, as their tables state them.
    pub data_bytes: u64,
    /// Versions of models.
    pub model_versions: usize,
    /// A last record that is torn: its number.
    pub torn: Option<u64>,
    /// Everything that is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// Looks at all that a warehouse holds. Nothing is changed, but for publishing, as at every start.
///
/// # Errors
/// As [`Warehouse::open`] for a folder that is no warehouse; damage is no error but a finding.
pub async fn examine(path: &FsPath) -> Result<Examination> {
    let mut found = Examination::default();
    examine_log(path, &mut found).await?;
    if found.problems.is_empty() {
        let options = Options { create: false, ..Options::default() };
        let snapshot = Warehouse::open(path, options).await?.snapshot().await?;
        examine_tables(&snapshot, &mut found).await;
        examine_models(&snapshot, &mut found).await;
    }
    Ok(found)
}

/// Moves a torn last record out of the log, to a file that it returns.
///
/// # Errors
/// 55006 if another process uses the warehouse, 55000 if the last record is whole.
pub async fn set_torn_record_aside(path: &FsPath) -> Result<PathBuf> {
    let _alone = Alone::hold(path)?;
    let disk = OsDisk;
    let sync = |dir: &FsPath| disk.sync_dir(dir).map_err(|e| io_error("fsync", dir, e));
    let folder = path.join(LOG_FOLDER);
    let seq = record_numbers(&folder)?.into_iter().max().unwrap_or_default();
    let record = path.join(log::key(seq).as_ref());
    let bytes = std::fs::read(&record).map_err(|e| io_error("read", &record, e))?;
    if !Record::is_torn(&bytes) {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("record {seq}, the last of the log, is not torn"),
        )
        .hint("Run \"cenote doctor\" without --fix to see what is wrong."));
    }
    let aside = path.join(ASIDE_FOLDER);
    disk.create_dir(&aside).map_err(|e| io_error("create folder", &aside, e))?;
    let target = aside.join(format!("{seq:020}-{}.json", crate::catalog::random_id()));
    disk.rename(&record, &target).map_err(|e| io_error("move", &record, e))?;
    for dir in [aside.as_path(), folder.as_path(), path.join("_cenote").as_path()] {
        sync(dir)?;
    }
    Ok(target)
}

/// Reads the log from its first record that is kept, and follows the chain of checksums.
async fn examine_log(path: &FsPath, found: &mut Examination) -> Result<()> {
    if !path.join(LOG_FOLDER).is_dir() {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("there is no warehouse at \"{}\"", path.display()),
        )
        .hint("Give the folder that \"cenote serve --data\" was given."));
    }
    let durable = DurableStore::open(path, false, Arc::new(OsDisk))?;
    let log = Log { store: Arc::new(durable.clone()), durable };
    let first = log.floor().await?.max(1);
    let numbers = record_numbers(&path.join(LOG_FOLDER))?;
    let last = numbers.iter().copied().max().unwrap_or_default();
    let mut previous = None;
    for seq in first..=last {
        let entry = match log.get(seq).await {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                found.problems.push(format!("record {seq} of {last} is missing"));
                return Ok(());
            }
            Err(error) => {
                if seq == last && is_torn(&log, seq).await? {
                    found.torn = Some(seq);
                }
                found.problems.push(sentence(&error));
                return Ok(());
            }
        };
        if previous.is_some_and(|checksum| checksum != entry.record.previous) {
            found.problems.push(format!("record {seq} does not follow the record before it"));
            return Ok(());
        }
        previous = Some(entry.checksum);
        found.records += 1;
    }
    Ok(())
}

async fn is_torn(log: &Log, seq: u64) -> Result<bool> {
    let bytes = log::read(log.store.as_ref(), &log::key(seq)).await?;
    Ok(bytes.is_some_and(|bytes| Record::is_torn(&bytes)))
}

fn record_numbers(folder: &FsPath) -> Result<Vec<u64>> {
    let entries = std::fs::read_dir(folder).map_err(|e| io_error("list", folder, e))?;
    // Whatever else lies there is no record, and nobody reads it.
    let number = |name: &str| {
        let seq: u64 = name.strip_suffix(".json")?.parse().ok()?;
        (log::key(seq).filename() == Some(name)).then_some(seq)
    };
    Ok(entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect())
}

async fn examine_tables(snapshot: &Snapshot, found: &mut Examination) {
    let store = snapshot.warehouse().store();
    for table in snapshot.catalog().tables() {
        found.tables += 1;
        if let Some(quarantine) = snapshot.quarantine(&table.id) {
            let reason = &quarantine.reason;
            found.problems.push(format!("table {} is quarantined: {reason}", table.name));
        }
        let state = match snapshot.table(&table.id).await {
            Ok(state) => state,
            Err(error) => {
                found.problems.push(format!("table {}: {}", table.name, sentence(&error)));
                continue;
            }
        };
        found.data_files += state.files().len();
        found.data_bytes += state.bytes();
        let prefix = Path::from(table.path.as_str());
        let lookups = state.files().map(|add| {
            let (store, place) = (store.clone(), object_path(&prefix, &add.path));
            async move {
                let place = place.map_err(|e| sentence(&e))?;
                check_size(store.as_ref(), &place, add.size as u64).await
            }
        });
        let lookups = stream::iter(lookups).buffered(LOOKUPS_AT_ONCE);
        let wrong: Vec<String> = lookups.filter_map(async |l| l.err()).collect().await;
        found.problems.extend(wrong.into_iter().map(|w| format!("table {}: {w}", table.name)));
    }
}

/// Models' files are small: they are read, and their hashes compared.
async fn examine_models(snapshot: &Snapshot, found: &mut Examination) {
    let store = snapshot.warehouse().store();
    for model in snapshot.catalog().models() {
        for version in &model.versions {
            found.model_versions += 1;
            for file in &version.files {
                let place = Path::from(format!("{}/{}", version.path, file.name));
                let wrong = match log::read(store.as_ref(), &place).await {
                    Ok(Some(bytes)) if blake3::hash(&bytes).to_hex().as_str() == file.blake3 => {
                        continue;
                    }
                    Ok(Some(_)) => format!("file \"{place}\" is not what was written"),
                    Ok(None) => format!("file \"{place}\" is missing"),
                    Err(error) => sentence(&error),
                };
                let name = &model.name;
                found.problems.push(format!("model {name}, version {}: {wrong}", version.version));
            }
        }
    }
}

async fn check_size(store: &dyn ObjectStore, place: &Path, size: u64) -> Result<(), String> {
    match store.head(place).await {
        Ok(meta) if meta.size == size => Ok(()),
        Ok(meta) => Err(format!("file \"{place}\" has {} bytes instead of {size}", meta.size)),
        Err(object_store::Error::NotFound { .. }) => Err(format!("file \"{place}\" is missing")),
        Err(error) => Err(error.to_string()),
    }
}

/// An error in one line.
fn sentence(error: &Error) -> String {
    match error.get_detail() {
        Some(detail) => format!("{} ({})", error.message(), detail.trim_end_matches('.')),
        None => error.message().to_owned(),
    }
}
