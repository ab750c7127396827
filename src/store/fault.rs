//! An object store that fails on demand: one operation, or everything after it; and one that waits on demand.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Before,
    /// It takes effect, then fails: a lost acknowledgement.
    After,
    /// The process dies before it: it and all later operations fail.
    DeadBefore,
    /// The process dies after it took effect.
    DeadAfter,
    /// The first half of what a put writes takes effect, then the process dies.
    Torn,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] =
        [Fault::Before, Fault::After, Fault::DeadBefore, Fault::DeadAfter, Fault::Torn];
}

/// Passes operations on to another store, counts them, and makes one of them fail.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Mutex<Plan>>,
    gate: Mutex<Option<(String, Gate)>>,
}

/// An operation that waits until a test has done something else meanwhile.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl Gate {
    /// Waits until the operation has come.
    pub async fn reached(&self) {
        let _ = self.reached.acquire().await;
    }

    /// Lets the operation go on.
    pub fn open(&self) {
        self.opened.add_permits(1);
    }
}

#[derive(Debug, Default)]
struct Plan {
    count: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    trace: Vec<String>,
}

/// What becomes of one operation.
enum Verdict {
    Pass,
    Refuse,
    LoseAnswer,
    Tear,
}

impl FaultStore {
    /// A store that does not fail yet.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { inner, plan: Arc::default(), gate: Mutex::default() })
    }

    /// The number of operations since the last [`arm`](Self::arm), the failed ones included.
    pub fn operations(&self) -> u64 {
        self.plan().count
    }

    /// The operations since the last [`arm`](Self::arm), each as `verb path`.
    pub fn trace(&self) -> Vec<String> {
        self.plan().trace.clone()
    }

    /// Starts counting at 0, and lets operation number `at` fail if a fault is given.
    pub fn arm(&self, fault: Option<(u64, Fault)>) {
        *self.plan() = Plan { fault, ..Plan::default() };
    }

    /// Holds the next put below a folder until the gate is opened.
    pub fn hold(&self, folder: &str) -> Gate {
        self.hold_operation(&format!("put {folder}"))
    }

    /// Holds the next put or read that begins like this, as [`trace`](Self::trace) shows it.
    pub fn hold_operation(&self, beginning: &str) -> Gate {
        let gate =
            Gate { reached: Arc::new(Semaphore::new(0)), opened: Arc::new(Semaphore::new(0)) };
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((beginning.to_owned(), gate.clone()));
        gate
    }

    async fn wait(&self, verb: &str, location: &Path) {
        let held = {
            let mut held = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            held.take_if(|(beginning, _)| format!("{verb} {location}").starts_with(&*beginning))
        };
        if let Some((_, gate)) = held {
            gate.reached.add_permits(1);
            let _ = gate.opened.acquire().await;
        }
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, verb: &str, path: Option<&Path>) -> Verdict {
        self.plan().judge(verb, path)
    }
}

impl Plan {
    fn judge(&mut self, verb: &str, path: Option<&Path>) -> Verdict {
        let number = self.count;
        self.count += 1;
        self.trace.push(format!("{verb} {}", path.map_or("", Path::as_ref)));
        if self.dead {
            return Verdict::Refuse;
        }
        let Some((_, fault)) = self.fault.filter(|(at, _)| *at == number) else {
            return Verdict::Pass;
        };
        self.dead = matches!(fault, Fault::DeadBefore | Fault::DeadAfter | Fault::Torn);
        match fault {
            Fault::Before | Fault::DeadBefore => Verdict::Refuse,
            Fault::After | Fault::DeadAfter => Verdict::LoseAnswer,
            Fault::Torn if verb == "put" => Verdict::Tear,
            Fault::Torn => Verdict::Refuse,
        }
    }
}

fn injected() -> object_store::Error {
    object_store::Error::Generic { store: "fault", source: "an injected fault".into() }
}

/// Runs one operation under a verdict.
macro_rules! under {
    ($verdict:expr, $operation:expr) => {
        match $verdict {
            Verdict::Pass => $operation.await,
            Verdict::LoseAnswer => {
                let _ = $operation.await;
                Err(injected())
            }
            Verdict::Refuse | Verdict::Tear => Err(injected()),
        }
    };
}

impl std::fmt::Display for FaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.wait("put", location).await;
        match self.judge("put", Some(location)) {
            Verdict::Tear => {
                let whole = Bytes::from(payload);
                let half = whole.slice(..whole.len() / 2);
                let _ = self.inner.put_opts(location, half.into(), opts).await;
                Err(injected())
            }
            verdict => under!(verdict, self.inner.put_opts(location, payload, opts)),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = under!(
            self.judge("multipart", Some(location)),
            self.inner.put_multipart_opts(location, opts)
        )?;
        Ok(Box::new(FaultUpload { inner, plan: self.plan.clone(), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let verb = if options.head { "head" } else { "get" };
        self.wait(verb, location).await;
        under!(self.judge(verb, Some(location)), self.inner.get_opts(location, options))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        under!(self.judge("ranges", Some(location)), self.inner.get_ranges(location, ranges))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.judge("delete", None) {
            Verdict::Pass => self.inner.delete_stream(locations),
            Verdict::LoseAnswer => {
                let done = self.inner.delete_stream(locations);
                done.map(|_| Err(injected())).boxed()
            }
            Verdict::Refuse | Verdict::Tear => {
                stream::once(futures::future::ready(Err(injected()))).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.judge("list", prefix) {
            Verdict::Pass => self.inner.list(prefix),
            _ => stream::once(futures::future::ready(Err(injected()))).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        under!(self.judge("list", prefix), self.inner.list_with_delimiter(prefix))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        under!(self.judge("copy", Some(to)), self.inner.copy_opts(from, to, options))
    }
}

/// An upload whose parts and whose end are operations like any other.
#[derive(Debug)]
struct FaultUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Mutex<Plan>>,
    location: Path,
}

impl FaultUpload {
    fn judge(&self, verb: &str) -> Verdict {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.judge(verb, Some(&self.location))
    }
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let verdict = self.judge("part");
        let part = self.inner.put_part(data);
        Box::pin(async move { under!(verdict, part) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        under!(self.judge("complete"), self.inner.complete())
    }

    async fn abort(&mut self) -> Result<()> {
        under!(self.judge("abort"), self.inner.abort())
    }
}
