//! Opening a warehouse: the tests of its folder, finding the head of the log, creating a new one.

use super::clock::{Clock, SystemClock};
use super::fold::Fold;
use super::log::{LOG_FOLDER, Log};
use super::refresh::Recent;
use super::tables::TableCache;
use super::{checkpoint, genesis};
use crate::catalog::{Table, random_id};
use crate::delta::location::TableLocation;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::store::{Disk, DurableStore, OsDisk, io_error, put_if_absent_test};
use datafusion::datasource::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use object_store::path::Path;
use std::path::Path as FsPath;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The owner of what a new warehouse holds.
const DEFAULT_OWNER: &str = "cenote";

/// Wraps the store that everything goes through: a seam for faults and latency.
pub type WrapStore = Arc<dyn Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync>;

/// How a warehouse is opened.
#[derive(Clone)]
pub struct Options {
    /// Create the folder and the warehouse if there is none.
    pub create: bool,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Wraps the store, for tests.
    pub wrap_store: Option<WrapStore>,
    /// The file system's calls, for tests.
    pub disk: Arc<dyn Disk>,
    /// Records after which a new checkpoint of the log is written.
    pub checkpoint_every: u64,
    /// Delta commits after which a new checkpoint of a table is written.
    pub table_checkpoint_every: i64,
    /// The role that owns schema `public` of a new warehouse.
    pub owner: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            clock: Arc::new(SystemClock),
            wrap_store: None,
            disk: Arc::new(OsDisk),
            checkpoint_every: 256,
            table_checkpoint_every: 100,
            owner: DEFAULT_OWNER.into(),
        }
    }
}

/// An open warehouse. Several may be open on one folder, in one process or in many.
pub struct Warehouse {
    pub(super) id: String,
    pub(super) log: Log,
    pub(super) options: Options,
    /// The newest fold that is known and durable.
    pub(super) current: RwLock<Arc<Fold>>,
    pub(super) recent: Mutex<Recent>,
    pub(super) tables: TableCache,
    /// Held by whoever reads new records.
    pub(super) refreshing: tokio::sync::Mutex<()>,
    /// Held by whoever commits: one put in flight per server.
    pub(super) committing: tokio::sync::Mutex<()>,
    /// Held by whoever writes checkpoints.
    pub(super) maintaining: tokio::sync::Mutex<()>,
    /// The newest checkpoint of the log.
    pub(super) checkpointed: AtomicU64,
}

impl std::fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Warehouse({} at {})", self.id, self.root().display())
    }
}

impl Warehouse {
    /// Opens the warehouse in a folder, and publishes what a crash left unpublished.
    ///
    /// # Errors
    /// 58P01 if the folder does not exist, 58030 if it is none, 42501 if it cannot be written, 55000
    /// if something else is in it, XX001 if the log is damaged.
    pub async fn open(path: &FsPath, options: Options) -> Result<Arc<Warehouse>> {
        check_folder(path, options.create)?;
        let durable = DurableStore::open(path, options.create, options.disk.clone())?;
        let mut store: Arc<dyn ObjectStore> = Arc::new(durable.clone());
        if let Some(wrap) = &options.wrap_store {
            store = wrap(store);
        }
        put_if_absent_test(store.as_ref(), &Path::from("_cenote/probe")).await?;
        let log = Log { store, durable };
        let (fold, watermarks) = checkpoint::newest(&log, u64::MAX).await?.unwrap_or_default();
        if fold.seq == 0 && log.floor().await? == 0 && log.whole_head_from(0).await? == 0 {
            create(&log, &options).await?;
        }
        let warehouse = start(log, options, fold, watermarks).await?;
        warehouse.publish_pending().await;
        Ok(Arc::new(warehouse))
    }

    /// Its id, in every record and every Delta commit.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its folder, as an absolute path.
    pub fn root(&self) -> &FsPath {
        self.log.durable.root()
    }

    /// The store that holds everything: durable, and rooted at the warehouse's folder.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.log.store.clone()
    }

    /// The URL to register [`store`](Self::store) under with DataFusion's RuntimeEnv.
    pub fn object_store_url(&self) -> ObjectStoreUrl {
        ObjectStoreUrl::parse(format!("cenote://{}/", self.id))
            .expect("a hexadecimal id is a host name")
    }

    /// Where a table's files are.
    ///
    /// # Errors
    /// XX000 if the table's path cannot be used.
    pub fn location(&self, table: &Table) -> Result<TableLocation> {
        let prefix = Path::parse(&table.path)
            .map_err(|e| Error::internal(format!("the path of a table cannot be used: {e}")))?;
        Ok(TableLocation { object_store_url: self.object_store_url(), prefix })
    }

    /// The clock that this warehouse goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.options.clock
    }

    pub(super) fn current(&self) -> Arc<Fold> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Refuses a folder with anything but a warehouse in it, before anything is written there.
fn check_folder(path: &FsPath, create: bool) -> Result<()> {
    let missing = |code| {
        Error::new(code, format!("there is no warehouse at \"{}\"", path.display()))
            .hint("Check the path; \"cenote serve\" creates a warehouse in a new folder.")
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(missing(SqlState::UndefinedFile));
        }
        // The store says it better.
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Ok(()),
        Err(e) => return Err(io_error("open folder", path, e)),
    };
    if path.join(LOG_FOLDER).is_dir() {
        return Ok(());
    }
    let foreign = entries
        .flatten()
        .map(|e| e.file_name())
        .find(|name| name != "_cenote" && name != "lost+found");
    match foreign {
        Some(name) => Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("\"{}\" is not a warehouse, and not empty", path.display()),
        )
        .detail(format!("It holds \"{}\" and no log of a warehouse.", name.to_string_lossy()))
        .hint("Give an empty folder, or the path of one that does not exist yet.")),
        None if create => Ok(()),
        None => Err(missing(SqlState::ObjectNotInPrerequisiteState)),
    }
}

/// Puts the first record; another process may have been faster.
async fn create(log: &Log, options: &Options) -> Result<()> {
    let record = genesis::record(&random_id(), &options.owner, options.clock.now_micros())?;
    let (bytes, _) = record.encode();
    match log.put(1, bytes.into()).await {
        Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// Reads the log from a checkpoint, or from its first record, to its head.
async fn start(
    log: Log,
    options: Options,
    fold: Fold,
    watermarks: Vec<(String, i64)>,
) -> Result<Warehouse> {
    let checkpointed = AtomicU64::new(fold.seq);
    let mut warehouse = Warehouse {
        id: fold.warehouse.clone(),
        log,
        options,
        current: RwLock::new(Arc::new(fold)),
        recent: Mutex::default(),
        tables: TableCache::default(),
        refreshing: tokio::sync::Mutex::default(),
        committing: tokio::sync::Mutex::default(),
        maintaining: tokio::sync::Mutex::default(),
        checkpointed,
    };
    for (id, watermark) in watermarks {
        warehouse.tables.raise(&id, watermark);
    }
    // Records behind the checkpoint are made durable before they count; what it holds is durable.
    let fold = warehouse.refresh().await?;
    // A record that was lost is not the log's end: what is written there would fork it.
    if let Err(error) = warehouse.log.whole_head_from(fold.seq).await
        && warehouse.log.floor().await? <= fold.seq + 1
    {
        return Err(error);
    }
    warehouse.id.clone_from(&fold.warehouse);
    Ok(warehouse)
}
