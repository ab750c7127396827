//! Rows of system relations: loosely typed cells, and the Arrow columns that they become.

use crate::error::Result;
use crate::format::PG_TYPE_KEY;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use std::sync::{Arc, OnceLock};

/// One value before its column's type is applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Cell>),
}

impl Cell {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also from text, since clients quote the OIDs that they look up.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(n) => Some(*n),
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The OID, if it is one.
    pub(super) fn oid(&self) -> Option<u32> {
        self.int().and_then(|n| u32::try_from(n).ok())
    }

    /// True for a true boolean alone.
    pub(super) fn is_true(&self) -> bool {
        matches!(self, Cell::Bool(true))
    }

    /// The value as an element of a column of `data_type`; NULL where it does not fit.
    pub(super) fn scalar(&self, data_type: &DataType) -> Result<ScalarValue> {
        Ok(match (self, data_type) {
            (Cell::Bool(b), DataType::Boolean) => ScalarValue::Boolean(Some(*b)),
            (Cell::Text(text), DataType::Utf8) => ScalarValue::Utf8(Some(text.clone())),
            (Cell::Int(n), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
                ScalarValue::TimestampMicrosecond(Some(*n), zone.clone())
            }
            (Cell::Int(n), _) => ScalarValue::Int64(Some(*n)).cast_to(data_type)?,
            (Cell::List(items), DataType::List(item)) => {
                let items: Vec<ScalarValue> = items
                    .iter()
                    .map(|cell| cell.scalar(item.data_type()))
                    .collect::<Result<_>>()?;
                ScalarValue::List(ScalarValue::new_list_nullable(&items, item.data_type()))
            }
            _ => ScalarValue::try_from(data_type)?,
        })
    }

    /// The cell of an Arrow value; values of types that no system function reads become text.
    pub(super) fn from_scalar(value: &ScalarValue) -> Cell {
        if value.is_null() {
            return Cell::Null;
        }
        match value {
            ScalarValue::Boolean(Some(b)) => Cell::Bool(*b),
            ScalarValue::List(list) => {
                let items = list.value(0);
                let cell =
                    |i| ScalarValue::try_from_array(&items, i).map(|v| Cell::from_scalar(&v));
                Cell::List((0..items.len()).map(|i| cell(i).unwrap_or(Cell::Null)).collect())
            }
            other => match other.data_type() {
                t if t.is_integer() => match other.cast_to(&DataType::Int64) {
                    Ok(ScalarValue::Int64(Some(n))) => Cell::Int(n),
                    _ => Cell::Null,
                },
                _ => Cell::Text(
                    other.try_as_str().flatten().map_or_else(|| other.to_string(), str::to_owned),
                ),
            },
        }
    }
}

macro_rules! cell_from {
    ($($type:ty => $value:ident -> $cell:expr),* $(,)?) => {
        $(impl From<$type> for Cell { fn from($value: $type) -> Cell { $cell } })*
    };
}

cell_from! {
    bool => b -> Cell::Bool(b),
    i64 => n -> Cell::Int(n),
    i32 => n -> Cell::Int(n.into()),
    i16 => n -> Cell::Int(n.into()),
    u32 => n -> Cell::Int(n.into()),
    char => c -> Cell::Text(c.to_string()),
    &str => text -> Cell::Text(text.to_owned()),
    String => text -> Cell::Text(text),
    &String => text -> Cell::Text(text.clone()),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

impl<T: Into<Cell>> From<Vec<T>> for Cell {
    fn from(values: Vec<T>) -> Cell {
        Cell::List(values.into_iter().map(Into::into).collect())
    }
}

/// A column of a system relation.
#[derive(Debug)]
pub(super) struct ColumnDefinition {
    /// Its name.
    pub(super) name: &'static str,
    /// The name of its type in pg_type.
    pub(super) pg_type: &'static str,
    /// NULL does not occur.
    pub(super) not_null: bool,
}

/// A system relation as `sql/system/relations.tsv` declares it.
#[derive(Debug)]
pub(super) struct Definition {
    /// Its schema.
    pub(super) schema: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// PostgreSQL's OID of it.
    pub(super) oid: u32,
    /// `r` or `v`.
    pub(super) kind: char,
    /// Its columns in order.
    pub(super) columns: Vec<ColumnDefinition>,
}

impl Definition {
    /// The Arrow schema of its rows.
    pub(super) fn arrow(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| pg_field(c.name, c.pg_type, !c.not_null));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The declared system relations: exported from PostgreSQL 15.18, with the columns that 16 added where
/// clients read them, and `ml` after them. A column is `name type`, with `!` for NOT NULL.
pub(super) fn definitions() -> &'static [Definition] {
    static ALL: OnceLock<Vec<Definition>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = include_str!("../../sql/system/relations.tsv");
        text.lines().skip(1).filter_map(parse_definition).collect()
    })
}

/// The declared relation of this name.
pub(super) fn definition(schema: &str, name: &str) -> Option<&'static Definition> {
    definitions().iter().find(|d| d.schema == schema && d.name == name)
}

