//! One client's session: settings, transaction, prepared statements. The one way that statements run.
//!
//! psql, drivers and the embedded shell all go through [`Session::execute`]: check the state, find
//! or begin the transaction, run, commit or roll back.

mod cancel;
mod copy;
mod engine;
#[cfg(test)]
mod tests;
mod transaction;

pub use crate::format::CopyOptions;
pub use cancel::CancelHandle;
pub use copy::CopyIn;
pub use engine::{Engine, EngineOptions};
pub use transaction::TransactionStatus;

use crate::config::Settings;
use crate::error::{Error, Notice, Result};
use crate::format::{EncodeSettings, arrow_type_of, pg_type_of};
use crate::parser::Script;
use crate::planner::{CATALOG, Canceller, Environment, Parameters, Unseen};
use crate::sqlstate::SqlState;
use crate::statements::{self, Describe, Execution, IfCommitted, IfLost, Kind, Parsed};
use crate::warehouse::{CommitInfo, Transaction};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use engine::Activity;
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use transaction::Block;

/// What a statement answers with, over a connection.
pub type Response = statements::Response<Box<dyn CopyIn>>;

/// How often an autocommit statement that lost to a concurrent commit runs again.
const RETRIES: usize = 20;

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

/// A parsed statement with its place in the client's text.
#[derive(Debug, Clone)]
pub struct Statement {
    parsed: Parsed,
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

/// One client's session.
pub struct Session {
    engine: Arc<Engine>,
    role: String,
    pid: i32,
    activity: Arc<Activity>,
    cancel: CancelHandle,
    notices: mpsc::UnboundedSender<Notice>,
    settings: Settings,
    /// What the client was told of its settings.
    reported: Vec<(String, String)>,
    statements: Statements,
    block: Block,
    if_lost: IfLost,
    if_committed: IfCommitted,
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
        if !startup.database.is_empty() && startup.database != CATALOG {
            return Err(Error::new(
                SqlState::InvalidCatalogName,
                format!("database \"{}\" does not exist", startup.database),
            )
            .hint(format!("The only database is \"{CATALOG}\".")));
        }
        let role = if startup.user.is_empty() { engine::ROLE } else { startup.user.as_str() };
        if role != engine::ROLE {
            return Err(Error::new(
                SqlState::InvalidAuthorizationSpecification,
                format!("role \"{role}\" does not exist"),
            )
            .hint(format!("The only role is \"{}\"; roles come with logins.", engine::ROLE)));
        }
        let (notices, receiver) = mpsc::unbounded_channel();
        let settings = settings_at_startup(startup, &notices)?;
        let (pid, activity) = engine.enter(role, settings.get("application_name")?);
        let session = Self {
            engine: engine.clone(),
            role: role.to_owned(),
            pid,
            activity,
            cancel: CancelHandle::default(),
            notices,
            settings,
            reported: Vec::new(),
            statements: Statements::default(),
            block: Block::default(),
            if_lost: IfLost::default(),
            if_committed: IfCommitted::default(),
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
        let now = self.settings.reported();
        let changed = now.iter().filter(|p| !self.reported.contains(p)).cloned().collect();
        self.reported = now;
        changed
    }

    /// The named prepared statements.
    pub fn statements(&mut self) -> &mut HashMap<String, Arc<Prepared>> {
        &mut self.statements.named
    }

    /// Whether the last statement closed all portals, which the connection keeps.
    pub fn portals_closed(&mut self) -> bool {
        std::mem::take(&mut self.statements.portals_closed)
    }

    /// The settings that decide how values look.
    pub fn encode_settings(&self) -> EncodeSettings {
        self.settings.encode()
    }

    /// How long a statement may take.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.settings.statement_timeout()
    }

    /// Where the session stands.
    pub fn status(&self) -> TransactionStatus {
        self.block.status()
    }

    /// Splits and parses a simple query's text. A syntax error anywhere means that nothing runs.
    ///
    /// # Errors
    /// 42601 with the position in `sql`.
    pub fn parse_script(&self, sql: &str) -> Result<Vec<Statement>> {
        Script::split(sql)?
            .iter()
            .map(|slice| Ok(Statement { parsed: statements::parse(slice)? }))
            .collect()
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
        self.refuse_if_failed(&statement.parsed)?;
        let types = oids.iter().map(|oid| given_type(*oid)).collect::<Result<Vec<_>>>()?;
        let transaction = self.transaction().await?;
        let environment = self.environment();
        let parameters = Parameters { types, values: None };
        let describe = Describe {
            slice: &statement.parsed.slice,
            environment: &environment,
            transaction: &transaction,
            parameters: &parameters,
        };
        let described = statement.parsed.statement.describe(&describe).await;
        let description = described.inspect_err(|_| self.block.fail())?;
        let parameters = description
            .parameters
            .into_iter()
            .enumerate()
            .map(|(i, data_type)| {
                let asked = oids.get(i).copied().filter(|oid| *oid != 0);
                let oid = asked
                    .unwrap_or_else(|| pg_type_of(&Field::new("", data_type.clone(), true)).oid());
                Parameter { oid, data_type }
            })
            .collect();
        Ok(Prepared { statement: Some(statement), parameters, columns: description.columns })
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
        let canceller = self.cancel.arm(self.settings.statement_timeout());
        let parsed = &statement.parsed;
        self.activity.begin(parsed.slice.text());
        let parameters = Parameters {
            types: parameters.iter().map(|v| Some(v.data_type())).collect(),
            values: (!parameters.is_empty()).then(|| parameters.to_vec()),
        };
        let result = match parsed.statement.kind() {
            Kind::Control(control) => self.control(control).await,
            kind => match self.refuse_if_failed(parsed) {
                Ok(()) => self.run(parsed, &kind, &parameters, &canceller).await,
                Err(e) => Err(e),
            },
        };
        self.activity.end();
        if result.is_err() {
            self.block.fail();
        }
        result
    }

