//! The simple protocol: a text of statements, each answered before the next one runs.

use super::connection::Connection;
use super::copy;
use super::errors::Failure;
use super::rows::{Rows, row_description};
use crate::error::Result;
use crate::format::Framing;
use crate::session::{Response, Statement};
use pgwire::messages::response::EmptyQueryResponse;

impl Connection {
    /// Runs all statements of a query, up to the first that fails.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Result<(), Failure> {
        self.end_group().await?;
        self.extended.forget_unnamed();
        let session = &self.session;
        let statements = self.link.drive(None, async { session.parse_script(sql) }).await?;
        if statements.is_empty() {
            self.link.output.put(&EmptyQueryResponse::new());
            return Ok(());
        }
        if let [statement] = &statements[..] {
            let tag = self.simple_statement(statement).await?;
            self.finish(tag);
            return Ok(());
        }
        self.session.begin_implicit();
        let result = self.implicit_transaction(&statements).await;
        if let Err(Failure::Statement(error)) = result {
            // Told to the session first, so that the group's end is a rollback.
            let error = self.session.fail(error);
            if let Err(failure) = self.end_implicit().await {
                tracing::debug!(?failure, "after a failed group");
            }
            return Err(error.into());
        }
        result
    }

    /// The tag of the last statement waits for the commit, which may fail.
    async fn implicit_transaction(&mut self, statements: &[Statement]) -> Result<(), Failure> {
        let mut last = None;
        for statement in statements {
            if let Some(tag) = last.take() {
                self.finish(tag);
            }
            last = Some(self.simple_statement(statement).await?);
        }
        self.end_implicit().await?;
        if let Some(tag) = last {
            self.finish(tag);
        }
        Ok(())
    }

    pub(super) async fn end_implicit(&mut self) -> Result<(), Failure> {
        self.link.drive(None, self.session.end_implicit()).await
    }

    /// Runs one statement and sends its rows; the tag is left to the caller, none for nothing.
    async fn simple_statement(&mut self, statement: &Statement) -> Result<Option<String>, Failure> {
        let response = self.run_statement(statement, &[]).await?;
        let cancel = self.cancel_token();
        let settings = self.session.encode_settings();
        Ok(match response {
            Response::Rows { schema, stream, tag, counted } => {
                let mut rows = Rows::new(stream, &schema, &[], &settings)?;
                self.link.output.put(&row_description(&schema, &[]));
                let sent = rows.send(&mut self.link, &cancel, Framing::DataRow, None).await?;
                Some(if counted { format!("{tag} {}", sent.rows) } else { tag.to_owned() })
            }
            Response::Complete(tag) => Some(tag),
            Response::CopyIn(target) => Some(self.copy_in(target).await?),
            Response::CopyOut { schema, stream, options } => {
                let link = &mut self.link;
                let rows = copy::send(link, &cancel, &schema, stream, &options, &settings).await?;
                Some(format!("COPY {rows}"))
            }
            Response::Empty => None,
        })
    }

    fn finish(&mut self, tag: Option<String>) {
        self.link.take_notices();
        match tag {
            Some(tag) => self.put_tag(tag),
            None => self.link.output.put(&EmptyQueryResponse::new()),
        }
    }
}
