//! One client's session: settings, transaction, prepared statements. The one way that statements run.

mod stand_in;

use crate::error::{Error, Notice, Result};
use crate::format::EncodeSettings;
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What all sessions of a process share: the warehouse, memory, the runtime that queries run on.
pub struct Engine {
    next_pid: AtomicI32,
    runtime: tokio::runtime::Handle,
}

impl Engine {
    /// Opens the warehouse in a folder.
    ///
    /// # Errors
    /// 58P01, 42501, 55000 … with a hint if the folder is no warehouse that can be used.
    pub async fn open(_data: &std::path::Path) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Handle::current();
        Ok(Arc::new(Self { next_pid: AtomicI32::new(1), runtime }))
    }

    /// The runtime that the engine was opened on: sessions and their queries run there.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }
}

/// What a client says at the start of a connection.
#[derive(Debug, Clone, Default)]
pub struct Startup {
    /// The role.
    pub user: String,
    /// The database; `cenote` is the only one.
    pub database: String,
    /// All other parameters of the startup message, `options=-c k=v` taken apart.
    pub settings: Vec<(String, String)>,
}

/// Where a session stands, as ReadyForQuery reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: no transaction block.
    Idle,
    /// `T`: in a block.
    Active,
    /// `E`: in a block that failed.
    Failed,
}

/// A parsed statement with its place in the client's text.
#[derive(Debug, Clone)]
pub struct Statement {
    text: String,
}

/// A prepared statement: what Parse leaves behind.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The statement; none for an empty text.
    pub statement: Option<Statement>,
    /// The types of `$1`, `$2`, … as Arrow types, with the OID that the client asked for or that was inferred.
    pub parameters: Vec<Parameter>,
    /// The result's columns; none for statements that return no rows.
    pub columns: Option<SchemaRef>,
}

/// The type of one parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The OID that Describe reports.
    pub oid: u32,
    /// The Arrow type that the bound value is decoded to.
    pub data_type: DataType,
}

/// What a statement answers with.
pub enum Response {
    /// Rows, streamed; the tag is the command's name, followed by the row count if `counted`.
    Rows {
        /// The columns; field metadata may name a PostgreSQL type (see `format::types`).
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// `SELECT`, `SHOW`, `EXPLAIN`, `FETCH` …
        tag: &'static str,
        /// Whether the row count follows the tag.
        counted: bool,
    },
    /// Done; the whole command tag, such as `INSERT 0 3`.
    Complete(String),
    /// The client sends rows now.
    CopyIn(Box<dyn CopyIn>),
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

pub use crate::format::CopyOptions;

/// The receiving end of COPY FROM STDIN.
#[async_trait::async_trait]
pub trait CopyIn: Send {
    /// 0 for text, 1 for binary: the overall format of CopyInResponse.
    fn format(&self) -> i8;
    /// The number of columns.
    fn columns(&self) -> usize;
    /// Takes a piece of the client's data; applies back pressure.
    async fn push(&mut self, data: &[u8]) -> Result<()>;
    /// The client is done: inserts all rows and gives the command tag.
    async fn finish(self: Box<Self>) -> Result<String>;
    /// The client gave up; nothing is inserted.
    async fn abort(self: Box<Self>, reason: &str) -> Error;
}

/// Stops a session's running statement; can be used from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle {
    current: Arc<std::sync::Mutex<CancellationToken>>,
}

impl CancelHandle {
    /// Cancels the statement that runs now, if one does.
    pub fn cancel(&self) {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).cancel();
    }

    /// The token of the statement that runs now or ran last.
    pub fn current(&self) -> CancellationToken {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A fresh token for the next statement.
    pub fn arm(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = token.clone();
        token
    }
}

/// One client's session.
pub struct Session {
    pid: i32,
    cancel: CancelHandle,
    notices: mpsc::UnboundedSender<Notice>,
    context: SessionContext,
    status: TransactionStatus,
    parameters_sent: bool,
    statements: HashMap<String, Arc<Prepared>>,
}

