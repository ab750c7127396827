//! Rows on their way to the client: batch by batch, in pieces, as fast as the client reads.

use super::errors::{Failure, panic_error};
use super::link::Link;
use super::output::PIECE;
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, Format, Framing, RowEncoder, column_type};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use pgwire::messages::data::{FieldDescription, RowDescription};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Field metadata with the table that a column comes from, and its number there.
const TABLE_OID_KEY: &str = "cenote.table_oid";
const ATTNUM_KEY: &str = "cenote.attnum";

/// When the next batch takes longer than this, the rows that are encoded leave without it. A small
/// result is complete before, and needs one write.
const LINGER: Duration = Duration::from_millis(1);

/// The rest of a result.
pub(super) struct Rows {
    batches: Batches,
    pub(super) encoder: RowEncoder,
    /// A batch and the first of its rows that was not sent.
    current: Option<(RecordBatch, usize)>,
    /// Whether rows wait in the output.
    waiting: bool,
    ended: bool,
}

/// What one round of sending has done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) rows: usize,
    /// Whether it stopped at the limit. As in PostgreSQL there may be no row left all the same.
    pub(super) suspended: bool,
}

impl Rows {
    pub(super) fn new(
        stream: SendableRecordBatchStream,
        schema: &Schema,
        formats: &[Format],
        settings: &EncodeSettings,
    ) -> Result<Self> {
        let encoder = RowEncoder::new(schema, formats, settings)?;
        let batches = Batches::new(stream);
        Ok(Self { batches, encoder, current: None, waiting: false, ended: false })
    }

    /// Sends rows until there are no more or `limit` is reached.
    pub(super) async fn send(
        &mut self,
        link: &mut Link,
        cancel: &CancellationToken,
        framing: Framing<'_>,
        limit: Option<usize>,
    ) -> Result<Sent, Failure> {
        let mut rows = 0;
        while !self.ended {
            if limit.is_some_and(|limit| rows >= limit) {
                return Ok(Sent { rows, suspended: true });
            }
            let Some((batch, from)) = self.current.take() else {
                match self.next_batch(link, cancel).await? {
                    Some(batch) => self.current = Some((batch, 0)),
                    None => self.ended = true,
                }
                continue;
            };
            let most = limit.map_or(usize::MAX, |limit| limit - rows);
            let to = batch.num_rows().min(from.saturating_add(most));
            let next = self.encode(link, &batch, from..to, framing)?;
            rows += next - from;
            if next < batch.num_rows() {
                self.current = Some((batch, next));
            }
            if link.output.buffer.len() >= PIECE {
                link.flush(Some(cancel)).await?;
                self.waiting = false;
            }
        }
        Ok(Sent { rows, suspended: false })
    }

    fn encode(
        &mut self,
        link: &mut Link,
        batch: &RecordBatch,
        rows: std::ops::Range<usize>,
        framing: Framing<'_>,
    ) -> Result<usize> {
        self.waiting |= !rows.is_empty();
        let before = link.output.buffer.len();
        let out = &mut link.output.buffer;
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            self.encoder.encode_upto(batch, rows, framing, PIECE, out)
        }));
        let encoded = encoded.unwrap_or_else(|panic| Err(panic_error(&*panic)));
        if encoded.is_err() {
            // The last row is cut; what came before this round is whole.
            link.output.buffer.truncate(before);
        }
        encoded
    }

    async fn next_batch(
        &mut self,
        link: &mut Link,
        cancel: &CancellationToken,
    ) -> Result<Option<RecordBatch>, Failure> {
        if self.waiting {
            let soon = tokio::time::timeout(LINGER, self.batches.next());
            let soon = async { Ok(soon.await.ok()) };
            if let Some(next) = link.drive(Some(cancel), soon).await? {
                return Ok(next?);
            }
            link.flush(Some(cancel)).await?;
            self.waiting = false;
        }
        link.drive(Some(cancel), self.batches.next()).await
    }
}

/// A stream that runs in a task of its own: the session stays responsive while an operator
/// computes, and the next batch is made while this one is encoded. Ends with this value.
struct Batches {
    receiver: mpsc::Receiver<Result<RecordBatch>>,
    task: JoinHandle<()>,
}

impl Batches {
    fn new(mut stream: SendableRecordBatchStream) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            loop {
                let next = AssertUnwindSafe(stream.next()).catch_unwind().await;
                let batch = match next {
                    Ok(Some(batch)) => batch.map_err(Error::from),
                    Ok(None) => return,
                    Err(panic) => Err(panic_error(&*panic)),
                };
                let last = batch.is_err();
                if sender.send(batch).await.is_err() || last {
                    return;
                }
            }
        });
        Self { receiver, task }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.receiver.recv().await.transpose()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The columns of a result, as Describe and a simple query announce them.
pub(super) fn row_description(schema: &Schema, formats: &[Format]) -> RowDescription {
    let fields = schema.fields().iter().enumerate().map(|(index, field)| {
        let format = match formats {
            [] => Format::Text,
            [one] => *one,
            many => many.get(index).copied().unwrap_or(Format::Text),
        };
        let ty = column_type(field);
        FieldDescription::new(
            field.name().replace('\0', ""),
            number::<u32>(field, TABLE_OID_KEY) as i32,
            number(field, ATTNUM_KEY),
            ty.ty.oid(),
            ty.ty.typlen(),
            ty.typmod,
            format_code(format),
        )
    });
    RowDescription::new(fields.collect())
}

pub(super) fn format_code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// A number in a field's metadata, 0 if there is none.
fn number<T: std::str::FromStr + Default>(field: &Field, key: &str) -> T {
    field.metadata().get(key).and_then(|text| text.parse().ok()).unwrap_or_default()
}
