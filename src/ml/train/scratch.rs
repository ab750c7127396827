//! Room for rows that do not fit in memory: a spool that can be read again and again, and a sort that spills.

use crate::error::{Error, Result};
use crate::ml::dataset::grow_to;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, SpillWriter, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::SessionConfig;
use futures::{Stream, StreamExt};
use std::fs::File;
use std::io::BufReader;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A spool keeps up to this many bytes in memory, and everything in a file beyond them.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// What a sort sets aside for merging what it spilled.
const MERGE_BYTES: usize = 4 << 20;

/// Memory and temporary files of one training.
pub(super) struct Scratch {
    runtime: Arc<RuntimeEnv>,
    reservation: MemoryReservation,
    handle: tokio::runtime::Handle,
}

/// Batches in the order in which they were put in.
pub(super) struct Spool {
    schema: SchemaRef,
    n_rows: u64,
    batches: Vec<RecordBatch>,
    file: Option<Arc<dyn SpillFile>>,
    _reservation: MemoryReservation,
}

/// Takes the batches of a [`Spool`].
pub(super) struct SpoolWriter<'a> {
    scratch: &'a Scratch,
    schema: SchemaRef,
    n_rows: u64,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
    file: Option<Spilling>,
}

/// A file, and the writer of batches into it.
type Spilling = (Arc<dyn SpillFile>, StreamWriter<Box<dyn SpillWriter>>);

/// The batches of a sort, for a thread that may wait.
pub(super) struct Sorted {
    stream: SendableRecordBatchStream,
    handle: tokio::runtime::Handle,
}

impl Scratch {
    /// Room under the limits of `runtime`; to be made inside of a runtime. `reservation` holds what is kept until the
    /// training ends.
    pub(super) fn new(runtime: Arc<RuntimeEnv>, reservation: MemoryReservation) -> Self {
        Self { runtime, reservation, handle: tokio::runtime::Handle::current() }
    }

    /// Reserves bytes until the training ends. 53200 when there is no room.
    pub(super) fn reserve(&self, bytes: usize, what: &str) -> Result<()> {
        grow_to(&self.reservation, self.reservation.size() + bytes, what)
    }

    /// An empty spool.
    pub(super) fn spool(&self, schema: SchemaRef) -> SpoolWriter<'_> {
        let consumer = MemoryConsumer::new("training rows");
        SpoolWriter {
            scratch: self,
            schema,
            n_rows: 0,
            batches: Vec::new(),
            reservation: consumer.register(&self.runtime.memory_pool),
            file: None,
        }
    }

    /// Sorts by columns, ascending with NULLs first, in memory where there is room and with temporary files where not.
    pub(super) fn sort(
        &self,
        schema: SchemaRef,
        input: impl Stream<Item = datafusion::error::Result<RecordBatch>> + Send + 'static,
        keys: &[usize],
    ) -> Result<Sorted> {
        let once = Once { schema: schema.clone(), stream: Mutex::new(Some(Box::pin(input))) };
        let source = StreamingTableExec::try_new(
            schema.clone(),
            vec![Arc::new(once)],
            None,
            [],
            false,
            None,
        )?;
        let options = SortOptions { descending: false, nulls_first: true };
        let by = keys.iter().map(|key| {
            let column = Column::new(schema.field(*key).name(), *key);
            PhysicalSortExpr::new(Arc::new(column), options)
        });
        let ordering =
            LexOrdering::new(by).ok_or_else(|| Error::internal("a sort without columns"))?;
        let config = SessionConfig::new().with_sort_spill_reservation_bytes(MERGE_BYTES);
        let context = TaskContext::default().with_session_config(config);
        let context = Arc::new(context.with_runtime(self.runtime.clone()));
        let stream = SortExec::new(ordering, Arc::new(source)).execute(0, context)?;
        Ok(Sorted { stream, handle: self.handle.clone() })
    }

    /// Sorts some columns of a spool by `keys` among them.
    pub(super) fn sort_spool(
        &self,
        spool: &Spool,
        columns: &[usize],
        keys: &[usize],
    ) -> Result<Sorted> {
        let schema = Arc::new(spool.schema.project(columns)?);
        let columns = columns.to_vec();
        let batches = spool.read()?.map(move |batch| Ok(batch?.project(&columns)?));
        self.sort(schema, futures::stream::iter(batches), keys)
    }
}

impl Sorted {
    /// The next batch; waits for it.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.handle.block_on(self.stream.next()).transpose()?)
    }
}

impl SpoolWriter<'_> {
    /// Puts rows at the end.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.n_rows += batch.num_rows() as u64;
        if self.file.is_none() {
            let bytes = batch.get_array_memory_size();
            let fits = self.reservation.size() + bytes <= MEMORY_BYTES_MAX
                && self.reservation.try_grow(bytes).is_ok();
            if fits {
                self.batches.push(batch);
                return Ok(());
            }
            self.open_file()?;
        }
        if let Some((_, writer)) = &mut self.file {
            writer.write(&batch)?;
        }
        Ok(())
    }

    /// Moves what is in memory to a file.
    fn open_file(&mut self) -> Result<()> {
        let file = self.scratch.runtime.disk_manager.create_tmp_file("training")?;
        let mut writer = StreamWriter::try_new(file.open_writer()?, &self.schema)?;
        for batch in self.batches.drain(..) {
            writer.write(&batch)?;
        }
        self.reservation.free();
        self.file = Some((file, writer));
        Ok(())
    }

    /// The spool.
    pub(super) fn finish(self) -> Result<Spool> {
        let file = match self.file {
            None => None,
            Some((file, mut writer)) => {
                writer.finish()?;
                writer.get_mut().finish()?;
                Some(file)
            }
        };
        Ok(Spool {
            schema: self.schema,
            n_rows: self.n_rows,
            batches: self.batches,
            file,
            _reservation: self.reservation,
        })
    }
}

impl Spool {
    /// Rows.
    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// The batches, from the first on.
    pub(super) fn read(
        &self,
    ) -> Result<Box<dyn Iterator<Item = datafusion::error::Result<RecordBatch>> + Send>> {
        let Some(file) = &self.file else {
            return Ok(Box::new(self.batches.clone().into_iter().map(Ok)));
        };
        let path =
            file.path().ok_or_else(|| Error::internal("a temporary file without a place"))?;
        let reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let reader = StreamReader::try_new(reader, None)?;
        Ok(Box::new(reader.map(|batch| batch.map_err(DataFusionError::from))))
    }
}

/// A stream as a source of a plan that runs once.
struct Once {
    schema: SchemaRef,
    stream: Mutex<Option<Batches>>,
}

type Batches = Pin<Box<dyn Stream<Item = datafusion::error::Result<RecordBatch>> + Send>>;

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.unwrap_or_else(|| Box::pin(futures::stream::empty()));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}
