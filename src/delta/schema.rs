//! A catalog table as Delta sees it: protocol, metadata and schema JSON, and the way back to columns.

use super::actions::{Format, Metadata, Protocol};
use crate::catalog::{Column, SqlType, Table};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The writer feature that keeps other writers out of managed tables.
pub const FENCE: &str = "cenote.coordinated";

/// The table property that holds the catalog's id of the table.
pub const TABLE_PROPERTY: &str = "cenote.table";

/// Where Spark keeps a varchar's length; the protocol's own type is plain `string`.
const VARCHAR_METADATA: &str = "__CHAR_VARCHAR_TYPE_STRING";

const CONSTRAINT_PREFIX: &str = "delta.constraints.";

/// What readers and writers of a managed table must support.
///
/// Readers need nothing unless a column holds `timestamp` without time zone, which is a feature of
/// its own; writers meet the fence.
pub fn protocol_for(table: &Table) -> Protocol {
    let mut writer: Vec<String> =
        ["appendOnly", "invariants", "checkConstraints", FENCE].map(str::to_owned).to_vec();
    let ntz = table.columns.iter().any(|c| holds_timestamp(&c.sql_type));
    if ntz {
        writer.push("timestampNtz".into());
    }
    Protocol {
        min_reader_version: if ntz { 3 } else { 1 },
        min_writer_version: 7,
        reader_features: ntz.then(|| vec!["timestampNtz".into()]),
        writer_features: Some(writer),
    }
}

/// The metadata action of a managed table.
///
/// # Errors
/// 42602 if a column has a name that Delta cannot hold.
pub fn metadata_for(table: &Table, created_ms: i64) -> Result<Metadata> {
    for column in &table.columns {
        validate_column_name(&column.name)?;
    }
    let mut configuration: BTreeMap<String, String> = table.properties.clone();
    for check in &table.checks {
        configuration.insert(
            format!("{CONSTRAINT_PREFIX}{}", check.name),
            format!("({}) IS NOT FALSE", quote_for_spark(&check.expression)),
        );
    }
    configuration.insert(TABLE_PROPERTY.into(), table.id.clone());
    Ok(Metadata {
        id: uuid_of(&table.id),
        name: Some(table.name.name.clone()),
        description: table.comment.clone(),
        format: Format::default(),
        schema_string: schema_json(&table.columns),
        partition_columns: table.partition_by.clone(),
        configuration,
        created_time: Some(created_ms),
    })
}

/// Refuses names that a Delta table cannot hold without column mapping.
///
/// # Errors
/// 42602, with a name that would do as a hint.
pub fn validate_column_name(name: &str) -> Result<()> {
    let bad = |c: char| matches!(c, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '\n' | '\t' | '=');
    if name.is_empty() {
        return Err(Error::new(SqlState::InvalidName, "a column name must not be empty"));
    }
    if !name.contains(bad) {
        return Ok(());
    }
    let better: String = name.chars().map(|c| if bad(c) { '_' } else { c }).collect();
    Err(Error::new(
        SqlState::InvalidName,
        format!("column name \"{name}\" contains a character that Delta tables do not allow"),
    )
    .column(name)
    .detail("None of the characters \" ,;{}()=\", tab and newline may stand in a column name.")
    .hint(format!("Name it \"{better}\".")))
}

/// The Delta schema JSON of a list of columns.
pub fn schema_json(columns: &[Column]) -> String {
    let fields: Vec<Value> = columns
        .iter()
        .map(|column| {
            let mut metadata = Map::new();
            if let SqlType::Varchar(n) = column.sql_type {
                metadata.insert(VARCHAR_METADATA.into(), json!(format!("varchar({n})")));
            }
            json!({
                "name": column.name,
                "type": delta_type(&column.sql_type),
                "nullable": !column.not_null,
                "metadata": metadata,
            })
        })
        .collect();
    json!({ "type": "struct", "fields": fields }).to_string()
}

