//! The extended protocol: prepared statements, portals, and groups of messages up to a Sync.

use super::connection::Connection;
use super::copy;
use super::errors::Failure;
use super::message::{Bind, Message, Target, violation};
use super::rows::{Rows, row_description};
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, Format, Framing, decode_parameter, pg_type_of};
use crate::planner::Canceller;
use crate::session::{Prepared, Response, TransactionStatus};
use crate::sqlstate::SqlState;
use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What the extended protocol keeps between messages. Named statements are the session's, since
/// SQL's PREPARE, EXECUTE and DEALLOCATE know them too.
#[derive(Default)]
pub(super) struct Extended {
    /// The statement without a name, gone with the next Parse or simple query.
    unnamed: Option<Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
    /// After an error all messages up to the next Sync are passed over.
    pub(super) skipping: bool,
    /// Whether the statements up to the next Sync are a group of the session.
    grouped: bool,
}

/// A bound statement.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    parameters: Vec<ScalarValue>,
    formats: Vec<Format>,
    state: State,
}

enum State {
    New,
    /// Some of its rows are sent.
    Open {
        rows: Box<Rows>,
        tag: &'static str,
        counted: bool,
        /// What stops its statement, while that runs.
        canceller: Canceller,
    },
    /// All rows are sent; there are none left, however often it is asked for them.
    Exhausted {
        tag: &'static str,
        counted: bool,
    },
    /// It has run, and returned no rows or failed.
    Done,
}

impl Extended {
    /// A simple query ends the statement and the portal without a name.
    pub(super) fn forget_unnamed(&mut self) {
        self.unnamed = None;
        self.portals.remove("");
    }
}

