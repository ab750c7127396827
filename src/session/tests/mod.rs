//! Statements as sessions run them, in this process: on stores that fail or wait on demand, on disks
//! that lose their power, and against each other.

mod appends;
mod conflicts;
mod faults;
mod power;
mod scenes;
mod startup;

use super::{Engine, EngineOptions, Response, Session, Startup, collect};
use crate::error::{Error, Notice};
use crate::planner::Limits;
use crate::store::FaultStore;
use crate::warehouse::{Options, WrapStore};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedReceiver;

/// A session that answers in text.
struct Client {
    session: Session,
    _notices: UnboundedReceiver<Notice>,
}

impl Client {
    fn of(engine: &Arc<Engine>) -> Client {
        let startup = Startup::default();
        let (session, notices) = Session::new(engine, &startup).expect("a session");
        Client { session, _notices: notices }
    }

    /// Runs statements up to the first that fails: one line a row, values between bars, else the tag.
    async fn run(&mut self, sql: &str) -> Result<String, Error> {
        let mut lines = Vec::new();
        for statement in self.session.parse_script(sql)? {
            match self.session.execute(&statement, &[]).await? {
                Response::Rows { stream, .. } => {
                    for batch in collect(stream).await? {
                        for row in 0..batch.num_rows() {
                            let values = batch.columns().iter().map(|column| {
                                arrow::util::display::array_value_to_string(column, row)
                            });
                            lines.push(values.collect::<Result<Vec<_>, _>>()?.join("|"));
                        }
                    }
                }
                Response::Complete(tag) => lines.push(tag),
                _ => panic!("not a statement for run(): {sql}"),
            }
        }
        Ok(lines.join("\n"))
    }

    /// As [`run`](Self::run), where nothing may fail.
    async fn ok(&mut self, sql: &str) -> String {
        self.run(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    /// COPY FROM STDIN with its data.
    async fn copy(&mut self, sql: &str, data: &str) -> Result<String, Error> {
        let statement = self.session.parse_script(sql)?.remove(0);
        let Response::CopyIn(mut copy) = self.session.execute(&statement, &[]).await? else {
            panic!("not a COPY FROM STDIN: {sql}");
        };
        for piece in data.as_bytes().chunks(7) {
            copy.push(piece).await?;
        }
        copy.finish().await
    }
}

fn engine_options(warehouse: Options) -> EngineOptions {
    EngineOptions { warehouse, limits: Limits { memory_bytes: 256 << 20, threads: 2 } }
}

async fn open(root: &Path) -> Arc<Engine> {
    open_with(root, Options::default()).await.expect("the warehouse opens")
}

async fn open_with(root: &Path, warehouse: Options) -> Result<Arc<Engine>, Error> {
    Engine::open_with(root, engine_options(warehouse)).await
}

/// Options with a store that fails on demand, prepared as `arm` says before its first operation.
fn faulty(
    options: Options,
    arm: impl Fn(&FaultStore) + Send + Sync + 'static,
) -> (Options, Arc<Mutex<Option<Arc<FaultStore>>>>) {
    let slot: Arc<Mutex<Option<Arc<FaultStore>>>> = Arc::default();
    let keep = slot.clone();
    let wrap: WrapStore = Arc::new(move |inner| {
        let store = FaultStore::new(inner);
        arm(&store);
        *keep.lock().expect("lock") = Some(store.clone());
        store
    });
    (Options { wrap_store: Some(wrap), ..options }, slot)
}

/// An engine on a store that fails on demand, and that store.
async fn open_faulty(root: &Path) -> (Arc<Engine>, Arc<FaultStore>) {
    let (options, slot) = faulty(Options::default(), |_| {});
    let engine = open_with(root, options).await.expect("opens");
    let store = slot.lock().expect("lock").clone().expect("the store was wrapped");
    (engine, store)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
