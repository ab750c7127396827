//! How values look to PostgreSQL clients: types, text and binary encoding, parameters, COPY, tables.
//!
//! Everything here works over Arrow arrays and knows neither connections nor sessions. A row on its
//! way out goes `RecordBatch` -> [`RowEncoder`] -> bytes; a value on its way in goes through
//! [`ColumnParser`], whether it is a Bind parameter, a COPY field or a line of a csv file.

mod abbreviations;
pub mod copy;
pub mod datetime;
pub mod decode;
pub mod encode;
pub mod number;
pub mod settings;
pub mod table;
pub mod types;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use copy::{CopyDecoder, CopyFormat, CopyOptions, Header, infer_csv_schema};
pub use decode::{ColumnParser, check_json, decode_parameter, normal_uuid, parse_text};
pub use encode::{Format, Framing, RowEncoder, text_column, text_value};
pub use settings::{ByteaOutput, DateOrder, EncodeSettings, SessionZone};
pub use types::{
    ColumnType, PG_TYPE_KEY, PgType, TYPMOD_KEY, arrow_type_of, column_type, format_type,
    pg_type_of, sql_name, typmod_of,
};
