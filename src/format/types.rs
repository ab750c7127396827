//! PostgreSQL's types, and which of them an Arrow field is.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// Field metadata key with the name of a [`PgType`] that replaces the one of the Arrow type.
pub const PG_TYPE_KEY: &str = "cenote.pg_type";

/// Field metadata key with the type modifier, as a decimal i32.
pub const TYPMOD_KEY: &str = "cenote.typmod";

macro_rules! pg_types {
    (
        scalars { $($name:ident $oid:literal $text:literal $sql:literal $len:literal
            => $array:ident $array_oid:literal $array_text:literal,)* }
        lone { $($lname:ident $loid:literal $ltext:literal $lsql:literal $llen:literal,)* }
    ) => {
        /// A type of PostgreSQL that this server speaks. Closed: what is not here has no OID.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PgType {
            $(
                #[doc = concat!("`", $text, "`")] $name,
                #[doc = concat!("`", $array_text, "`, an array of `", $text, "`")] $array,
            )*
            $(#[doc = concat!("`", $ltext, "`")] $lname,)*
        }

        impl PgType {
            /// Every type.
            pub const ALL: &'static [PgType] =
                &[$(PgType::$name, PgType::$array,)* $(PgType::$lname,)*];

            /// The object id in `pg_type`.
            #[must_use]
            pub fn oid(self) -> u32 {
                match self {
                    $(Self::$name => $oid, Self::$array => $array_oid,)* $(Self::$lname => $loid,)*
                }
            }

            /// `typname`, such as `int4` or `_int4`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text, Self::$array => $array_text,)*
                    $(Self::$lname => $ltext,)*
                }
            }

            /// The SQL name without a modifier, such as `integer`; of an array, that of its element.
            fn base_sql_name(self) -> &'static str {
                match self {
                    $(Self::$name | Self::$array => $sql,)* $(Self::$lname => $lsql,)*
                }
            }

            /// `typlen`: bytes of a value, -1 for a variable length, -2 for a C string.
            #[must_use]
            pub fn typlen(self) -> i16 {
                match self {
                    $(Self::$name => $len, Self::$array => -1,)* $(Self::$lname => $llen,)*
                }
            }

            /// The type of arrays of this type; none for an array and for pseudo-types.
            #[must_use]
            pub fn array(self) -> Option<PgType> {
                match self { $(Self::$name => Some(Self::$array),)* _ => None }
            }

            /// The element type, if this is an array.
            #[must_use]
            pub fn element(self) -> Option<PgType> {
                match self { $(Self::$array => Some(Self::$name),)* _ => None }
            }

            /// The type with this object id.
            #[must_use]
            pub fn from_oid(oid: u32) -> Option<PgType> {
                match oid {
                    $($oid => Some(Self::$name), $array_oid => Some(Self::$array),)*
                    $($loid => Some(Self::$lname),)*
                    _ => None,
                }
            }

            /// The type with this `typname`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<PgType> {
                match name {
                    $($text => Some(Self::$name), $array_text => Some(Self::$array),)*
                    $($ltext => Some(Self::$lname),)*
                    _ => None,
                }
            }
        }
    };
}