fn delta_type(sql_type: &SqlType) -> Value {
    match sql_type {
        SqlType::Array(item) => {
            json!({ "type": "array", "elementType": delta_type(item), "containsNull": true })
        }
        other => Value::String(other.delta_name()),
    }
}

/// The columns of a Delta schema, as other engines may have written it.
///
/// Field metadata such as `parquet.field.id` is dropped on purpose: written back, it would make
/// other readers take every column for missing.
///
/// # Errors
/// XX001 if the text is no Delta schema, 0A000 for types that no column can have.
pub fn columns_from_json(schema: &str) -> Result<Vec<Column>> {
    let value: Value =
        serde_json::from_str(schema).map_err(|e| malformed(&format!("it is not JSON: {e}")))?;
    let fields = value
        .get("fields")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("it has no fields"))?;
    fields.iter().map(column_from_json).collect()
}

fn column_from_json(field: &Value) -> Result<Column> {
    let name = field
        .get("name")
        .and_then(Value::as_str)
        .ok_or_else(|| malformed("a field has no name"))?;
    let declared = field.get("type").ok_or_else(|| malformed("a field has no type"))?;
    let mut sql_type = type_from_json(declared, name)?;
    let varchar = field
        .get("metadata")
        .and_then(|m| m.get(VARCHAR_METADATA))
        .and_then(Value::as_str)
        .and_then(|t| t.strip_prefix("varchar(")?.strip_suffix(')')?.trim().parse().ok());
    if let (SqlType::Text, Some(n)) = (&sql_type, varchar) {
        sql_type = SqlType::Varchar(n);
    }
    let mut column = Column::new(name, sql_type);
    column.not_null = field.get("nullable").and_then(Value::as_bool) == Some(false);
    Ok(column)
}

fn type_from_json(value: &Value, column: &str) -> Result<SqlType> {
    if let Some(kind) = value.get("type").and_then(Value::as_str) {
        return match (kind, value.get("elementType")) {
            ("array", Some(item)) => Ok(SqlType::Array(Box::new(type_from_json(item, column)?))),
            _ => Err(unsupported_type(kind, column)),
        };
    }
    let name = value.as_str().ok_or_else(|| malformed("a type is neither a name nor an object"))?;
    Ok(match name {
        "boolean" => SqlType::Boolean,
        "byte" | "short" => SqlType::SmallInt,
        "integer" => SqlType::Integer,
        "long" => SqlType::BigInt,
        "float" => SqlType::Real,
        "double" => SqlType::Double,
        "string" => SqlType::Text,
        "date" => SqlType::Date,
        "timestamp_ntz" => SqlType::Timestamp,
        "timestamp" => SqlType::TimestampTz,
        "binary" => SqlType::Bytea,
        "decimal" => SqlType::Numeric(10, 0),
        other => decimal(other).ok_or_else(|| unsupported_type(other, column))?,
    })
}