impl Session {
    /// Opens a session. Notices arrive at the receiver as they happen, while a statement runs.
    ///
    /// # Errors
    /// 3D000 for an unknown database, 28000 for an unknown role, 22023 for a bad setting.
    pub fn new(
        engine: &Arc<Engine>,
        startup: &Startup,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Notice>)> {
        if !startup.database.is_empty() && startup.database != "cenote" {
            return Err(Error::new(
                SqlState::InvalidCatalogName,
                format!("database \"{}\" does not exist", startup.database),
            ));
        }
        let (notices, receiver) = mpsc::unbounded_channel();
        let session = Self {
            pid: engine.next_pid.fetch_add(1, Ordering::Relaxed),
            cancel: CancelHandle::default(),
            notices,
            context: SessionContext::new(),
            status: TransactionStatus::Idle,
            parameters_sent: false,
            statements: HashMap::new(),
        };
        Ok((session, receiver))
    }

    /// The number that BackendKeyData and pg_stat_activity show.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The handle that CancelRequest uses.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// ParameterStatus values that the client has not been told yet; all of them at first.
    pub fn changed_parameters(&mut self) -> Vec<(String, String)> {
        if std::mem::replace(&mut self.parameters_sent, true) {
            return Vec::new();
        }
        vec![("server_version".into(), "16.6".into()), ("client_encoding".into(), "UTF8".into())]
    }

    /// The named prepared statements, of Parse and of SQL's PREPARE alike.
    pub fn statements(&mut self) -> &mut HashMap<String, Arc<Prepared>> {
        &mut self.statements
    }

    /// The columns of an open cursor of DECLARE.
    pub fn cursor_columns(&self, _name: &str) -> Option<SchemaRef> {
        None
    }

    /// The settings that decide how values look.
    pub fn encode_settings(&self) -> EncodeSettings {
        EncodeSettings::default()
    }

    /// Where the session stands.
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Splits and parses a simple query's text. A syntax error anywhere means that nothing runs.
    ///
    /// # Errors
    /// 42601 with the position in `sql`.
    pub fn parse_script(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(sql
            .split(';')
            .filter(|s| !s.trim().is_empty())
            .map(|s| Statement { text: s.to_owned() })
            .collect())
    }

    /// Parses and describes a statement for the extended protocol.
    ///
    /// # Errors
    /// 42601 for more than one statement, and whatever planning finds.
    pub async fn prepare(&mut self, sql: &str, oids: &[u32]) -> Result<Prepared> {
        let mut statements = self.parse_script(sql)?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SyntaxError,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let Some(statement) = statements.pop() else {
            return Ok(Prepared { statement: None, parameters: Vec::new(), columns: None });
        };
        if !stand_in::is_query(&statement.text) {
            return Ok(Prepared {
                statement: Some(statement),
                parameters: Vec::new(),
                columns: None,
            });
        }
        let frame = self.context.sql(&statement.text).await?;
        let parameters = stand_in::parameters(frame.logical_plan(), oids)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        Ok(Prepared { statement: Some(statement), parameters, columns: Some(schema) })
    }

    /// Begins a group of statements that commit or fail together unless they say otherwise: a
    /// simple query with more than one statement, or the messages up to a Sync.
    pub fn begin_implicit(&mut self) {}

    /// Ends the group: commits it, or rolls back if one of its statements failed.
    ///
    /// # Errors
    /// 40001 and the like from the commit.
    pub async fn end_implicit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Runs one statement. Outside a block and a group it commits before it returns (rows of a
    /// query are read from a pinned snapshot afterwards).
    ///
    /// # Errors
    /// What the statement answers with; a transaction block is then failed.
    pub async fn execute(
        &mut self,
        statement: &Statement,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        let token = self.cancel.arm();
        let _ = self.notices.send(Notice::notice("stand-in session"));
        tokio::select! {
            response = stand_in::execute(
                &self.context, &mut self.status, &statement.text, parameters,
            ) => response,
            () = token.cancelled() => Err(Error::new(
                SqlState::QueryCanceled,
                "canceling statement due to user request",
            )),
        }
    }

    /// Says that the response of the last statement failed while it was sent (a stream's error, a
    /// cancel, COPY data that could not be read), so that a block is failed. It gives the error to
    /// report: a cancelled stream is 57014 with the right message.
    pub fn fail(&mut self, error: Error) -> Error {
        if self.status == TransactionStatus::Active {
            self.status = TransactionStatus::Failed;
        }
        error
    }
}

/// Collects a stream, for tests and small answers.
pub async fn collect(stream: SendableRecordBatchStream) -> Result<Vec<RecordBatch>> {
    Ok(datafusion::physical_plan::common::collect(stream).await?)
}
