//! Values on their way in: spellings, errors and parameters, as psql took or refused them.

use super::*;
use arrow::datatypes::{IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;

const MICROS: TimeUnit = TimeUnit::Microsecond;

fn zoned() -> DataType {
    DataType::Timestamp(MICROS, Some("UTC".into()))
}

/// Code, message and detail of the error that reading the text gives.
fn error(text: &str, data_type: &DataType) -> (String, String, String) {
    let error = parse_text(text, data_type, &EncodeSettings::default()).unwrap_err();
    let detail = error.get_detail().unwrap_or_default().to_string();
    (error.code().code().to_string(), error.message().to_string(), detail)
}

/// Reads each text in New York and expects what psql showed.
fn check(data_type: &DataType, cases: &[(&str, &str)]) {
    let settings = settings("America/New_York");
    for (text, expected) in cases {
        let value = parse_text(text, data_type, &settings);
        let array = value.unwrap_or_else(|e| panic!("{text}: {e}")).to_array().unwrap();
        assert_eq!(text_value(&array, 0, &settings).unwrap(), *expected, "{text}");
    }
}

#[test]
fn errors_are_those_of_postgres() {
    for (text, data_type, code, message) in [
        ("abc", DataType::Int32, "22P02", "invalid input syntax for type integer: \"abc\""),
        (
            "99999999999",
            DataType::Int32,
            "22003",
            "value \"99999999999\" is out of range for type integer",
        ),
        (
            "99999999999999999999",
            DataType::Int64,
            "22003",
            "value \"99999999999999999999\" is out of range for type bigint",
        ),
        ("x", DataType::Int16, "22P02", "invalid input syntax for type smallint: \"x\""),
        ("40000", DataType::Int16, "22003", "value \"40000\" is out of range for type smallint"),
        ("", DataType::Int32, "22P02", "invalid input syntax for type integer: \"\""),
        ("1 2", DataType::Int32, "22P02", "invalid input syntax for type integer: \"1 2\""),
        (
            "1e400",
            DataType::Float64,
            "22003",
            "\"1e400\" is out of range for type double precision",
        ),
        (
            "1e-400",
            DataType::Float64,
            "22003",
            "\"1e-400\" is out of range for type double precision",
        ),
        ("1e40", DataType::Float32, "22003", "\"1e40\" is out of range for type real"),
        (
            "abc",
            DataType::Float64,
            "22P02",
            "invalid input syntax for type double precision: \"abc\"",
        ),
        ("maybe", DataType::Boolean, "22P02", "invalid input syntax for type boolean: \"maybe\""),
        ("o", DataType::Boolean, "22P02", "invalid input syntax for type boolean: \"o\""),
        ("\\x0g", DataType::Binary, "22023", "invalid hexadecimal digit: \"g\""),
        ("\\x012", DataType::Binary, "22023", "invalid hexadecimal data: odd number of digits"),
        ("a\\9", DataType::Binary, "22P02", "invalid input syntax for type bytea"),
        ("abc", DataType::Date32, "22007", "invalid input syntax for type date: \"abc\""),
        ("", DataType::Date32, "22007", "invalid input syntax for type date: \"\""),
        ("Monday", DataType::Date32, "22007", "invalid input syntax for type date: \"Monday\""),
        ("2020", DataType::Date32, "22007", "invalid input syntax for type date: \"2020\""),
        ("2020-01", DataType::Date32, "22007", "invalid input syntax for type date: \"2020-01\""),
        (
            "2020-13-45",
            DataType::Date32,
            "22008",
            "date/time field value out of range: \"2020-13-45\"",
        ),
        (
            "2020-02-30",
            DataType::Date32,
            "22008",
            "date/time field value out of range: \"2020-02-30\"",
        ),
        ("99999999-01-01", DataType::Date32, "22008", "date out of range: \"99999999-01-01\""),
        (
            "0000-01-01",
            DataType::Date32,
            "22008",
            "date/time field value out of range: \"0000-01-01\"",
        ),
        (
            "2020-01-01 25:00:00",
            DataType::Timestamp(MICROS, None),
            "22008",
            "date/time field value out of range: \"2020-01-01 25:00:00\"",
        ),
        (
            "2020-01-01 13:00 PM",
            DataType::Timestamp(MICROS, None),
            "22008",
            "date/time field value out of range: \"2020-01-01 13:00 PM\"",
        ),
        (
            "300000-01-01",
            DataType::Timestamp(MICROS, None),
            "22008",
            "timestamp out of range: \"300000-01-01\"",
        ),
        (
            "2020-01-01 xx",
            DataType::Timestamp(MICROS, None),
            "22007",
            "invalid input syntax for type timestamp: \"2020-01-01 xx\"",
        ),
        (
            "2020-01-01 12",
            DataType::Timestamp(MICROS, None),
            "22007",
            "invalid input syntax for type timestamp: \"2020-01-01 12\"",
        ),
        (
            "12:00",
            DataType::Timestamp(MICROS, None),
            "22007",
            "invalid input syntax for type timestamp: \"12:00\"",
        ),
        ("2020-01-01 12:00 Foo/Bar", zoned(), "22023", "time zone \"foo/bar\" not recognized"),
        (
            "abc",
            zoned(),
            "22007",
            "invalid input syntax for type timestamp with time zone: \"abc\"",
        ),
        (
            "25:00",
            DataType::Time64(MICROS),
            "22008",
            "date/time field value out of range: \"25:00\"",
        ),
        ("abc", DataType::Time64(MICROS), "22007", "invalid input syntax for type time: \"abc\""),
    ] {
        let (actual_code, actual, _) = error(text, &data_type);
        assert_eq!((actual_code.as_str(), actual.as_str()), (code, message));
    }
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    for text in ["abc", "1 foo", "", "1 day 2 days", "1 1"] {
        let expected = format!("invalid input syntax for type interval: \"{text}\"");
        assert_eq!(error(text, &interval).1, expected);
    }
    assert_eq!(
        error("9999999999 years", &interval).1,
        "interval field value out of range: \"9999999999 years\""
    );
    let hint = parse_text("13/5/2020", &DataType::Date32, &EncodeSettings::default())
        .unwrap_err()
        .get_hint()
        .map(str::to_string);
    assert_eq!(hint.as_deref(), Some("Perhaps you need a different \"datestyle\" setting."));
}

#[test]
fn numeric_rounds_half_away_and_overflows_as_postgres() {
    let plain = EncodeSettings::default();
    for (text, p, s, expected) in [
        ("123.456", 5, 2, "123.46"),
        ("1e3", 6, 2, "1000.00"),
        ("-0.005", 5, 2, "-0.01"),
        ("0.0049999", 5, 2, "0.00"),
        ("1e5", 6, -2, "100000"),
        (" +.5 ", 3, 1, "0.5"),
        ("1.", 3, 1, "1.0"),
        ("00000000000000000000000000000000000000000001", 3, 0, "1"),
        ("1e-50", 3, 1, "0.0"),
        ("0e999", 3, 1, "0.0"),
    ] {
        let value = parse_text(text, &DataType::Decimal128(p, s), &plain).unwrap();
        assert_eq!(text_value(&value.to_array().unwrap(), 0, &plain).unwrap(), expected, "{text}");
    }
    for (text, p, s, detail) in [
        (
            "1234.5",
            5,
            2,
            "A field with precision 5, scale 2 must round to an absolute value less than 10^3.",
        ),
        (
            "0.999",
            2,
            2,
            "A field with precision 2, scale 2 must round to an absolute value less than 1.",
        ),
        ("inf", 5, 2, "A field with precision 5, scale 2 cannot hold an infinite value."),
        (
            "1e999999",
            5,
            2,
            "A field with precision 5, scale 2 must round to an absolute value less than 10^3.",
        ),
    ] {
        let (code, message, actual) = error(text, &DataType::Decimal128(p, s));
        let expected = ("22003", "numeric field overflow", detail);
        assert_eq!((code.as_str(), message.as_str(), actual.as_str()), expected);
    }
    for text in ["abc", "", "1.2.3", "1e", "e5", "--1", "1 2", "."] {
        let expected = format!("invalid input syntax for type numeric: \"{text}\"");
        assert_eq!(error(text, &DataType::Decimal128(5, 2)).1, expected);
    }
}

#[test]
fn spellings_of_numbers_and_booleans() {
    check(&DataType::Int32, &[(" 12 ", "12"), ("+5", "5"), ("-2147483648", "-2147483648")]);
    check(&DataType::Int64, &[("-9223372036854775808", "-9223372036854775808")]);
    check(
        &DataType::Float64,
        &[
            (" 1.5 ", "1.5"),
            (".5", "0.5"),
            ("1.", "1"),
            ("inf", "Infinity"),
            ("-infinity", "-Infinity"),
            ("nan", "NaN"),
        ],
    );
    check(&DataType::Boolean, &[(" T ", "t"), ("of", "f"), ("n", "f"), ("ye", "t"), ("1", "t")]);
    check(&DataType::Binary, &[("\\x 01 02", "\\x0102"), ("a\\\\b\\001", "\\x615c6201")]);
}

#[test]
fn spellings_of_dates() {
    let expected = "2020-01-05";
    let cases: Vec<(&str, &str)> = [
        "2020-1-5",
        "20200105",
        "Jan 5, 2020",
        "5 January 2020",
        "1/5/2020",
        "05-Jan-2020",
        "2020-Jan-05",
        "200105",
        "1/5/20",
        "2020/01/05",
        "2020-01-05T10:11:12Z",
    ]
    .into_iter()
    .map(|text| (text, expected))
    .collect();
    check(&DataType::Date32, &cases);
    check(&DataType::Date32, &[("Jan 5 44 BC", "0044-01-05 BC"), ("epoch", "1970-01-01")]);
}

#[test]
fn spellings_of_timestamps() {
    check(
        &zoned(),
        &[
            ("2020-01-01 12:00", "2020-01-01 12:00:00-05"),
            ("2020-01-01T12:00:00Z", "2020-01-01 07:00:00-05"),
            ("2020-01-01 12:00:00 +0530", "2020-01-01 01:30:00-05"),
            ("2020-01-01 12:00:00+05:30", "2020-01-01 01:30:00-05"),
            ("2020-01-01 12:00:00 Europe/Berlin", "2020-01-01 06:00:00-05"),
            ("2020-01-01 12:00:00 PST", "2020-01-01 15:00:00-05"),
            // The hour that is skipped in spring, and the one that comes twice in autumn.
            ("2020-03-08 02:30", "2020-03-08 03:30:00-04"),
            ("2020-11-01 01:30", "2020-11-01 01:30:00-05"),
            ("2020-01-01 4:05 PM", "2020-01-01 16:05:00-05"),
            ("Wed Jan 01 07:37:16 1997 PST", "1997-01-01 10:37:16-05"),
        ],
    );
    check(
        &DataType::Timestamp(MICROS, None),
        &[
            ("2020-01-01 04:05:06.789 AM", "2020-01-01 04:05:06.789"),
            ("20200101T040506", "2020-01-01 04:05:06"),
            ("2020-01-01 040506", "2020-01-01 04:05:06"),
            ("2020-01-01 12:00:60", "2020-01-01 12:01:00"),
            ("2020-01-01 24:00", "2020-01-02 00:00:00"),
            ("2020-01-01 12:00:00.1234567", "2020-01-01 12:00:00.123457"),
            ("2020-01-01 12:00:00.9999999", "2020-01-01 12:00:01"),
            ("Wed Jan 1 12:00:00 2020", "2020-01-01 12:00:00"),
            ("2020-01-01 12:00:00+05", "2020-01-01 12:00:00"),
        ],
    );
    check(
        &DataType::Time64(MICROS),
        &[
            ("12:30", "12:30:00"),
            ("04:05:06.7", "04:05:06.7"),
            ("040506", "04:05:06"),
            ("0405", "04:05:00"),
            ("4:05 PM", "16:05:00"),
            ("12:05 AM", "00:05:00"),
            ("2020-01-01 04:05", "04:05:00"),
            ("04:05:06-08", "04:05:06"),
            ("23:59:60", "24:00:00"),
        ],
    );
}

#[test]
fn spellings_of_intervals() {
    check(
        &DataType::Interval(IntervalUnit::MonthDayNano),
        &[
            ("1 day", "1 day"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 months", "1 mon 15 days"),
            ("1.25 years", "1 year 3 mons"),
            ("1 year 2 months ago", "-1 years -2 mons"),
            ("@ 1 minute", "00:01:00"),
            ("1-2", "1 year 2 mons"),
            ("3 4:05:06", "3 days 04:05:06"),
            ("P1Y2M3DT4H5M6.5S", "1 year 2 mons 3 days 04:05:06.5"),
            ("PT1H", "01:00:00"),
            ("5", "00:00:05"),
            ("1h 30m", "01:30:00"),
            ("-1 day +02:00", "-1 days +02:00:00"),
            ("1 week", "7 days"),
            ("2 decades", "20 years"),
            ("1.5 weeks", "10 days 12:00:00"),
            ("100 ms", "00:00:00.1"),
            ("1d", "1 day"),
            ("1 mon 1.5 day", "1 mon 1 day 12:00:00"),
            ("04:05", "04:05:00"),
            ("1:02:03.5", "01:02:03.5"),
            ("0.1 mon", "3 days"),
            ("-1-2", "-1 years -2 mons"),
            ("P1W", "7 days"),
            ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("-04:05", "-04:05:00"),
            ("1 year -2 mons", "10 mons"),
            ("-1.5 days", "-1 days -12:00:00"),
            ("1 us", "00:00:00.000001"),
            ("10:20 ago", "-10:20:00"),
            ("PT-1.5S", "-00:00:01.5"),
        ],
    );
}

#[test]
fn array_literals() {
    check(
        &list_of(DataType::Utf8),
        &[
            (r#"{a,"b c",NULL,"NULL", d e }"#, r#"{a,"b c",NULL,"NULL","d e"}"#),
            (r#"{"a\"b","c\\d",e\,f}"#, r#"{"a\"b","c\\d","e,f"}"#),
            ("{}", "{}"),
        ],
    );
    check(&list_of(DataType::Int32), &[("{ 1 , 2 }", "{1,2}"), ("[2:3]={1,2}", "{1,2}")]);
    for (text, detail) in [
        ("{1,2", "Unexpected end of input."),
        ("1,2", "Array value must start with \"{\" or dimension information."),
        ("{1,,2}", "Unexpected \",\" character."),
        ("{1,2}x", "Junk after closing right brace."),
        ("{{1,2},{3}}", "Multidimensional arrays must have sub-arrays with matching dimensions."),
        ("{\"a\"b}", "Unexpected array element."),
        ("{a\"b\"}", "Unexpected array element."),
        ("{{}}", "Unexpected \"}\" character."),
        ("{{1},2}", "Unexpected array element."),
        ("{1,{2}}", "Unexpected \"{\" character."),
        ("{1}}", "Junk after closing right brace."),
    ] {
        let (code, message, actual) = error(text, &list_of(DataType::Int32));
        let expected = format!("malformed array literal: \"{text}\"");
        assert_eq!((code.as_str(), message, actual.as_str()), ("22P02", expected, detail));
    }
    assert_eq!(
        error("{1,abc}", &list_of(DataType::Int32)).1,
        "invalid input syntax for type integer: \"abc\""
    );
}

fn text_parameter(text: &str, ty: PgType) -> ScalarValue {
    let settings = settings("America/New_York");
    decode_parameter(Some(text.as_bytes()), ty.oid(), Format::Text, &settings).unwrap()
}

fn binary_parameter(hex: &str, ty: PgType) -> crate::error::Result<ScalarValue> {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    decode_parameter(Some(&bytes), ty.oid(), Format::Binary, &EncodeSettings::default())
}

#[test]
fn parameters_in_text() {
    assert_eq!(text_parameter("7", PgType::Int4), ScalarValue::Int32(Some(7)));
    assert_eq!(text_parameter("1.50", PgType::Numeric), ScalarValue::Decimal128(Some(150), 3, 2));
    assert_eq!(text_parameter("1e3", PgType::Numeric), ScalarValue::Decimal128(Some(1000), 4, 0));
    assert_eq!(text_parameter("4294967295", PgType::Oid), ScalarValue::Int64(Some(4294967295)));
    let uuid = "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}";
    assert_eq!(
        text_parameter(uuid, PgType::Uuid),
        ScalarValue::Utf8(Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".into()))
    );
    assert_eq!(
        text_parameter("2020-01-01 00:00", PgType::Timestamptz),
        ScalarValue::TimestampMicrosecond(Some(1_577_854_800_000_000), Some("UTC".into()))
    );
    let array = text_parameter("{1.5,null,22.25}", PgType::NumericArray).to_array().unwrap();
    assert_eq!(text_value(&array, 0, &EncodeSettings::default()).unwrap(), "{1.50,NULL,22.25}");
    let null = decode_parameter(None, 23, Format::Text, &EncodeSettings::default()).unwrap();
    assert_eq!(null, ScalarValue::Int32(None));
    for (text, ty, code) in [
        (&b"abc"[..], PgType::Uuid, "22P02"),
        (b"{\"a\":}", PgType::Json, "22P02"),
        (b"a\xff", PgType::Text, "22021"),
        (b"a\0", PgType::Text, "22021"),
    ] {
        let error =
            decode_parameter(Some(text), ty.oid(), Format::Text, &EncodeSettings::default());
        assert_eq!(error.unwrap_err().code().code(), code, "{ty:?}");
    }
}

#[test]
fn parameters_in_binary() {
    for (hex, ty, expected) in [
        ("01", PgType::Bool, "t"),
        ("fffffffe", PgType::Int4, "-2"),
        ("00001cc4", PgType::Date, "2020-02-29"),
        ("fffffffffff85ee0", PgType::Timestamp, "1999-12-31 23:59:59.5"),
        ("00000000002dc6c00000000200000001", PgType::Interval, "1 mon 2 days 00:00:03"),
        ("0003000100000003000109291a7c", PgType::Numeric, "12345.678"),
        ("0001ffff4000000201f4", PgType::Numeric, "-0.05"),
        ("a0eebc999c0b4ef8bb6d6bb9bd380a11", PgType::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("017b7d", PgType::Jsonb, "{}"),
        ("ffffffff", PgType::Oid, "4294967295"),
        (
            "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
            PgType::Int4Array,
            "{1,NULL,3}",
        ),
        ("000000000000000000000019", PgType::TextArray, "{}"),
    ] {
        let array = binary_parameter(hex, ty).unwrap().to_array().unwrap();
        let actual = text_value(&array, 0, &EncodeSettings::default()).unwrap();
        assert_eq!(actual, expected, "{ty:?}");
    }
    for (hex, ty) in [
        ("00", PgType::Int4),
        ("0000000000", PgType::Int4),
        ("00010000000000002710", PgType::Numeric),
        ("000100000000", PgType::Numeric),
        ("00", PgType::Uuid),
        ("027b7d", PgType::Jsonb),
        ("0000000100000001000000177fffffff00000001", PgType::Int4Array),
    ] {
        let error = binary_parameter(hex, ty).unwrap_err();
        assert_eq!(error.code().code(), "22P03", "{ty:?} {error}");
    }
}