impl Connection {
    /// Answers a message of the extended protocol other than Flush and Sync.
    pub(super) async fn extended_message(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Parse { name, query, types } => self.parse(name, &query, &types).await,
            Message::Bind(bind) => Ok(self.bind(bind)?),
            Message::Describe(Target::Statement, name) => Ok(self.describe_statement(&name)?),
            Message::Describe(Target::Portal, name) => Ok(self.describe_portal(&name)?),
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await,
            Message::Close(target, name) => {
                self.close(target, &name);
                Ok(())
            }
            message => Err(Error::internal(format!("{message:?} is no extended query")).into()),
        }
    }

    async fn parse(&mut self, name: String, query: &str, types: &[u32]) -> Result<(), Failure> {
        if name.is_empty() {
            self.extended.unnamed = None;
        } else if self.session.statements().contains_key(&name) {
            return Err(Error::new(
                SqlState::DuplicatePreparedStatement,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let prepared = self.link.drive(None, self.session.prepare(query, types)).await?;
        let prepared = Arc::new(prepared);
        if name.is_empty() {
            self.extended.unnamed = Some(prepared);
        } else {
            self.session.statements().insert(name, prepared);
        }
        self.link.output.put(&ParseComplete::new());
        Ok(())
    }

    fn prepared(&mut self, name: &str) -> Result<Arc<Prepared>> {
        let (found, missing) = if name.is_empty() {
            (self.extended.unnamed.clone(), "unnamed prepared statement does not exist".to_owned())
        } else {
            let found = self.session.statements().get(name).cloned();
            (found, format!("prepared statement \"{name}\" does not exist"))
        };
        found.ok_or_else(|| Error::new(SqlState::InvalidSqlStatementName, missing))
    }

    fn bind(&mut self, bind: Bind) -> Result<()> {
        let prepared = self.prepared(&bind.statement)?;
        let settings = self.session.encode_settings();
        let parameters = parameters(&prepared, &bind, &settings)?;
        let formats = bind.result_formats;
        let columns = prepared.columns.as_ref().map_or(0, |schema| schema.fields().len());
        if prepared.columns.is_some() && formats.len() > 1 && formats.len() != columns {
            let given = formats.len();
            return Err(violation(format!(
                "bind message has {given} result formats but query has {columns} columns"
            )));
        }
        let portal = Portal { prepared, parameters, formats, state: State::New };
        match self.extended.portals.entry(bind.portal) {
            Entry::Occupied(taken) if !taken.key().is_empty() => {
                return Err(Error::new(
                    SqlState::DuplicateCursor,
                    format!("cursor \"{}\" already exists", taken.key()),
                ));
            }
            Entry::Occupied(mut unnamed) => {
                unnamed.insert(portal);
            }
            Entry::Vacant(free) => {
                free.insert(portal);
            }
        }
        self.link.output.put(&BindComplete::new());
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<()> {
        let prepared = self.prepared(name)?;
        let types = prepared.parameters.iter().map(|parameter| parameter.oid).collect();
        self.link.output.put(&ParameterDescription::new(types));
        self.put_columns(prepared.columns.as_deref(), &[]);
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<()> {
        let portal = self.extended.portals.get(name).ok_or_else(|| no_portal(name))?;
        let (prepared, formats) = (Arc::clone(&portal.prepared), portal.formats.clone());
        self.put_columns(prepared.columns.as_deref(), &formats);
        Ok(())
    }

    fn put_columns(&mut self, columns: Option<&Schema>, formats: &[Format]) {
        match columns {
            Some(schema) => self.link.output.put(&row_description(schema, formats)),
            None => self.link.output.put(&NoData::new()),
        }
    }

    fn close(&mut self, target: Target, name: &str) {
        match (target, name) {
            (Target::Statement, "") => self.extended.unnamed = None,
            (Target::Statement, name) => {
                self.session.statements().remove(name);
            }
            (Target::Portal, name) => {
                self.extended.portals.remove(name);
            }
        }
        self.link.output.put(&CloseComplete::new());
    }

    async fn execute(&mut self, name: &str, max_rows: usize) -> Result<(), Failure> {
        let portal = self.extended.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let limit = (max_rows > 0).then_some(max_rows);
        match std::mem::replace(&mut portal.state, State::Done) {
            State::New => self.start(name, limit).await,
            State::Open { rows, tag, counted, canceller } => {
                self.link.cancel.resume(canceller, self.session.statement_timeout());
                self.send_rows(name, rows, tag, counted, limit).await
            }
            State::Exhausted { tag, counted } => {
                portal.state = State::Exhausted { tag, counted };
                self.put_tag(if counted { format!("{tag} 0") } else { tag.to_owned() });
                Ok(())
            }
            State::Done => Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("portal \"{name}\" cannot be run"),
            )
            .into()),
        }
    }

    /// Runs a portal's statement for the first time.
    async fn start(&mut self, name: &str, limit: Option<usize>) -> Result<(), Failure> {
        let Some(portal) = self.extended.portals.get(name) else {
            return Err(no_portal(name).into());
        };
        let (prepared, formats) = (Arc::clone(&portal.prepared), portal.formats.clone());
        let parameters = portal.parameters.clone();
        let Some(statement) = &prepared.statement else {
            self.link.output.put(&EmptyQueryResponse::new());
            return Ok(());
        };
        // A statement right before a Sync commits by itself; several up to a Sync are a group.
        if !self.extended.grouped && self.link.incoming.peek() != Some(b'S') {
            self.session.begin_implicit();
            self.extended.grouped = true;
        }
        let before = self.session.status();
        let response = self.run_statement(statement, &parameters).await?;
        if before != TransactionStatus::Idle && self.session.status() == TransactionStatus::Idle {
            // The transaction's end is the end of its portals.
            self.extended.portals.clear();
        }
        self.respond(name, &prepared, &formats, response, limit).await
    }

    async fn respond(
        &mut self,
        name: &str,
        prepared: &Prepared,
        formats: &[Format],
        response: Response,
        limit: Option<usize>,
    ) -> Result<(), Failure> {
        let settings = self.session.encode_settings();
        match response {
            Response::Rows { schema, stream, tag, counted } => {
                check_columns(prepared.columns.as_deref(), &schema)?;
                let rows = Box::new(Rows::new(stream, &schema, formats, &settings)?);
                self.send_rows(name, rows, tag, counted, limit).await
            }
            Response::Complete(tag) => {
                self.put_tag(tag);
                Ok(())
            }
            Response::CopyIn(target) => {
                let tag = self.copy_in(target).await?;
                self.put_tag(tag);
                Ok(())
            }
            Response::CopyOut { schema, stream, options } => {
                let cancel = self.cancel_token();
                let link = &mut self.link;
                let rows = copy::send(link, &cancel, &schema, stream, &options, &settings).await?;
                self.put_tag(format!("COPY {rows}"));
                Ok(())
            }
            Response::Empty => {
                self.link.output.put(&EmptyQueryResponse::new());
                Ok(())
            }
        }
    }

    async fn send_rows(
        &mut self,
        name: &str,
        mut rows: Box<Rows>,
        tag: &'static str,
        counted: bool,
        limit: Option<usize>,
    ) -> Result<(), Failure> {
        let cancel = self.cancel_token();
        let sent = rows.send(&mut self.link, &cancel, Framing::DataRow, limit).await?;
        let state = if sent.suspended {
            self.link.output.put(&PortalSuspended::new());
            State::Open { rows, tag, counted, canceller: self.link.cancel.suspend() }
        } else {
            self.put_tag(if counted { format!("{tag} {}", sent.rows) } else { tag.to_owned() });
            State::Exhausted { tag, counted }
        };
        if let Some(portal) = self.extended.portals.get_mut(name) {
            portal.state = state;
        }
        Ok(())
    }

    /// Ends a group of messages.
    pub(super) async fn sync(&mut self) -> Result<(), Failure> {
        self.extended.skipping = false;
        match self.end_group().await {
            Err(Failure::Statement(error)) => self.report(error).await?,
            ended => ended?,
        }
        self.ready().await
    }

    /// Commits what the messages since the last Sync have done, or rolls it back.
    pub(super) async fn end_group(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.extended.grouped) { self.end_implicit().await } else { Ok(()) }
    }
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::InvalidCursorName, format!("portal \"{name}\" does not exist"))
}