pg_types! {
    scalars {
        Bool 16 "bool" "boolean" 1 => BoolArray 1000 "_bool",
        Bytea 17 "bytea" "bytea" -1 => ByteaArray 1001 "_bytea",
        Char 18 "char" "\"char\"" 1 => CharArray 1002 "_char",
        Name 19 "name" "name" 64 => NameArray 1003 "_name",
        Int8 20 "int8" "bigint" 8 => Int8Array 1016 "_int8",
        Int2 21 "int2" "smallint" 2 => Int2Array 1005 "_int2",
        Int2Vector 22 "int2vector" "int2vector" -1 => Int2VectorArray 1006 "_int2vector",
        Int4 23 "int4" "integer" 4 => Int4Array 1007 "_int4",
        Regproc 24 "regproc" "regproc" 4 => RegprocArray 1008 "_regproc",
        Text 25 "text" "text" -1 => TextArray 1009 "_text",
        Oid 26 "oid" "oid" 4 => OidArray 1028 "_oid",
        Tid 27 "tid" "tid" 6 => TidArray 1010 "_tid",
        Xid 28 "xid" "xid" 4 => XidArray 1011 "_xid",
        Cid 29 "cid" "cid" 4 => CidArray 1012 "_cid",
        OidVector 30 "oidvector" "oidvector" -1 => OidVectorArray 1013 "_oidvector",
        Json 114 "json" "json" -1 => JsonArray 199 "_json",
        Float4 700 "float4" "real" 4 => Float4Array 1021 "_float4",
        Float8 701 "float8" "double precision" 8 => Float8Array 1022 "_float8",
        Bpchar 1042 "bpchar" "bpchar" -1 => BpcharArray 1014 "_bpchar",
        Varchar 1043 "varchar" "character varying" -1 => VarcharArray 1015 "_varchar",
        Date 1082 "date" "date" 4 => DateArray 1182 "_date",
        Time 1083 "time" "time without time zone" 8 => TimeArray 1183 "_time",
        Timestamp 1114 "timestamp" "timestamp without time zone" 8
            => TimestampArray 1115 "_timestamp",
        Timestamptz 1184 "timestamptz" "timestamp with time zone" 8
            => TimestamptzArray 1185 "_timestamptz",
        Interval 1186 "interval" "interval" 16 => IntervalArray 1187 "_interval",
        Numeric 1700 "numeric" "numeric" -1 => NumericArray 1231 "_numeric",
        Regprocedure 2202 "regprocedure" "regprocedure" 4
            => RegprocedureArray 2207 "_regprocedure",
        Regclass 2205 "regclass" "regclass" 4 => RegclassArray 2210 "_regclass",
        Regtype 2206 "regtype" "regtype" 4 => RegtypeArray 2211 "_regtype",
        Record 2249 "record" "record" -1 => RecordArray 2287 "_record",
        Uuid 2950 "uuid" "uuid" 16 => UuidArray 2951 "_uuid",
        Jsonb 3802 "jsonb" "jsonb" -1 => JsonbArray 3807 "_jsonb",
        Regnamespace 4089 "regnamespace" "regnamespace" 4
            => RegnamespaceArray 4090 "_regnamespace",
        Regrole 4096 "regrole" "regrole" 4 => RegroleArray 4097 "_regrole",
    }
    lone {
        Unknown 705 "unknown" "unknown" -2,
        Void 2278 "void" "void" 4,
    }
}

impl PgType {
    /// Whether psql sets values of this type to the right.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::Int2
                | Self::Int4
                | Self::Int8
                | Self::Float4
                | Self::Float8
                | Self::Numeric
                | Self::Oid
                | Self::Xid
                | Self::Cid
        )
    }

    /// Whether the values are text as far as the wire is concerned.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Varchar
                | Self::Bpchar
                | Self::Name
                | Self::Json
                | Self::Unknown
                | Self::Char
        )
    }

    /// Whether the binary form is a four-byte object id.
    pub(crate) fn is_oid(self) -> bool {
        matches!(
            self,
            Self::Oid
                | Self::Xid
                | Self::Cid
                | Self::Regproc
                | Self::Regprocedure
                | Self::Regclass
                | Self::Regtype
                | Self::Regnamespace
                | Self::Regrole
        )
    }
}

/// A type with its modifier, as RowDescription and `pg_attribute` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType {
    /// The type.
    pub ty: PgType,
    /// The type modifier, -1 for none.
    pub typmod: i32,
}

/// The PostgreSQL type of a field: its metadata's, else that of its Arrow type.
pub fn pg_type_of(field: &Field) -> PgType {
    field
        .metadata()
        .get(PG_TYPE_KEY)
        .and_then(|name| PgType::from_name(name))
        .unwrap_or_else(|| pg_type_of_data_type(field.data_type()))
}