    fn refuse_if_failed(&self, parsed: &Parsed) -> Result<()> {
        let ends_block = matches!(parsed.statement.kind(), Kind::Control(_));
        if self.status() != TransactionStatus::Failed || ends_block {
            return Ok(());
        }
        Err(Error::new(
            SqlState::InFailedSqlTransaction,
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// Runs a statement in the block's transaction, or in one of its own that is committed.
    async fn run(
        &mut self,
        parsed: &Parsed,
        kind: &Kind,
        parameters: &Parameters,
        canceller: &Canceller,
    ) -> Result<Response> {
        if *kind == Kind::Write && self.settings.read_only() {
            let what = parsed.statement.name().replace('_', " ").to_uppercase();
            return Err(Error::new(
                SqlState::ReadOnlySqlTransaction,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        for attempt in 0.. {
            let transaction = self.transaction().await?;
            let result = self.attempt(parsed, &transaction, parameters, canceller).await;
            if self.block.is_open() {
                return Ok(result?.map_copy(|copy| copy::in_block(copy, transaction)));
            }
            let response = match result {
                Ok(response) => response,
                Err(error) => {
                    self.if_lost.take();
                    self.if_committed.take();
                    transaction::roll_back(transaction).await;
                    return Err(error);
                }
            };
            let is_copy = matches!(response, statements::Response::CopyIn(_));
            let response = response.map_copy(|copy| {
                let text = parsed.slice.text().to_owned();
                copy::alone(copy, transaction.clone(), text, self.notices.clone())
            });
            if is_copy {
                return Ok(response);
            }
            let again = attempt < RETRIES && parsed.statement.runs_again();
            match self.commit(transaction, parsed.slice.text(), again).await {
                Ok(()) => return Ok(response),
                Err(e) if again && e.code() == SqlState::SerializationFailure => {
                    canceller.check()?;
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::internal("a loop without end ended"))
    }

    async fn attempt(
        &mut self,
        parsed: &Parsed,
        transaction: &Transaction,
        parameters: &Parameters,
        canceller: &Canceller,
    ) -> Result<statements::Response> {
        let mark = transaction.statement_mark();
        let environment = self.environment();
        let mut cx = Execution {
            slice: &parsed.slice,
            environment: &environment,
            transaction,
            settings: &mut self.settings,
            parameters,
            canceller,
            notices: &self.notices,
            in_block: self.block.is_open(),
            prepared: &mut self.statements,
            if_lost: &self.if_lost,
            if_committed: &self.if_committed,
        };
        let result = parsed.statement.execute(&mut cx).await;
        match result {
            Ok(response) => Ok(telling(response, environment.unseen.clone(), &self.notices)),
            Err(error) => {
                transaction.rollback_to(mark);
                Err(error)
            }
        }
    }

    /// Commits; trouble after the commit stood is a warning.
    async fn commit(
        &self,
        transaction: Arc<Transaction>,
        statement: &str,
        retriable: bool,
    ) -> Result<()> {
        let info =
            CommitInfo { statement: statement.to_owned(), retriable, ..CommitInfo::default() };
        let transaction = Arc::into_inner(transaction)
            .ok_or_else(|| Error::internal("a transaction is still in use at its COMMIT"))?;
        let (aftermath, tidings) = (self.if_lost.take(), self.if_committed.take());
        let committed = match transaction.commit(info).await {
            Ok(committed) => committed,
            Err(error) => {
                // What may yet turn out to have happened is no loss.
                if error.code() != SqlState::TransactionResolutionUnknown {
                    for work in aftermath {
                        work(error.clone()).await;
                    }
                }
                return Err(error);
            }
        };
        let told = tidings.into_iter().filter_map(|tell| tell(committed.snapshot.catalog()));
        for notice in told.chain(committed.warnings) {
            let _ = self.notices.send(notice);
        }
        self.engine.maintain_later();
        Ok(())
    }

    /// The block's transaction, begun at its first statement; outside of a block a fresh one.
    async fn transaction(&mut self) -> Result<Arc<Transaction>> {
        if let Some(open) = self.block.transaction() {
            return Ok(open.clone());
        }
        let begun = Arc::new(self.engine.services().warehouse.begin(self.role.clone()).await?);
        if self.block.is_open() {
            self.block.keep(begun.clone(), self.settings.clone(), Utc::now());
        }
        Ok(begun)
    }

    fn environment(&self) -> Environment {
        let now: DateTime<Utc> = self.block.started_at().unwrap_or_else(Utc::now);
        let engine = self.engine.clone();
        let (role, pid) = (self.role.clone(), self.pid);
        let settings = self.settings.clone();
        Environment {
            services: self.engine.services().clone(),
            search_path: self.settings.search_path(&self.role),
            time_zone: self.settings.time_zone().to_owned(),
            date_order: self.settings.encode().date_order,
            now,
            unseen: Arc::default(),
            role: self.role.clone(),
            file_search_path: self.settings.file_search_path(),
            system: Arc::new(move |catalog| engine.system_context(catalog, &role, pid, &settings)),
            target_partitions: self.settings.target_partitions(),
        }
    }

    /// Says that the response of the last statement failed while it was sent (a stream's error, a
    /// cancel, COPY data that could not be read), so that a block is failed. It gives the error to
    /// report: a cancelled stream is 57014 with the right message.
    pub fn fail(&mut self, error: Error) -> Error {
        self.block.fail();
        if error.code() == SqlState::QueryCanceled && self.cancel.current().is_cancelled() {
            return self.cancel.error();
        }
        error
    }
}

/// Tells what predictions met that training had not, behind the last row where there are rows.
fn telling(
    response: statements::Response,
    unseen: Arc<Unseen>,
    notices: &mpsc::UnboundedSender<Notice>,
) -> statements::Response {
    let notices = notices.clone();
    let tell = move || unseen.take().into_iter().for_each(|notice| drop(notices.send(notice)));
    let at_end = |stream: SendableRecordBatchStream| -> SendableRecordBatchStream {
        let schema = stream.schema();
        let tell = tell.clone();
        let end = futures::stream::poll_fn(move |_| {
            tell();
            Poll::Ready(None)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, stream.chain(end)))
    };
    match response {
        statements::Response::Rows { schema, stream, tag, counted } => {
            statements::Response::Rows { schema, stream: at_end(stream), tag, counted }
        }
        statements::Response::CopyOut { schema, stream, options } => {
            statements::Response::CopyOut { schema, stream: at_end(stream), options }
        }
        other => {
            tell();
            other
        }
    }
}

/// What the protocol's messages and SQL's statements both know.
#[derive(Default)]
struct Statements {
    named: HashMap<String, Arc<Prepared>>,
    portals_closed: bool,
}

impl statements::PreparedStatements for Statements {
    fn clear(&mut self) {
        self.named.clear();
    }

    fn remove(&mut self, name: &str) -> bool {
        self.named.remove(name).is_some()
    }

    fn close_portals(&mut self) {
        self.portals_closed = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.leave(self.pid);
    }
}

/// The settings that the client begins with. A form of values that is not supported keeps its default, with a
/// warning: what stands in a user's profile for another server should not keep the client out.
fn settings_at_startup(
    startup: &Startup,
    notices: &mpsc::UnboundedSender<Notice>,
) -> Result<Settings> {
    const FORMS: &[&str] = &["DateStyle", "IntervalStyle", "client_encoding"];
    let mut settings = Settings::default();
    for (name, value) in &startup.settings {
        // Parameters of the protocol itself, and those of newer clients, are no settings.
        if name == "replication" || name.starts_with("_pq_.") {
            continue;
        }
        let Err(error) = settings.set_at_startup(name, value) else { continue };
        let is_form = FORMS.iter().any(|form| form.eq_ignore_ascii_case(name));
        if !is_form || error.code() != SqlState::FeatureNotSupported {
            return Err(error);
        }
        let _ = notices.send(Notice {
            code: error.code(),
            hint: Some(format!("The session goes on with {}.", settings.get(name)?)),
            ..Notice::warning(error.message())
        });
    }
    Ok(settings)
}

/// The Arrow type of a parameter whose OID the client gave; text and unknown stay open, for that
/// is what drivers say when they leave the choice to the server.
fn given_type(oid: u32) -> Result<Option<DataType>> {
    const UNKNOWN: u32 = 705;
    if oid == 0 || oid == UNKNOWN {
        return Ok(None);
    }
    arrow_type_of(oid).map(Some).ok_or_else(|| {
        Error::unsupported(
            format_args!("a parameter of the type with OID {oid}"),
            "Pass it as text and cast it in the statement.",
        )
    })
}

/// Collects a stream, for tests and small answers.
///
/// # Errors
/// What the stream fails with.
pub async fn collect(stream: SendableRecordBatchStream) -> Result<Vec<RecordBatch>> {
    Ok(datafusion::physical_plan::common::collect(stream).await?)
}
