//! The session's side of a connection: one message after the other, and the replies to them.

use super::copy;
use super::errors::{Failure, Level};
use super::extended::Extended;
use super::front::Burst;
use super::link::{Incoming, Link};
use super::listener::Shared;
use super::message::{self, Message};
use super::output::{Output, PIECE};
use super::startup::{Hello, NEWEST_MINOR};
use crate::error::{Error, Result};
use crate::session::{CopyIn, Response, Session, Statement, TransactionStatus};
use crate::sqlstate::SqlState;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use pgwire::messages::response::{self, CommandComplete, ReadyForQuery};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use rand::RngCore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

/// How long a client that does not read may keep its session from ending.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A client's session with all that belongs to it.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) link: Link,
    pub(super) extended: Extended,
}

/// Serves a session until its client leaves. `_slot` is its place among the server's connections.
pub(super) async fn run(
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
    hello: Hello,
    bursts: mpsc::UnboundedReceiver<Burst>,
    pieces: mpsc::Sender<Bytes>,
) {
    let mut output = Output::new(pieces);
    let (minor, unknown_options) = (hello.minor, hello.unknown_options.clone());
    let secret_bytes = hello.secret_bytes();
    let (session, notices) = match Session::new(&shared.engine, &hello.into_session()) {
        Ok(opened) => opened,
        Err(error) => {
            output.put_error(Level::Fatal, &error);
            let _ = output.flush().await;
            return;
        }
    };
    let cancel = session.cancel_handle();
    let mut secret = vec![0; secret_bytes];
    rand::rng().fill_bytes(&mut secret);
    let pid = session.pid();
    let _registered = shared.registry.register(pid, secret.clone(), cancel.clone());
    let shutdown = shared.shutdown.clone();
    let link = Link { output, incoming: Incoming::new(bursts), notices, cancel, shutdown };
    let mut connection = Connection { session, link, extended: Extended::default() };
    connection.greet(minor, unknown_options, pid, secret);
    if let Err(Failure::Fatal(error) | Failure::Statement(error)) = connection.serve().await {
        connection.link.output.put_error(Level::Fatal, &error);
        let _ = tokio::time::timeout(LAST_WORDS, connection.link.output.flush()).await;
    }
    // Results that were not read to their end are no longer wanted.
    connection.extended.portals.clear();
    connection.session.close().await;
}

impl Connection {
    fn greet(&mut self, minor: u16, unknown_options: Vec<String>, pid: i32, secret: Vec<u8>) {
        let output = &mut self.link.output;
        if minor > NEWEST_MINOR || !unknown_options.is_empty() {
            let newest = 3 << 16 | i32::from(minor.min(NEWEST_MINOR));
            output.put(&NegotiateProtocolVersion::new(newest, unknown_options));
        }
        output.put(&Authentication::Ok);
        self.put_parameters();
        let secret_key = SecretKey::Bytes(Bytes::from(secret));
        self.link.output.put(&BackendKeyData::new(pid, secret_key));
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        self.ready().await?;
        loop {
            let Some(frame) = self.link.next_frame(None).await? else { return Ok(()) };
            if self.extended.skipping && !matches!(frame.kind, b'S' | b'X') {
                continue;
            }
            let kind = frame.kind;
            // What is left of a COPY that failed is not even looked at.
            if matches!(kind, b'd' | b'c' | b'f') {
                continue;
            }
            let answered = match message::decode(frame) {
                Ok(Message::Terminate) => return Ok(()),
                Ok(message) => self.answer(message).await,
                Err(error) => Err(error.into()),
            };
            match answered {
                Ok(()) => {}
                Err(Failure::Statement(error)) => self.recover(kind, error).await?,
                Err(failure) => return Err(failure),
            }
            if self.link.output.buffer.len() >= PIECE {
                self.link.flush(None).await?;
            }
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Query(sql) => {
                self.simple_query(&sql).await?;
                self.ready().await
            }
            Message::Sync => self.sync().await,
            Message::Flush => self.link.flush(None).await,
            Message::Unsupported(what) => {
                Err(Error::new(SqlState::FeatureNotSupported, format!("{what} is not supported"))
                    .into())
            }
            message => self.extended_message(message).await,
        }
    }

    /// Goes on after an error: with the next query, or with the next Sync.
    async fn recover(&mut self, kind: u8, error: Error) -> Result<(), Failure> {
        self.report(error).await?;
        if matches!(kind, b'Q' | b'F' | b'p') {
            return self.ready().await;
        }
        self.extended.skipping = true;
        Ok(())
    }

    /// Tells the client of an error, and the session, whose transaction it ends.
    pub(super) async fn report(&mut self, error: Error) -> Result<(), Failure> {
        let error = self.session.fail(error);
        self.link.take_notices();
        self.link.output.put_error(Level::Error, &error);
        self.link.flush(None).await
    }

    /// Says that the next query may come, and sends all that is in the buffer.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        self.link.take_notices();
        self.put_parameters();
        let status = match self.session.status() {
            TransactionStatus::Idle => response::TransactionStatus::Idle,
            TransactionStatus::Active => response::TransactionStatus::Transaction,
            TransactionStatus::Failed => response::TransactionStatus::Error,
        };
        if self.session.status() == TransactionStatus::Idle {
            self.extended.portals.clear();
        }
        self.link.output.put(&ReadyForQuery::new(status));
        self.link.flush(None).await
    }

    /// Runs a statement; what it says about portals is done before anything else.
    pub(super) async fn run_statement(
        &mut self,
        statement: &Statement,
        parameters: &[ScalarValue],
    ) -> Result<Response, Failure> {
        let response = self.link.drive(None, self.session.execute(statement, parameters)).await?;
        if self.session.portals_closed() {
            self.extended.portals.clear();
        }
        Ok(response)
    }

    fn put_parameters(&mut self) {
        for (name, value) in self.session.changed_parameters() {
            self.link.output.put(&ParameterStatus::new(name, value));
        }
    }

    pub(super) fn put_tag(&mut self, tag: String) {
        self.link.output.put(&CommandComplete::new(tag));
    }

    /// The token that stops the statement which `Session::execute` has answered last.
    pub(super) fn cancel_token(&self) -> CancellationToken {
        self.link.cancel.current()
    }

    /// Receives the rows of COPY FROM STDIN.
    pub(super) async fn copy_in(&mut self, target: Box<dyn CopyIn>) -> Result<String, Failure> {
        let cancel = self.cancel_token();
        copy::receive(&mut self.link, &cancel, target).await
    }
}
