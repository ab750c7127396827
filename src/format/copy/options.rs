//! The options of COPY, and which of them exclude each other.

use crate::error::{Error, Result};
use crate::format::encode::Framing;
use crate::sqlstate::SqlState;
use arrow::datatypes::Schema;

/// FORMAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// Tabs and backslashes.
    Text,
    /// Comma-separated values.
    Csv,
    /// Lengths and binary values.
    Binary,
}

/// HEADER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The first line is data.
    None,
    /// The first line is left out.
    Skip,
    /// The first line must name the columns.
    Match,
}

/// The options of a COPY, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT.
    pub format: CopyFormat,
    /// DELIMITER.
    pub delimiter: u8,
    /// NULL: on output the first; on input each of them. COPY has exactly one, `read_csv` several.
    pub nulls: Vec<String>,
    /// HEADER.
    pub header: Header,
    /// QUOTE, csv only.
    pub quote: u8,
    /// ESCAPE, csv only.
    pub escape: u8,
    /// FORCE_QUOTE: names of columns, csv output only.
    pub force_quote: Vec<String>,
    /// FORCE_NOT_NULL: names of columns, csv input only.
    pub force_not_null: Vec<String>,
    /// FORCE_NULL: names of columns, csv input only.
    pub force_null: Vec<String>,
}

impl CopyOptions {
    /// The defaults of a format.
    #[must_use]
    pub fn new(format: CopyFormat) -> Self {
        let (delimiter, null) = match format {
            CopyFormat::Text => (b'\t', "\\N"),
            CopyFormat::Csv | CopyFormat::Binary => (b',', ""),
        };
        Self {
            format,
            delimiter,
            nulls: vec![null.into()],
            header: Header::None,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }

    /// The text that stands for NULL on output.
    pub fn first_null(&self) -> &str {
        self.nulls.first().map_or("", String::as_str)
    }

    /// What the encoder has to write; `force_quote` says it for each column of the result.
    pub fn framing<'a>(&'a self, force_quote: &'a [bool]) -> Framing<'a> {
        let null = self.first_null();
        match self.format {
            CopyFormat::Text => Framing::CopyText { delimiter: self.delimiter, null },
            CopyFormat::Binary => Framing::CopyBinary,
            CopyFormat::Csv => Framing::CopyCsv {
                delimiter: self.delimiter,
                quote: self.quote,
                escape: self.escape,
                null,
                force_quote,
            },
        }
    }

    /// FORCE_QUOTE for each column of a result.
    pub fn forced_columns(&self, schema: &Schema) -> Vec<bool> {
        schema.fields().iter().map(|field| self.force_quote.contains(field.name())).collect()
    }

    /// Refuses what PostgreSQL refuses; `columns` are the names that the lists may hold.
    pub(super) fn check<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Result<()> {
        let names: Vec<&str> = columns.collect();
        let lists = [&self.force_quote, &self.force_not_null, &self.force_null];
        if let Some(name) =
            lists.iter().flat_map(|list| list.iter()).find(|n| !names.contains(&n.as_str()))
        {
            return Err(Error::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" does not exist"),
            ));
        }
        let invalid = |text: &str| Err(Error::new(SqlState::InvalidParameterValue, text));
        if self.format == CopyFormat::Binary {
            return match self.header {
                Header::None => Ok(()),
                _ => Err(Error::unsupported("HEADER in a binary COPY", "Leave HEADER out.")),
            };
        }
        if self.delimiter >= 0x80 || self.quote >= 0x80 || self.escape >= 0x80 {
            return invalid("COPY delimiter, quote and escape must be single one-byte characters");
        }
        if matches!(self.delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if self.nulls.iter().any(|null| null.contains(['\n', '\r'])) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        let in_null = |byte: u8| self.nulls.iter().any(|null| null.as_bytes().contains(&byte));
        if in_null(self.delimiter) {
            return invalid("COPY delimiter must not appear in the NULL specification");
        }
        if self.format == CopyFormat::Text {
            let letter = matches!(self.delimiter, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9');
            if letter {
                let delimiter = char::from(self.delimiter);
                return invalid(&format!("COPY delimiter cannot be \"{delimiter}\""));
            }
            return Ok(());
        }
        if self.delimiter == self.quote {
            return invalid("COPY delimiter and quote must be different");
        }
        if in_null(self.quote) {
            return invalid("CSV quote character must not appear in the NULL specification");
        }
        Ok(())
    }
}
