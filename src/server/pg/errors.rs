//! Errors and notices as the fields of the wire protocol.

use crate::error::{Error, Notice, Severity};
use crate::sqlstate::SqlState;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use std::any::Any;

/// How an error ends: the statement, or the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Fatal,
}

/// Why a message was not answered in full.
#[derive(Debug)]
pub(super) enum Failure {
    /// The statement failed; the session goes on.
    Statement(Error),
    /// The connection has to end with this error.
    Fatal(Error),
    /// The client went away.
    Gone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

pub(super) fn error_response(level: Level, error: &Error) -> ErrorResponse {
    let severity = match level {
        Level::Error => "ERROR",
        Level::Fatal => "FATAL",
    };
    let object = error.object();
    let mut fields = common(severity, error.code(), error.message());
    let position = error.get_position().map(|position| position.to_string());
    let rest = [
        (b'D', error.get_detail()),
        (b'H', error.get_hint()),
        (b'P', position.as_deref()),
        (b'W', error.get_context()),
        (b's', object.schema.as_deref()),
        (b't', object.table.as_deref()),
        (b'c', object.column.as_deref()),
        (b'n', object.constraint.as_deref()),
    ];
    add(&mut fields, rest);
    ErrorResponse::new(fields)
}

pub(super) fn notice_response(notice: &Notice) -> NoticeResponse {
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
    };
    let mut fields = common(severity, notice.code, &notice.message);
    add(&mut fields, [(b'D', notice.detail.as_deref()), (b'H', notice.hint.as_deref())]);
    NoticeResponse::new(fields)
}

fn common(severity: &str, code: SqlState, message: &str) -> Vec<(u8, String)> {
    vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', code.code().to_owned()),
        (b'M', clean(message)),
    ]
}

fn add<const N: usize>(fields: &mut Vec<(u8, String)>, rest: [(u8, Option<&str>); N]) {
    fields.extend(rest.into_iter().filter_map(|(key, text)| Some((key, clean(text?)))));
}

/// A zero byte would end the field early and shift all that follows.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The error of a statement that panicked. The place is in the server's log, not on the wire.
pub(super) fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_owned());
    // Arrow has no other way to say that an array would be larger than its offsets can count.
    if text == "offset overflow" || text == "byte array offset overflow" {
        return Error::new(SqlState::ProgramLimitExceeded, "a value would be too large")
            .hint("Texts that are built together may have 2 GiB; make the pieces smaller.");
    }
    tracing::error!(panic = %text, "a statement panicked");
    Error::internal(format!("internal error: {text}"))
        .hint("This is a bug in the server. The statement had no effect; the session goes on.")
}

/// What a statement answers with that a CancelRequest stopped.
pub(super) fn cancelled() -> Error {
    Error::new(SqlState::QueryCanceled, "canceling statement due to user request")
}

/// What every session is told when the server goes down.
pub(super) fn shutting_down() -> Error {
    Error::new(SqlState::AdminShutdown, "terminating connection due to administrator command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_go_out_and_zero_bytes_do_not() {
        let error = Error::new(SqlState::NotNullViolation, "null value in column \"a\0b\"")
            .detail("Failing row contains (1).")
            .position(8)
            .context("COPY t, line 3")
            .table("t")
            .column("a")
            .constraint("t_a_not_null");
        let fields = error_response(Level::Error, &error).fields;
        let keys: String = fields.iter().map(|(key, _)| *key as char).collect();
        assert_eq!(keys, "SVCMDPWtcn");
        assert!(fields.iter().all(|(_, text)| !text.contains('\0')));
        let notice = Notice::warning("careful").with_hint("Do not.");
        let fields = notice_response(&notice).fields;
        assert_eq!(fields[0].1, "WARNING");
        assert_eq!(fields[2].1, "01000");
        assert_eq!(fields.last().unwrap().1, "Do not.");
    }
}
