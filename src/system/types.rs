//! PostgreSQL's types: OIDs, names as SQL prints and reads them, and those of catalog columns.

use crate::catalog::SqlType;
use std::sync::OnceLock;

/// A row of pg_type, as far as other relations need it.
#[derive(Debug)]
pub(super) struct PgType {
    /// Its OID.
    pub(super) oid: u32,
    /// Its name in pg_type.
    pub(super) name: &'static str,
    /// Bytes, or -1 for variable length.
    pub(super) length: i16,
    /// Passed by value.
    pub(super) by_value: bool,
    /// Its category letter.
    pub(super) category: &'static str,
    /// Its alignment letter.
    pub(super) align: &'static str,
    /// Its storage letter.
    pub(super) storage: &'static str,
    /// Its collation, 0 for none.
    pub(super) collation: u32,
    /// The element type of an array, else 0.
    pub(super) element: u32,
    /// Its array type, else 0.
    pub(super) array: u32,
}

/// The embedded rows of pg_type.
pub(super) const PG_TYPE_ROWS: &str = include_str!("../../sql/system/pg_type.tsv");

fn all() -> &'static [PgType] {
    static ALL: OnceLock<Vec<PgType>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut lines = PG_TYPE_ROWS.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        lines.filter_map(|line| parse(&header, line)).collect()
    })
}

fn parse(header: &[&str], line: &'static str) -> Option<PgType> {
    let values: Vec<&'static str> = line.split('\t').collect();
    let value = |name: &str| values.get(header.iter().position(|h| *h == name)?).copied();
    Some(PgType {
        oid: value("oid")?.parse().ok()?,
        name: value("typname")?,
        length: value("typlen")?.parse().ok()?,
        by_value: value("typbyval")? == "t",
        category: value("typcategory")?,
        align: value("typalign")?,
        storage: value("typstorage")?,
        collation: value("typcollation")?.parse().ok()?,
        element: value("typelem")?.parse().ok()?,
        array: value("typarray")?.parse().ok()?,
    })
}

/// The type of this OID.
pub(super) fn by_oid(oid: u32) -> Option<&'static PgType> {
    all().iter().find(|t| t.oid == oid)
}

/// The type of this name in pg_type.
pub(super) fn by_name(name: &str) -> Option<&'static PgType> {
    all().iter().find(|t| t.name == name)
}

/// OID and typmod of a catalog column's type.
pub(super) fn of_sql_type(sql_type: &SqlType) -> (u32, i32) {
    match sql_type {
        SqlType::Boolean => (16, -1),
        SqlType::SmallInt => (21, -1),
        SqlType::Integer => (23, -1),
        SqlType::BigInt => (20, -1),
        SqlType::Real => (700, -1),
        SqlType::Double => (701, -1),
        SqlType::Numeric(p, s) => (1700, (i32::from(*p) << 16 | i32::from(*s) & 0x7ff) + 4),
        SqlType::Text => (25, -1),
        SqlType::Varchar(n) => (1043, i32::try_from(*n).map_or(-1, |n| n + 4)),
        SqlType::Date => (1082, -1),
        SqlType::Timestamp => (1114, -1),
        SqlType::TimestampTz => (1184, -1),
        SqlType::Bytea => (17, -1),
        SqlType::Array(item) => {
            let (oid, typmod) = of_sql_type(item);
            // PostgreSQL's array types have no number of dimensions: int[][] is int[].
            let array = by_oid(oid).map_or(0, |t| if t.array == 0 { t.oid } else { t.array });
            (array, typmod)
        }
    }
}

/// The default btree operator class of a type, 0 if it has none.
pub(super) fn operator_class(type_oid: u32) -> u32 {
    // varchar has none of its own, it is indexed as text.
    let wanted = if type_oid == 1043 { 25 } else { type_oid }.to_string();
    let rows = include_str!("../../sql/system/pg_opclass.tsv").lines();
    let mut rows = rows.map(|line| line.split('\t').collect::<Vec<_>>());
    let found = rows.find(|row| row.get(6) == Some(&wanted.as_str()));
    found.and_then(|row| row[0].parse().ok()).unwrap_or_default()
}

/// The names that differ between pg_type and SQL.
const SQL_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("char", "\"char\""),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("varbit", "bit varying"),
];

/// What `format_type(oid, typmod)` prints.
pub(super) fn format(oid: u32, typmod: i64) -> String {
    let Some(pg_type) = by_oid(oid) else {
        return if oid == 0 { "-" } else { "???" }.to_owned();
    };
    if pg_type.category == "A"
        && let Some(element) = by_oid(pg_type.element)
        && element.array == oid
    {
        return format!("{}[]", format(element.oid, typmod));
    }
    let name = SQL_NAMES.iter().find(|(pg, _)| *pg == pg_type.name).map_or(pg_type.name, |n| n.1);
    with_typmod(pg_type.name, name, typmod)
}

fn with_typmod(pg_name: &str, name: &str, typmod: i64) -> String {
    match pg_name {
        _ if typmod < 0 => name.to_owned(),
        "varchar" | "bpchar" if typmod >= 4 => format!("{name}({})", typmod - 4),
        "numeric" if typmod >= 4 => {
            let packed = typmod - 4;
            format!("{name}({},{})", packed >> 16 & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
        }
        "time" | "timetz" | "timestamp" | "timestamptz" => match name.split_once(' ') {
            Some((head, tail)) => format!("{head}({typmod}) {tail}"),
            None => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

/// The type that a name in SQL means, as `'integer'::regtype` reads it.
pub(super) fn parse_name(text: &str) -> Option<&'static PgType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        return by_oid(parse_name(element)?.array);
    }
    let text = text.strip_prefix("pg_catalog.").unwrap_or(text);
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return by_name(quoted);
    }
    let lower = text.to_lowercase();
    let bare = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", lower[..open].trim_end(), &lower[close + 1..])
        }
        _ => lower,
    };
    let pg_name = match bare.as_str() {
        "int" => "int4",
        "decimal" | "dec" => "numeric",
        "float" => "float8",
        "char" => "bpchar",
        other => SQL_NAMES.iter().find(|(_, sql)| *sql == other).map_or(other, |n| n.0),
    };
    by_name(pg_name)
}

#[cfg(test)]
mod tests {
    use super::{format, of_sql_type, parse_name};
    use crate::catalog::SqlType;

    // Expected texts: PostgreSQL 15.18's format_type.
    #[test]
    fn types_print_as_postgres_prints_them() {
        let print = |t: SqlType| {
            let (oid, typmod) = of_sql_type(&t);
            format(oid, typmod.into())
        };
        assert_eq!(print(SqlType::Numeric(12, 2)), "numeric(12,2)");
        assert_eq!(print(SqlType::Varchar(20)), "character varying(20)");
        assert_eq!(print(SqlType::Array(Box::new(SqlType::Varchar(5)))), "character varying(5)[]");
        assert_eq!(print(SqlType::TimestampTz), "timestamp with time zone");
        assert_eq!(format(18, -1), "\"char\"");
        assert_eq!(format(0, -1), "-");
        assert_eq!(format(1, -1), "???");
    }

    #[test]
    fn names_of_types_are_read() {
        let oid = |text| parse_name(text).map(|t| t.oid);
        assert_eq!(oid("integer"), Some(23));
        assert_eq!(oid("pg_catalog.int4[]"), Some(1007));
        assert_eq!(oid("character varying(10)"), Some(1043));
        assert_eq!(oid("timestamp(3) with time zone"), Some(1184));
        assert_eq!(oid("\"char\""), Some(18));
        assert_eq!(oid("hstore"), None);
    }
}
