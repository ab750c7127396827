//! The one error of the program: an SQLSTATE, a message in PostgreSQL's words, and what helps the user on.

mod from;

use crate::sqlstate::SqlState;
use std::fmt;

/// Result with this program's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failed statement answers with.
///
/// `message` is short, lower case and without a full stop; `detail` and `hint` are whole sentences.
/// `position` is the 1-based character in the text that the client sent.
#[derive(Debug, Clone)]
pub struct Error(Box<Fields>);

#[derive(Debug, Clone)]
struct Fields {
    code: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    context: Option<String>,
    object: ErrorObject,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// The object that an error is about: the fields `s t c n` of the wire protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorObject {
    /// Schema name.
    pub schema: Option<String>,
    /// Table name.
    pub table: Option<String>,
    /// Column name.
    pub column: Option<String>,
    /// Constraint name.
    pub constraint: Option<String>,
}

impl Error {
    /// An error with the given code and message.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            object: ErrorObject::default(),
            source: None,
        }))
    }

    /// A known thing that is not built: 0A000, with what to do instead.
    pub fn unsupported(what: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self::new(SqlState::FeatureNotSupported, format!("{what} is not supported")).hint(hint)
    }

    /// A bug in this program: XX000.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        // DataFusion would have its users write to its own tracker.
        let message = message.split("\nThis issue was likely caused by").next().unwrap_or(&message);
        Self::new(SqlState::InternalError, message)
            .hint("This is a bug in the server; please report it with the statement.")
    }

    /// Adds a detail, a whole sentence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a hint, a whole sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.0.hint = hint;
        }
        self
    }

    /// Sets the 1-based character position in the client's text.
    #[must_use]
    pub fn position(mut self, position: usize) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Sets the position if it is known and none is set yet.
    #[must_use]
    pub fn position_or(mut self, position: Option<usize>) -> Self {
        if self.0.position.is_none() {
            self.0.position = position;
        }
        self
    }

    /// Adds where it happened, such as a COPY line.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    /// Names the table that the error is about.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.0.object.table = Some(table.into());
        self
    }

    /// Names the column that the error is about.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.object.column = Some(column.into());
        self
    }

    /// Names the constraint that the error is about.
    #[must_use]
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.object.constraint = Some(constraint.into());
        self
    }

    /// Keeps the error underneath, for the server's own log.
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Replaces the SQLSTATE.
    #[must_use]
    pub fn with_code(mut self, code: SqlState) -> Self {
        self.0.code = code;
        self
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Drops the position, for text that the client did not send.
    #[must_use]
    pub fn without_position(mut self) -> Self {
        self.0.position = None;
        self
    }

    /// The SQLSTATE.
    pub fn code(&self) -> SqlState {
        self.0.code
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The detail, if any.
    pub fn get_detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The hint, if any.
    pub fn get_hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The 1-based character position, if known.
    pub fn get_position(&self) -> Option<usize> {
        self.0.position
    }

    /// Where it happened, if known.
    pub fn get_context(&self) -> Option<&str> {
        self.0.context.as_deref()
    }

    /// The object that the error is about.
    pub fn object(&self) -> &ErrorObject {
        &self.0.object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// A message to the client that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// NOTICE or WARNING.
    pub severity: Severity,
    /// The SQLSTATE of the notice, 00000 for a plain one.
    pub code: SqlState,
    /// The text, lower case, without a full stop.
    pub message: String,
    /// A whole sentence that says more.
    pub detail: Option<String>,
    /// A whole sentence that helps on.
    pub hint: Option<String>,
}

/// How loud a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Something is not as the user may think.
    Warning,
}

impl Notice {
    /// A NOTICE.
    #[allow(clippy::self_named_constructors, reason = "a notice of level NOTICE")]
    pub fn notice(message: impl Into<String>) -> Self {
        Self::build(Severity::Notice, SqlState::SuccessfulCompletion, message.into())
    }

    /// A WARNING.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::build(Severity::Warning, SqlState::Warning, message.into())
    }

    fn build(severity: Severity, code: SqlState, message: String) -> Self {
        Self { severity, code, message, detail: None, hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
