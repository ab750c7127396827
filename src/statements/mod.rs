//! Every statement: one file each, found by its leading words.
//!
//! A statement's file holds its grammar, its struct, and what it does through the engines. What it
//! needs while it runs comes in an [`Execution`]; what it answers with is a [`Response`].

mod dispatch;
pub mod feature;
pub mod history;
pub mod model;
pub mod query;
mod refused;
pub mod session;
pub mod table;

pub use dispatch::parse;

use crate::catalog::CatalogState;
use crate::config::Settings;
use crate::error::{Error, Notice, Result, Severity};
use crate::format::CopyOptions;
use crate::parser::TokenSlice;
use crate::planner::{Canceller, Environment, Parameters, Planner, Services};
use crate::warehouse::Transaction;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// A parsed statement and the text that it came from.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Its tokens, for positions.
    pub slice: TokenSlice,
    /// The statement.
    pub statement: Arc<dyn Statement>,
}

/// What a statement is to the transaction that it runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Reads only.
    Read,
    /// Changes the warehouse.
    Write,
    /// Looks at or changes the session only; runs without a transaction's snapshot mattering.
    Session,
    /// Begins or ends a transaction block: the session does it.
    Control(Control),
}

/// The statements that the session itself carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// BEGIN, START TRANSACTION
    Begin {
        /// READ ONLY, if said.
        read_only: Option<bool>,
        /// The command tag: the words that began it.
        tag: &'static str,
    },
    /// COMMIT, END
    Commit,
    /// ROLLBACK, ABORT
    Rollback,
}

/// One statement.
#[async_trait::async_trait]
pub trait Statement: Debug + Send + Sync {
    /// Verb and object, such as `train_model`: the name in logs and files.
    fn name(&self) -> &'static str;

    /// What it is to the transaction.
    fn kind(&self) -> Kind;

    /// True if an autocommit statement that lost to a concurrent commit may simply run again.
    fn runs_again(&self) -> bool {
        true
    }

    /// The result's columns and the parameters' types, known before it runs.
    ///
    /// # Errors
    /// What planning finds.
    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let _ = cx;
        Ok(Description::default())
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the statement answers with.
    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response>;
}

/// What Describe needs.
pub struct Describe<'a> {
    /// The statement's tokens.
    pub slice: &'a TokenSlice,
    /// The session's part.
    pub environment: &'a Environment,
    /// The transaction, for names and own writes.
    pub transaction: &'a Transaction,
    /// The types that the client gave for parameters.
    pub parameters: &'a Parameters,
}

impl Describe<'_> {
    /// A planner over the transaction.
    pub fn planner(&self) -> Planner<'_> {
        Planner::new(self.environment, self.transaction)
    }
}

/// What Describe answers with.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// The result's columns; none for statements without rows.
    pub columns: Option<SchemaRef>,
    /// The types of `$1`, `$2`, …
    pub parameters: Vec<DataType>,
}

impl Description {
    /// Rows of these columns, and no parameters.
    pub fn rows(columns: SchemaRef) -> Self {
        Self { columns: Some(columns), parameters: Vec::new() }
    }
}

/// What a statement has while it runs.
pub struct Execution<'a> {
    /// Its tokens.
    pub slice: &'a TokenSlice,
    /// The session's part.
    pub environment: &'a Environment,
    /// The transaction that it reads and writes through.
    pub transaction: &'a Transaction,
    /// The session's settings.
    pub settings: &'a mut Settings,
    /// Parameter types and values.
    pub parameters: &'a Parameters,
    /// Stops it.
    pub canceller: &'a Canceller,
    /// Where notices go.
    pub notices: &'a UnboundedSender<Notice>,
    /// True inside of BEGIN … COMMIT or an implicit group.
    pub in_block: bool,
    /// The session's prepared statements.
    pub prepared: &'a mut dyn PreparedStatements,
    /// What is to be done if the transaction loses at its commit.
    pub if_lost: &'a IfLost,
    /// What is to be said once the transaction has committed.
    pub if_committed: &'a IfCommitted,
}

/// What can be told of the warehouse only once a transaction has committed.
#[derive(Default)]
pub struct IfCommitted(Mutex<Vec<Tidings>>);

/// A notice about the catalog right after the commit.
pub type Tidings = Box<dyn FnOnce(&CatalogState) -> Option<Notice> + Send>;

impl IfCommitted {
    /// Adds a notice.
    pub fn push(&self, tidings: Tidings) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tidings);
    }

    /// The notices so far, which are then forgotten.
    pub fn take(&self) -> Vec<Tidings> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Work for the case that a transaction's commit is refused: what must be known although nothing of it stands.
#[derive(Default)]
pub struct IfLost(Mutex<Vec<Aftermath>>);

/// Work that is told why a commit was refused.
pub type Aftermath = Box<dyn FnOnce(Error) -> BoxFuture<'static, ()> + Send>;

impl IfLost {
    /// Adds work.
    pub fn push(&self, work: Aftermath) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }

    /// The work so far, which is then forgotten.
    pub fn take(&self) -> Vec<Aftermath> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The prepared statements and portals of a session, as far as statements may touch them.