/// The values of `$1`, `$2`, … as the statement's types.
fn parameters(
    prepared: &Prepared,
    bind: &Bind,
    settings: &EncodeSettings,
) -> Result<Vec<ScalarValue>> {
    let (given, wanted) = (bind.parameters.len(), prepared.parameters.len());
    let formats = &bind.parameter_formats;
    if formats.len() > 1 && formats.len() != given {
        return Err(violation(format!(
            "bind message has {} parameter formats but {given} parameters",
            formats.len()
        )));
    }
    if given != wanted {
        return Err(violation(format!(
            "bind message supplies {given} parameters, but prepared statement \"{}\" requires {wanted}",
            bind.statement
        )));
    }
    let format = |index: usize| match formats[..] {
        [] => Format::Text,
        [one] => one,
        _ => formats[index],
    };
    let values = bind.parameters.iter().zip(&prepared.parameters).enumerate();
    values
        .map(|(index, (value, parameter))| {
            let value = value.as_ref().map(Bytes::as_ref);
            decode_parameter(value, parameter.oid, format(index), settings).map_err(|error| {
                error.context(format!("{} parameter ${}", portal_words(&bind.portal), index + 1))
            })
        })
        .collect()
}

fn portal_words(name: &str) -> String {
    if name.is_empty() { "unnamed portal".to_owned() } else { format!("portal \"{name}\"") }
}

/// What was described must be what comes, else the client misreads it.
fn check_columns(described: Option<&Schema>, schema: &Schema) -> Result<()> {
    let same = described.is_some_and(|described| {
        described.fields().len() == schema.fields().len()
            && described
                .fields()
                .iter()
                .zip(schema.fields())
                .all(|(a, b)| pg_type_of(a) == pg_type_of(b))
    });
    if same {
        return Ok(());
    }
    Err(Error::new(SqlState::FeatureNotSupported, "cached plan must not change result type"))
}
