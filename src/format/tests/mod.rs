//! Tests of the formats. Expected texts and bytes are those of a real PostgreSQL 15.18.

mod copy;
mod decode;
mod encode;
mod random;
mod table;
mod types;

use super::*;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::BytesMut;
use std::sync::Arc;

/// Settings with a session zone.
fn settings(zone: &str) -> EncodeSettings {
    let time_zone = SessionZone::parse(zone).expect("a known zone");
    EncodeSettings { time_zone, ..EncodeSettings::default() }
}

/// The text of every value; NULL for NULL.
fn texts(array: &ArrayRef, settings: &EncodeSettings) -> Vec<String> {
    (0..array.len())
        .map(|row| text_value(array, row, settings).unwrap_or_else(|| "NULL".into()))
        .collect()
}

/// The values of the rows in DataRow messages.
fn data_rows(bytes: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
    let number = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut rows = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        assert_eq!(bytes[at], b'D');
        let end = at + 1 + number(at + 1) as usize;
        let count = u16::from_be_bytes(bytes[at + 5..at + 7].try_into().unwrap());
        at += 7;
        let mut row = Vec::new();
        for _ in 0..count {
            let length = number(at);
            at += 4;
            row.push((length >= 0).then(|| bytes[at..at + length as usize].to_vec()));
            at += length.max(0) as usize;
        }
        assert_eq!(at, end);
        rows.push(row);
    }
    rows
}

/// The binary form of every value of an array, under the type of a field.
fn binaries(field: Field, array: ArrayRef) -> Result<Vec<Option<Vec<u8>>>, crate::error::Error> {
    let schema = Schema::new(vec![field]);
    let mut encoder = RowEncoder::new(&schema, &[Format::Binary], &EncodeSettings::default())?;
    let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).expect("a batch");
    let mut out = BytesMut::new();
    encoder.encode_batch(&batch, 0..batch.num_rows(), Framing::DataRow, &mut out)?;
    Ok(data_rows(&out).into_iter().map(|mut row| row.remove(0)).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A list type with nullable items.
fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}