fn parse_definition(line: &'static str) -> Option<Definition> {
    let mut parts = line.split('\t');
    let (schema, name) = (parts.next()?, parts.next()?);
    let oid = parts.next()?.parse().ok()?;
    let kind = parts.next()?.chars().next()?;
    let column = |text: &'static str| {
        let (name, pg_type) = text.split_once(' ')?;
        let bare = pg_type.trim_end_matches('!');
        Some(ColumnDefinition { name, pg_type: bare, not_null: bare != pg_type })
    };
    let columns = parts.next()?.split(',').filter_map(column).collect();
    Some(Definition { schema, name, oid, kind, columns })
}

/// The Arrow type that holds a PostgreSQL type, given by its name in pg_type.
pub(super) fn arrow_type(pg_type: &str) -> DataType {
    match pg_type {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "oid" | "regproc" | "regprocedure" | "regclass" | "regtype" | "regrole"
        | "regnamespace" | "xid" | "cid" => DataType::UInt32,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "bytea" => DataType::Binary,
        "int2vector" => arrow_type("_int2"),
        "oidvector" => arrow_type("_oid"),
        _ => match pg_type.strip_prefix('_') {
            Some(item) => DataType::new_list(arrow_type(item), true),
            None => DataType::Utf8,
        },
    }
}

/// A field of a PostgreSQL type, marked with its name where the Arrow type alone would mislead.
pub(super) fn pg_field(name: &str, pg_type: &str, nullable: bool) -> Field {
    let field = Field::new(name, arrow_type(pg_type), nullable);
    match pg_type {
        "bool" | "int2" | "int4" | "int8" | "float4" | "float8" | "timestamptz" | "bytea"
        | "text" | "_text" => field,
        _ => field.with_metadata([(PG_TYPE_KEY.to_owned(), pg_type.to_owned())].into()),
    }
}

/// Collects the rows of one system relation.
pub(super) struct Rows {
    definition: &'static Definition,
    columns: Vec<Vec<Cell>>,
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(definition: &'static Definition) -> Self {
        Self { definition, columns: definition.columns.iter().map(|_| Vec::new()).collect() }
    }

    /// Adds a row. Columns that are not named are NULL, or the zero of their type if NOT NULL.
    pub(super) fn push<const N: usize>(&mut self, cells: [(&str, Cell); N]) {
        self.push_row(cells);
    }

    fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = (&'a str, Cell)>) {
        for (values, column) in self.columns.iter_mut().zip(&self.definition.columns) {
            values.push(if column.not_null { zero(column.pg_type) } else { Cell::Null });
        }
        for (name, cell) in cells {
            let position = self.definition.columns.iter().position(|c| c.name == name);
            debug_assert!(position.is_some(), "{}.{name}", self.definition.name);
            if let Some(slot) = position.and_then(|p| self.columns[p].last_mut()) {
                *slot = cell;
            }
        }
    }

    /// Adds the rows of an embedded file: tab separated, a header of column names, `\N` for NULL.
    pub(super) fn push_file(&mut self, text: &'static str) {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let types: Vec<DataType> = header.iter().map(|name| self.type_of(name)).collect();
        for line in lines {
            let cells = line.split('\t').zip(&types).map(|(text, t)| parse_cell(text, t));
            self.push_row(header.iter().copied().zip(cells));
        }
    }

    fn type_of(&self, column: &str) -> DataType {
        let column = self.definition.columns.iter().find(|c| c.name == column);
        arrow_type(column.map_or("text", |c| c.pg_type))
    }

    /// The rows as one batch.
    ///
    /// # Errors
    /// XX000 if a cell does not fit its column.
    pub(super) fn finish(self) -> Result<RecordBatch> {
        let schema = self.definition.arrow();
        let columns = self.columns.iter().zip(schema.fields());
        let columns = columns.map(|(cells, field)| column_of(cells, field.data_type()));
        Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
    }
}

/// The Arrow array of cells.
pub(super) fn column_of(cells: &[Cell], data_type: &DataType) -> Result<ArrayRef> {
    if cells.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    let values: Vec<ScalarValue> =
        cells.iter().map(|cell| cell.scalar(data_type)).collect::<Result<_>>()?;
    Ok(ScalarValue::iter_to_array(values)?)
}

fn zero(pg_type: &str) -> Cell {
    match arrow_type(pg_type) {
        DataType::Boolean => Cell::Bool(false),
        DataType::Utf8 => Cell::Text(String::new()),
        DataType::List(_) => Cell::List(Vec::new()),
        _ => Cell::Int(0),
    }
}

fn parse_cell(text: &str, data_type: &DataType) -> Cell {
    match data_type {
        _ if text == "\\N" => Cell::Null,
        DataType::Boolean => Cell::Bool(text == "t"),
        DataType::Utf8 => Cell::Text(text.to_owned()),
        DataType::List(item) => {
            let items = text.split([' ', ',', '{', '}']).filter(|item| !item.is_empty());
            Cell::List(items.map(|text| parse_cell(text, item.data_type())).collect())
        }
        _ => text.parse().map_or(Cell::Null, Cell::Int),
    }
}