fn decimal(name: &str) -> Option<SqlType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    Some(SqlType::Numeric(precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

fn unsupported_type(kind: &str, column: &str) -> Error {
    Error::unsupported(
        format_args!("Delta type {kind} of column \"{column}\""),
        "Read the table's Parquet files, or write a copy of it without this column.",
    )
    .column(column)
}

fn malformed(why: &str) -> Error {
    Error::new(SqlState::DataCorrupted, "a Delta schema cannot be read").detail(format!("{why}."))
}

fn holds_timestamp(sql_type: &SqlType) -> bool {
    match sql_type {
        SqlType::Timestamp => true,
        SqlType::Array(item) => holds_timestamp(item),
        _ => false,
    }
}

/// The id as the protocol wants it: a UUID. Ids that are none are hashed to one.
fn uuid_of(id: &str) -> String {
    let uuid = uuid::Uuid::parse_str(id).unwrap_or_else(|_| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
        uuid::Uuid::from_bytes(bytes)
    });
    uuid.hyphenated().to_string()
}

/// Rewrites an expression's quoting: "name" becomes `name`, and 'it''s' becomes 'it\'s'.
///
/// Spark reads double quotes as a string and knows backslash escapes in strings.
fn quote_for_spark(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '"' && c != '\'' {
            out.push(c);
            continue;
        }
        let quote = if c == '"' { '`' } else { '\'' };
        out.push(quote);
        while let Some(inner) = chars.next() {
            if inner == c {
                if chars.next_if_eq(&c).is_none() {
                    break;
                }
                out.push_str(if c == '"' { "\"" } else { "\\'" });
            } else if c == '"' && inner == '`' {
                out.push_str("``");
            } else if c == '\'' && inner == '\\' {
                out.push_str("\\\\");
            } else {
                out.push(inner);
            }
        }
        out.push(quote);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Check, QualifiedName};

    fn table(columns: Vec<Column>) -> Table {
        Table {
            id: "0123456789abcdef0123456789abcdef".into(),
            oid: 1,
            name: QualifiedName::new("public", "t"),
            path: "public/t-0123".into(),
            columns,
            checks: vec![Check {
                name: "c".into(),
                expression: r#""Odd" > 0 AND s <> 'it''s \'"#.into(),
            }],
            partition_by: vec![],
            properties: BTreeMap::from([("delta.appendOnly".into(), "false".into())]),
            feature: None,
            internal: false,
            owner: "o".into(),
            comment: Some("a table".into()),
        }
    }

    #[test]
    fn metadata_says_what_the_protocol_asks_for() {
        let t = table(vec![
            Column::new("a", SqlType::BigInt).required(),
            Column::new("s", SqlType::Varchar(3)),
            Column::new("l", SqlType::Array(Box::new(SqlType::Numeric(5, 2)))),
        ]);
        let m = metadata_for(&t, 7).expect("valid names");
        assert_eq!(m.id, "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(
            m.schema_string,
            concat!(
                r#"{"type":"struct","fields":["#,
                r#"{"name":"a","type":"long","nullable":false,"metadata":{}},"#,
                r#"{"name":"s","type":"string","nullable":true,"metadata":{"__CHAR_VARCHAR_TYPE_STRING":"varchar(3)"}},"#,
                r#"{"name":"l","type":{"type":"array","elementType":"decimal(5,2)","containsNull":true},"nullable":true,"metadata":{}}]}"#
            )
        );
        assert_eq!(
            m.configuration["delta.constraints.c"],
            r"(`Odd` > 0 AND s <> 'it\'s \\') IS NOT FALSE"
        );
        assert_eq!(m.configuration["cenote.table"], t.id);
        assert_eq!(m.configuration["delta.appendOnly"], "false");
        assert_eq!(columns_from_json(&m.schema_string).expect("own schema"), t.columns);
    }

    #[test]
    fn timestamps_without_zone_raise_the_reader_version() {
        let plain = protocol_for(&table(vec![Column::new("t", SqlType::TimestampTz)]));
        assert_eq!((plain.min_reader_version, plain.reader_features), (1, None));
        let nested = SqlType::Array(Box::new(SqlType::Timestamp));
        let ntz = protocol_for(&table(vec![Column::new("t", nested)]));
        assert_eq!(ntz.min_reader_version, 3);
        assert_eq!(ntz.reader_features, Some(vec!["timestampNtz".to_owned()]));
        let writer = ntz.writer_features.expect("version 7");
        assert!(writer.contains(&"timestampNtz".to_owned()) && writer.contains(&FENCE.to_owned()));
    }

    #[test]
    fn names_and_types_that_cannot_be_held_say_so() {
        let error = validate_column_name("net price").expect_err("a space");
        assert_eq!(error.code(), SqlState::InvalidName);
        assert_eq!(error.get_hint(), Some("Name it \"net_price\"."));
        assert!(validate_column_name("größe.1").is_ok());
        let map =
            r#"{"type":"struct","fields":[{"name":"m","type":{"type":"map"},"nullable":true}]}"#;
        let error = columns_from_json(map).expect_err("a map");
        assert_eq!(error.code(), SqlState::FeatureNotSupported);
    }
}
