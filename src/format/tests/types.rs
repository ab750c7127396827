//! Types: OIDs, names and modifiers against `pg_type` and `format_type`.

use super::*;
use arrow::datatypes::{IntervalUnit, TimeUnit};
use std::collections::{HashMap, HashSet};

#[test]
fn oids_and_names_lead_to_their_type() {
    let mut oids = HashSet::new();
    for ty in PgType::ALL {
        assert!(oids.insert(ty.oid()), "{ty:?} shares its OID");
        assert_eq!(PgType::from_oid(ty.oid()), Some(*ty));
        assert_eq!(PgType::from_name(ty.name()), Some(*ty));
        if let Some(array) = ty.array() {
            assert_eq!(array.element(), Some(*ty));
        }
    }
}

/// From `SELECT oid, typname, typlen, typarray FROM pg_type`.
#[test]
fn types_are_those_of_pg_type() {
    let rows = "16|bool|1|1000 17|bytea|-1|1001 18|char|1|1002 19|name|64|1003 20|int8|8|1016 \
        21|int2|2|1005 22|int2vector|-1|1006 23|int4|4|1007 24|regproc|4|1008 25|text|-1|1009 \
        26|oid|4|1028 27|tid|6|1010 28|xid|4|1011 29|cid|4|1012 30|oidvector|-1|1013 \
        114|json|-1|199 700|float4|4|1021 701|float8|8|1022 705|unknown|-2|0 1042|bpchar|-1|1014 \
        1043|varchar|-1|1015 1082|date|4|1182 1083|time|8|1183 1114|timestamp|8|1115 \
        1184|timestamptz|8|1185 1186|interval|16|1187 1700|numeric|-1|1231 \
        2202|regprocedure|4|2207 2205|regclass|4|2210 2206|regtype|4|2211 2249|record|-1|2287 \
        2278|void|4|0 2287|_record|-1|0 2950|uuid|16|2951 3802|jsonb|-1|3807 \
        4089|regnamespace|4|4090 4096|regrole|4|4097";
    for row in rows.split_ascii_whitespace() {
        let [oid, name, len, array] = row.split('|').collect::<Vec<_>>()[..] else { panic!() };
        let ty = PgType::from_oid(oid.parse().unwrap()).unwrap();
        let actual = (ty.name(), ty.typlen().to_string(), ty.array().map_or(0, PgType::oid));
        assert_eq!(actual, (name, len.to_string(), array.parse().unwrap()));
    }
}

/// From `SELECT format_type(oid, typmod)`.
#[test]
fn sql_names_are_those_of_format_type() {
    let numeric_10_2 = ((10 << 16) | 2) + 4;
    for (oid, typmod, expected) in [
        (16, -1, "boolean"),
        (18, -1, "\"char\""),
        (20, -1, "bigint"),
        (21, -1, "smallint"),
        (700, -1, "real"),
        (701, -1, "double precision"),
        (1042, -1, "bpchar"),
        (1042, 14, "character(10)"),
        (1043, -1, "character varying"),
        (1043, 14, "character varying(10)"),
        (1083, -1, "time without time zone"),
        (1083, 3, "time(3) without time zone"),
        (1114, -1, "timestamp without time zone"),
        (1114, 3, "timestamp(3) without time zone"),
        (1184, 6, "timestamp(6) with time zone"),
        (1700, -1, "numeric"),
        (1700, numeric_10_2, "numeric(10,2)"),
        (1700, ((5 << 16) | 0x7fe) + 4, "numeric(5,-2)"),
        (1007, -1, "integer[]"),
        (1015, 14, "character varying(10)[]"),
        (1231, numeric_10_2, "numeric(10,2)[]"),
        (1002, -1, "\"char\"[]"),
        (22, -1, "int2vector"),
    ] {
        assert_eq!(format_type(PgType::from_oid(oid).unwrap(), typmod), expected);
    }
}

#[test]
fn arrow_types_have_their_postgres_types() {
    let micros = TimeUnit::Microsecond;
    for (arrow, expected) in [
        (DataType::UInt8, "smallint"),
        (DataType::UInt16, "integer"),
        (DataType::UInt32, "bigint"),
        (DataType::UInt64, "numeric"),
        (DataType::Decimal128(10, 2), "numeric(10,2)"),
        (DataType::Utf8View, "text"),
        (DataType::Timestamp(micros, None), "timestamp without time zone"),
        (DataType::Timestamp(micros, Some("UTC".into())), "timestamp with time zone"),
        (DataType::Interval(IntervalUnit::YearMonth), "interval"),
        (list_of(list_of(DataType::Int32)), "integer[]"),
        (DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into()), "json"),
        (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "text"),
        (DataType::Null, "text"),
    ] {
        assert_eq!(sql_name(&arrow), expected);
    }
}

#[test]
fn metadata_replaces_type_and_modifier() {
    let with = |name: &str, typmod: &str| {
        Field::new("c", DataType::Utf8, true).with_metadata(HashMap::from([
            (PG_TYPE_KEY.to_string(), name.to_string()),
            (TYPMOD_KEY.to_string(), typmod.to_string()),
        ]))
    };
    assert_eq!(column_type(&with("varchar", "14")), ColumnType { ty: PgType::Varchar, typmod: 14 });
    // A name that is not known leaves the type of the data.
    assert_eq!(pg_type_of(&with("hstore", "")), PgType::Text);
}

#[test]
fn zones_are_found_in_any_case_and_by_hours() {
    assert_eq!(SessionZone::parse("asia/kolkata").unwrap().name(), "Asia/Kolkata");
    assert_eq!(SessionZone::parse("utc").unwrap().name(), "UTC");
    let five = SessionZone::parse("5.5").unwrap();
    assert_eq!((five.name(), five.offset_at(0)), ("<+05:30>-05:30", 19_800));
    assert_eq!(SessionZone::parse("-3").unwrap().name(), "<-03>+03");
    assert_eq!(SessionZone::parse("<-03>+03").unwrap().offset_at(0), -10_800);
    assert_eq!(SessionZone::parse("0").unwrap().name(), "<+00>-00");
    let posix = SessionZone::parse("utc+3").unwrap();
    assert_eq!((posix.name(), posix.offset_at(0)), ("UTC+3", -10_800));
    assert_eq!(SessionZone::parse("+3").unwrap().offset_at(0), 10_800);
    assert_eq!(SessionZone::at("+03").unwrap().offset_at(0), -10_800);
    assert_eq!(SessionZone::at("pst").unwrap().offset_at(0), -28_800);
    assert!(SessionZone::parse("PST").is_none() && SessionZone::at("3.5").is_none());
    assert!(SessionZone::parse("Mars/Olympus").is_none());
}