pub trait PreparedStatements: Send + Sync {
    /// Forgets all portals.
    fn close_portals(&mut self);
    /// Forgets all.
    fn clear(&mut self);
    /// Forgets one; false if there is none of the name.
    fn remove(&mut self, name: &str) -> bool;
}

impl Execution<'_> {
    /// A planner over the transaction.
    pub fn planner(&self) -> Planner<'_> {
        Planner::new(self.environment, self.transaction)
    }

    /// What all sessions share.
    pub fn services(&self) -> &Arc<Services> {
        &self.environment.services
    }

    /// Sends a notice; the client may be gone, which the statement need not know.
    pub fn notice(&self, notice: Notice) {
        let least = self.settings.get("client_min_messages").unwrap_or("notice");
        let wanted = match notice.severity {
            Severity::Notice => !matches!(least, "warning" | "error"),
            Severity::Warning => least != "error",
        };
        if !wanted {
            return;
        }
        let _ = self.notices.send(notice);
    }

    /// The folded schema that new objects go to: the one given, or the first of the search_path
    /// that exists.
    ///
    /// # Errors
    /// 3F000 if there is none, 42939 for reserved schemas.
    pub fn creation_schema(&self, given: Option<&str>) -> Result<String> {
        table::names::creation_schema(self, given)
    }
}

/// What a statement answers with. The session puts its own kind of COPY receiver in the place of the
/// statement's, one that commits too.
pub enum Response<C = Box<dyn CopyIn>> {
    /// Rows, streamed; the tag is the command's name, followed by the row count if `counted`.
    Rows {
        /// The columns; field metadata may name a PostgreSQL type (see `format::types`).
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// `SELECT`, `SHOW`, `EXPLAIN` …
        tag: &'static str,
        /// Whether the row count follows the tag.
        counted: bool,
    },
    /// Done; the whole command tag, such as `INSERT 0 3`.
    Complete(String),
    /// The client sends rows now.
    CopyIn(C),
    /// The server sends rows in COPY format now; the tag is `COPY n`.
    CopyOut {
        /// The columns.
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// The format and its options.
        options: CopyOptions,
    },
    /// The text held no statement.
    Empty,
}

impl<C> Response<C> {
    /// The same answer with another receiver.
    pub fn map_copy<D>(self, change: impl FnOnce(C) -> D) -> Response<D> {
        match self {
            Response::Rows { schema, stream, tag, counted } => {
                Response::Rows { schema, stream, tag, counted }
            }
            Response::Complete(tag) => Response::Complete(tag),
            Response::CopyIn(copy) => Response::CopyIn(change(copy)),
            Response::CopyOut { schema, stream, options } => {
                Response::CopyOut { schema, stream, options }
            }
            Response::Empty => Response::Empty,
        }
    }

    /// Done, with a tag.
    ///
    /// # Errors
    /// None; statements end with it.
    pub fn done(tag: impl Into<String>) -> Result<Self> {
        Ok(Response::Complete(tag.into()))
    }

    /// Rows that are there already.
    pub fn rows(tag: &'static str, batch: RecordBatch) -> Result<Self> {
        Ok(Response::Rows {
            schema: batch.schema(),
            stream: crate::planner::one_batch(batch),
            tag,
            counted: tag == "SELECT",
        })
    }
}

/// The receiving end of COPY FROM STDIN. The session hands it the transaction when data is there.
#[async_trait::async_trait]
pub trait CopyIn: Send {
    /// 0 for text, 1 for binary: the overall format of CopyInResponse.
    fn format(&self) -> i8;
    /// The number of columns.
    fn columns(&self) -> usize;
    /// Takes a piece of the client's data; applies back pressure.
    ///
    /// # Errors
    /// What is wrong with the data, with its line.
    async fn push(&mut self, data: &[u8]) -> Result<()>;
    /// The client is done: adds all rows to the transaction and gives the command tag.
    ///
    /// # Errors
    /// What is wrong with the data; nothing is inserted.
    async fn finish(self: Box<Self>, transaction: &Transaction) -> Result<String>;
}

/// A batch of text columns, for SHOW and DESCRIBE.
///
/// # Errors
/// If columns differ in length.
pub fn text_batch(columns: &[(&str, Vec<Option<String>>)]) -> Result<RecordBatch> {
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::Field;
    let fields: Vec<Field> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays: Vec<ArrayRef> = columns
        .iter()
        .map(|(_, values)| {
            Arc::new(values.iter().map(Option::as_deref).collect::<StringArray>()) as _
        })
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// The schema of [`text_batch`].
pub fn text_schema(names: &[&str]) -> SchemaRef {
    use arrow::datatypes::Field;
    Arc::new(Schema::new(
        names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect::<Vec<_>>(),
    ))
}

/// The error of a statement that a transaction block cannot hold.
pub fn not_in_block(what: &str) -> Error {
    Error::new(
        crate::sqlstate::SqlState::ActiveSqlTransaction,
        format!("{what} cannot run inside a transaction block"),
    )
}
