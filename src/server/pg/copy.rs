//! COPY between a session and its client, the same in the simple and the extended protocol.

use super::errors::{Failure, cancelled};
use super::link::Link;
use super::message::{Message, decode, violation};
use super::rows::Rows;
use crate::error::{Error, Result};
use crate::format::{CopyFormat, CopyOptions, EncodeSettings, Header};
use crate::session::CopyIn;
use crate::sqlstate::SqlState;
use arrow::datatypes::Schema;
use datafusion::execution::SendableRecordBatchStream;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use tokio_util::sync::CancellationToken;

/// Takes the client's rows, and returns the command tag.
pub(super) async fn receive(
    link: &mut Link,
    cancel: &CancellationToken,
    mut target: Box<dyn CopyIn>,
) -> Result<String, Failure> {
    let (format, columns) = (target.format(), target.columns());
    let formats = vec![i16::from(format); columns];
    link.output.put(&CopyInResponse::new(format, columns as i16, formats));
    link.flush(Some(cancel)).await?;
    loop {
        let message = match link.next_frame(Some(cancel)).await {
            Ok(Some(frame)) => decode(frame),
            Ok(None) => {
                give_up(link, target, "unexpected EOF on client connection").await;
                return Err(Failure::Gone);
            }
            Err(failure) => {
                give_up(link, target, "the COPY was cancelled").await;
                return Err(failure);
            }
        };
        match message {
            Ok(Message::CopyData(data)) => {
                // A push that is stopped in the middle ends the COPY; nothing has been inserted.
                if let Err(failure) = link.drive(Some(cancel), target.push(&data)).await {
                    give_up(link, target, "the COPY failed").await;
                    return Err(failure);
                }
            }
            Ok(Message::CopyDone) => return link.drive(None, target.finish()).await,
            Ok(Message::CopyFail(reason)) => {
                let reason = format!("COPY from stdin failed: {reason}");
                let error = give_up(link, target, &reason).await;
                return Err(error.with_code(SqlState::QueryCanceled).with_message(reason).into());
            }
            // Clients may send these before they learn that the statement is a COPY.
            Ok(Message::Flush | Message::Sync) => {}
            Ok(_) => {
                let reason = "unexpected message type during COPY from stdin";
                give_up(link, target, reason).await;
                return Err(violation(reason).into());
            }
            Err(error) => {
                give_up(link, target, error.message()).await;
                return Err(error.into());
            }
        }
    }
}

/// Lets the target clean up, whatever else happens meanwhile.
async fn give_up(link: &mut Link, target: Box<dyn CopyIn>, reason: &str) -> Error {
    let aborted = link.drive(None, async { Ok(target.abort(reason).await) }).await;
    match aborted {
        Ok(error) | Err(Failure::Statement(error) | Failure::Fatal(error)) => error,
        Err(Failure::Gone) => cancelled(),
    }
}

/// Sends a result in COPY's format, and returns the number of its rows.
pub(super) async fn send(
    link: &mut Link,
    cancel: &CancellationToken,
    schema: &Schema,
    stream: SendableRecordBatchStream,
    options: &CopyOptions,
    settings: &EncodeSettings,
) -> Result<usize, Failure> {
    let mut rows = Rows::new(stream, schema, &[], settings)?;
    let columns = schema.fields().len();
    let format = i8::from(options.format == CopyFormat::Binary);
    let formats = vec![i16::from(format); columns];
    link.output.put(&CopyOutResponse::new(format, columns as i16, formats));
    let forced = options.forced_columns(schema);
    let framing = options.framing(&forced);
    if options.header != Header::None {
        rows.encoder.copy_header(framing, &mut link.output.buffer)?;
    }
    let sent = rows.send(link, cancel, framing, None).await?;
    rows.encoder.finish_copy(framing, &mut link.output.buffer)?;
    link.output.put(&CopyDone::new());
    Ok(sent.rows)
}