/// The type modifier of a field: its metadata's, else precision and scale of a decimal, else -1.
pub fn typmod_of(field: &Field) -> i32 {
    field
        .metadata()
        .get(TYPMOD_KEY)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| typmod_of_data_type(field.data_type()))
}

/// Type and modifier of a field.
pub fn column_type(field: &Field) -> ColumnType {
    ColumnType { ty: pg_type_of(field), typmod: typmod_of(field) }
}

pub(crate) fn pg_type_of_data_type(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => PgType::Int2,
        DataType::Int32 | DataType::UInt16 => PgType::Int4,
        DataType::Int64 | DataType::UInt32 => PgType::Int8,
        DataType::UInt64 => PgType::Numeric,
        DataType::Float16 | DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => PgType::Numeric,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => PgType::Text,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => PgType::Bytea,
        DataType::Date32 | DataType::Date64 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time,
        DataType::Timestamp(_, None) => PgType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PgType::Timestamptz,
        DataType::Interval(_) | DataType::Duration(_) => PgType::Interval,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            let item = pg_type_of(item);
            item.array().unwrap_or(item)
        }
        DataType::Dictionary(_, values) => pg_type_of_data_type(values),
        DataType::RunEndEncoded(_, values) => pg_type_of(values),
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => PgType::Json,
    }
}

fn typmod_of_data_type(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            ((i32::from(*p) << 16) | (i32::from(*s) & 0x7ff)) + VARHDRSZ
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => typmod_of(item),
        DataType::Dictionary(_, values) => typmod_of_data_type(values),
        DataType::RunEndEncoded(_, values) => typmod_of(values),
        _ => -1,
    }
}

/// PostgreSQL counts its four header bytes in the modifiers of varchar and numeric.
const VARHDRSZ: i32 = 4;

/// The Arrow type that a parameter of this type is decoded into; none for an OID that is not known.
///
/// A single numeric parameter takes the precision and scale of its value instead.
pub fn arrow_type_of(oid: u32) -> Option<DataType> {
    let ty = PgType::from_oid(oid)?;
    if let Some(element) = ty.element() {
        let item = Field::new("item", arrow_type_of(element.oid())?, true);
        return Some(DataType::List(Arc::new(item)));
    }
    Some(match ty {
        PgType::Bool => DataType::Boolean,
        PgType::Bytea => DataType::Binary,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Date => DataType::Date32,
        PgType::Time => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::Numeric => DataType::Decimal128(38, 10),
        PgType::Oid | PgType::Xid | PgType::Cid => DataType::Int64,
        PgType::Record | PgType::Void => return None,
        _ => DataType::Utf8,
    })
}

/// The SQL name of an Arrow type, such as `double precision` or `numeric(10,2)`.
pub fn sql_name(data_type: &DataType) -> String {
    format_type(pg_type_of_data_type(data_type), typmod_of_data_type(data_type))
}

/// What `format_type(oid, typmod)` answers, such as `character varying(10)` or `integer[]`.
pub fn format_type(ty: PgType, typmod: i32) -> String {
    let base = ty.base_sql_name();
    let brackets = if ty.element().is_some() { "[]" } else { "" };
    if typmod < 0 {
        return format!("{base}{brackets}");
    }
    let text = match ty.element().unwrap_or(ty) {
        PgType::Varchar if typmod >= VARHDRSZ => format!("{base}({})", typmod - VARHDRSZ),
        PgType::Bpchar if typmod >= VARHDRSZ => format!("character({})", typmod - VARHDRSZ),
        PgType::Numeric if typmod >= VARHDRSZ => {
            let packed = typmod - VARHDRSZ;
            // The scale is an 11-bit signed number.
            let scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
            format!("{base}({},{scale})", (packed >> 16) & 0xffff)
        }
        PgType::Time => format!("time({typmod}) without time zone"),
        PgType::Timestamp => format!("timestamp({typmod}) without time zone"),
        PgType::Timestamptz => format!("timestamp({typmod}) with time zone"),
        _ => base.to_string(),
    };
    format!("{text}{brackets}")
}
