//! Values on their way out, as psql and the `_send` functions showed them.

use super::*;
use arrow::array::*;
use arrow::datatypes::*;
use std::collections::HashMap;

fn array_of(texts: &[&str], data_type: DataType, settings: &EncodeSettings) -> ArrayRef {
    let mut column = ColumnParser::new(&data_type, settings).unwrap();
    for text in texts {
        column.append_text(text).unwrap();
    }
    column.finish().unwrap()
}

/// Reads each text and expects the text on the right.
fn check(data_type: DataType, settings: &EncodeSettings, cases: &[(&str, &str)]) {
    for (input, expected) in cases {
        let array = array_of(&[input], data_type.clone(), settings);
        assert_eq!(texts(&array, settings), [*expected], "{input}");
    }
}

#[test]
fn float8_is_written_as_by_postgres() {
    let values = vec![
        0.0,
        -0.0,
        1.0,
        42.0,
        0.1,
        1e-4,
        1e-5,
        1e-6,
        123456789012345.0,
        1234567890123456.0,
        1e14,
        1e15,
        1e16,
        1e20,
        1.5e15,
        1.2345e-5,
        0.00012345,
        5e-324,
        f64::MAX,
        123456.789,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        100000.0,
        999999999999999.9,
        0.3,
        1e22,
        1e23,
        -2.5,
    ];
    let expected = "0 -0 1 42 0.1 0.0001 1e-05 1e-06 123456789012345 1.234567890123456e+15 \
        100000000000000 1e+15 1e+16 1e+20 1.5e+15 1.2345e-05 0.00012345 5e-324 \
        1.7976931348623157e+308 123456.789 NaN Infinity -Infinity 100000 999999999999999.9 0.3 \
        1e+22 9.999999999999999e+22 -2.5";
    let array: ArrayRef = Arc::new(Float64Array::from(values));
    assert_eq!(texts(&array, &EncodeSettings::default()).join(" "), expected);
}

#[test]
fn float4_is_written_as_by_postgres() {
    let values = vec![
        0.0,
        1.0,
        1e-4,
        1e-5,
        100000.0,
        1e6,
        1234567.0,
        1e7,
        12345678.0,
        1e8,
        1.5e6,
        16777216.0,
        f32::MAX,
        1e-45,
        0.1,
        999999.0,
        1.2e-5,
    ];
    let expected = "0 1 0.0001 1e-05 100000 1e+06 1.234567e+06 1e+07 1.2345678e+07 1e+08 1.5e+06 \
        1.6777216e+07 3.4028235e+38 1e-45 0.1 999999 1.2e-05";
    let array: ArrayRef = Arc::new(Float32Array::from(values));
    assert_eq!(texts(&array, &EncodeSettings::default()).join(" "), expected);
}

/// Where two texts are equally near the even one is taken, and a power of two has a short way down.
#[test]
fn ties_between_two_texts_are_even() {
    let values = vec![
        2_f32.powi(-12),
        -1_828_085.0 / 8.0,
        5_724_969.0 / 4.0,
        3_970_521.0 / 8.0,
        1_428_305.0 / 8.0,
    ];
    let array: ArrayRef = Arc::new(Float32Array::from(values));
    assert_eq!(
        texts(&array, &EncodeSettings::default()).join(" "),
        "0.00024414062 -228510.62 1.4312422e+06 496315.12 178538.12"
    );
}

#[test]
fn extra_float_digits_of_zero_and_less_round() {
    let at = |digits| EncodeSettings { extra_float_digits: digits, ..EncodeSettings::default() };
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![
        0.1,
        1e15,
        1e14,
        123456789012345678.0,
        1e-5,
        0.1 + 0.2,
        12345.678901234567,
        1e12,
        1e11,
    ]));
    assert_eq!(
        texts(&doubles, &at(0)).join(" "),
        "0.1 1e+15 100000000000000 1.23456789012346e+17 1e-05 0.3 12345.6789012346 1000000000000 \
         100000000000"
    );
    assert_eq!(texts(&doubles, &at(-3))[5..].join(" "), "0.3 12345.6789012 1e+12 100000000000");
    let floats: ArrayRef =
        Arc::new(Float32Array::from(vec![0.1, 1e6, 1e5, 1234567.0, 1e-5, std::f32::consts::PI]));
    assert_eq!(texts(&floats, &at(0)).join(" "), "0.1 1e+06 100000 1.23457e+06 1e-05 3.14159");
    assert_eq!(texts(&floats, &at(-3)).join(" "), "0.1 1e+06 1e+05 1.23e+06 1e-05 3.14");
}

#[test]
fn decimals_keep_their_scale() {
    let decimals = |values: Vec<i128>, p, s| -> Vec<String> {
        let array = Decimal128Array::from(values).with_precision_and_scale(p, s).unwrap();
        texts(&(Arc::new(array) as ArrayRef), &EncodeSettings::default())
    };
    assert_eq!(decimals(vec![1_234_500, -5, 0], 10, 4), ["123.4500", "-0.0005", "0.0000"]);
    let wide = 99_999_999_999_999_999_999_999_999_999_999_999_999;
    assert_eq!(
        decimals(vec![wide, -wide], 38, 0),
        ["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"]
    );
    assert_eq!(
        decimals(vec![wide, 1], 38, 38),
        ["0.99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001"]
    );
    assert_eq!(
        decimals(vec![10_i128.pow(19), 10_i128.pow(20) + 7], 38, 3).join(" "),
        "10000000000000000.000 100000000000000000.007"
    );
    assert_eq!(decimals(vec![12346, 0], 5, -2), ["1234600", "0"]);
    let wider = Decimal256Array::from(vec![i256::from_i128(wide).wrapping_mul(i256::from(100))])
        .with_precision_and_scale(40, 2)
        .unwrap();
    assert_eq!(
        texts(&(Arc::new(wider) as ArrayRef), &EncodeSettings::default()),
        ["99999999999999999999999999999999999999.00"]
    );
}

#[test]
fn dates_and_timestamps_before_christ_and_after_9999() {
    let plain = EncodeSettings::default();
    check(
        DataType::Date32,
        &plain,
        &[
            ("0001-01-01", "0001-01-01"),
            ("0001-12-31 BC", "0001-12-31 BC"),
            ("12345-01-01", "12345-01-01"),
        ],
    );
    check(
        DataType::Timestamp(TimeUnit::Microsecond, None),
        &plain,
        &[
            ("4713-01-01 BC", "4713-01-01 00:00:00 BC"),
            ("2020-01-01 01:02:03.1", "2020-01-01 01:02:03.1"),
            ("2020-01-01 01:02:03.123456", "2020-01-01 01:02:03.123456"),
            ("2020-01-01 01:02:03.000001", "2020-01-01 01:02:03.000001"),
            ("2020-01-01 24:00:00", "2020-01-02 00:00:00"),
            ("0044-03-15 12:00:00.5 BC", "0044-03-15 12:00:00.5 BC"),
        ],
    );
}

#[test]
fn timestamptz_is_shown_in_the_session_zone() {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (zone, cases) in [
        ("UTC", vec![("2020-01-01 01:02:03.1Z", "2020-01-01 01:02:03.1+00")]),
        ("America/St_Johns", vec![("2020-01-01 01:02:03.1Z", "2019-12-31 21:32:03.1-03:30")]),
        (
            "Asia/Kolkata",
            vec![
                ("2020-01-01 01:02:03.1Z", "2020-01-01 06:32:03.1+05:30"),
                ("0044-03-15 12:00:00.5 BC", "0044-03-15 12:00:00.5+05:53:28 BC"),
            ],
        ),
        (
            "America/New_York",
            vec![
                ("2020-07-01 01:02:03.1Z", "2020-06-30 21:02:03.1-04"),
                // Far beyond the years that the time zone database spells out.
                ("2599-10-18 13:15:19.85442Z", "2599-10-18 09:15:19.85442-04"),
                ("7552-08-12 00:57:13.563049Z", "7552-08-11 20:57:13.563049-04"),
                ("2020-01-01 01:02:03.1Z", "2019-12-31 20:02:03.1-05"),
                ("1850-01-01 00:00:00Z", "1849-12-31 19:03:58-04:56:02"),
                ("0001-01-01 00:00:00Z", "0001-12-31 19:03:58-04:56:02 BC"),
            ],
        ),
    ] {
        check(zoned.clone(), &settings(zone), &cases);
    }
}

#[test]
fn timestamps_of_all_units_are_the_same() {
    let plain = EncodeSettings::default();
    let arrays: [ArrayRef; 4] = [
        Arc::new(TimestampSecondArray::from(vec![-1])),
        Arc::new(TimestampMillisecondArray::from(vec![-1000])),
        Arc::new(TimestampMicrosecondArray::from(vec![-1_000_000])),
        // Nanoseconds are cut towards the past.
        Arc::new(TimestampNanosecondArray::from(vec![-999_999_999])),
    ];
    let actual: Vec<String> = arrays.iter().flat_map(|a| texts(a, &plain)).collect();
    assert_eq!(actual, ["1969-12-31 23:59:59"; 4]);
}

#[test]
fn intervals_are_in_postgres_style() {
    let intervals = [
        ("1 year 2 mons 3 days 04:05:06.789", "1 year 2 mons 3 days 04:05:06.789"),
        ("-1 year -2 mons +3 days -04:05:06", "-1 years -2 mons +3 days -04:05:06"),
        ("0", "00:00:00"),
        ("1 mon", "1 mon"),
        ("-1 mon", "-1 mons"),
        ("1 mon -1 day", "1 mon -1 days"),
        ("-00:00:00.000001", "-00:00:00.000001"),
        ("5 mons -4 hours", "5 mons -04:00:00"),
        ("1000000 hours", "1000000:00:00"),
        ("-1 mon 4 hours", "-1 mons +04:00:00"),
        ("-1 day 00:00:01", "-1 days +00:00:01"),
        ("1 mon 1 day -00:00:01", "1 mon 1 day -00:00:01"),
    ];
    let data_type = DataType::Interval(IntervalUnit::MonthDayNano);
    check(data_type, &EncodeSettings::default(), &intervals);
    let others: [ArrayRef; 3] = [
        Arc::new(IntervalYearMonthArray::from(vec![14])),
        Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 1500)])),
        Arc::new(DurationNanosecondArray::from(vec![1_500_000_000])),
    ];
    let actual: Vec<String> =
        others.iter().flat_map(|array| texts(array, &EncodeSettings::default())).collect();
    assert_eq!(actual, ["1 year 2 mons", "1 day 00:00:01.5", "00:00:01.5"]);
}

#[test]
fn arrays_are_quoted_where_needed() {
    let plain = EncodeSettings::default();
    let text = r#"{"a b","","NULL","null","a\"b","a\\b","{x}","a,b","a	b",plain," lead",é,NULL}"#;
    check(list_of(DataType::Utf8), &plain, &[(text, text), ("{}", "{}")]);
    check(list_of(list_of(DataType::Int32)), &plain, &[("{{1,2},{3,null}}", "{{1,2},{3,NULL}}")]);
    check(list_of(DataType::Binary), &plain, &[(r#"{"\\x01ff"}"#, r#"{"\\x01ff"}"#)]);
    check(list_of(DataType::Boolean), &plain, &[("{true,f}", "{t,f}")]);
    check(list_of(DataType::Date32), &plain, &[("{2020-01-01}", "{2020-01-01}")]);
    check(
        list_of(DataType::Timestamp(TimeUnit::Microsecond, None)),
        &plain,
        &[("{2020-01-01 00:00:00}", "{\"2020-01-01 00:00:00\"}")],
    );
    check(
        list_of(DataType::Interval(IntervalUnit::MonthDayNano)),
        &plain,
        &[("{1 mon 1 day,1 hour}", "{\"1 mon 1 day\",01:00:00}")],
    );
}

#[test]
fn bytea_in_hex_and_escape() {
    let array: ArrayRef = Arc::new(BinaryArray::from(vec![b"a\\b\0\x7f\x80'x".as_slice()]));
    assert_eq!(texts(&array, &EncodeSettings::default()), ["\\x615c62007f802778"]);
    let escape = EncodeSettings { bytea_output: ByteaOutput::Escape, ..EncodeSettings::default() };
    assert_eq!(texts(&array, &escape), [r"a\\b\000\177\200'x"]);
}

#[test]
fn structs_are_json_as_by_to_json() {
    let fields: Vec<(Arc<Field>, ArrayRef)> = [
        ("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("b", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("c", Arc::new(StringArray::from(vec!["q\"\\\n\u{1}\t"]))),
        ("d", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("f", Arc::new(TimestampMicrosecondArray::from(vec![1_577_836_800_500_000]))),
        (
            "g",
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_577_836_800_000_000]).with_timezone("UTC"),
            ),
        ),
        ("i", Arc::new(BooleanArray::from(vec![true]))),
        ("j", Arc::new(Date32Array::from(vec![18_262]))),
        ("l", Arc::new(BinaryArray::from(vec![b"\x01".as_slice()]))),
        ("m", Arc::new(Float64Array::from(vec![1e20]))),
    ]
    .into_iter()
    .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array))
    .collect();
    let array: ArrayRef = Arc::new(StructArray::from(fields));
    assert_eq!(
        texts(&array, &EncodeSettings::default()),
        [concat!(
            r#"{"a":1,"b":null,"c":"q\"\\\n\u0001\t","d":"NaN","f":"2020-01-01T00:00:00.5","#,
            r#""g":"2020-01-01T00:00:00+00:00","i":true,"j":"2020-01-01","l":"\\x01","m":1e+20}"#
        )]
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(7);
    map.append(true).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    assert_eq!(texts(&map, &EncodeSettings::default()), [r#"{"k":7}"#]);
}

#[test]
fn every_container_of_text_gives_the_same() {
    let plain = Arc::new(StringArray::from(vec![Some("a"), None, Some("bc")])) as ArrayRef;
    for data_type in [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
        DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8)),
    ] {
        let array = arrow::compute::cast(&plain, &data_type).unwrap();
        assert_eq!(texts(&array, &EncodeSettings::default()), ["a", "NULL", "bc"], "{data_type}");
    }
    let runs = RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["a", "b"]));
    let array: ArrayRef = Arc::new(runs.unwrap());
    assert_eq!(texts(&array, &EncodeSettings::default()), ["a", "a", "b"]);
    let null: ArrayRef = Arc::new(NullArray::new(1));
    assert_eq!(texts(&null, &EncodeSettings::default()), ["NULL"]);
}

fn numeric(text: &str, scale: i8) -> String {
    let value = parse_text(text, &DataType::Decimal128(38, scale), &EncodeSettings::default());
    let array = value.unwrap().to_array().unwrap();
    let field = Field::new("c", array.data_type().clone(), true);
    hex(binaries(field, array).unwrap()[0].as_ref().unwrap())
}

/// From `encode(numeric_send(...), 'hex')`.
#[test]
fn numeric_in_binary() {
    for (text, scale, expected) in [
        ("0", 0, "0000000000000000"),
        ("0.00", 2, "0000000000000002"),
        ("1", 0, "00010000000000000001"),
        ("-1", 0, "00010000400000000001"),
        ("12345.678", 3, "0003000100000003000109291a7c"),
        ("0.0001", 4, "0001ffff000000040001"),
        ("-0.05", 2, "0001ffff4000000201f4"),
        ("10000", 0, "00010001000000000001"),
        (
            "99999999999999999999999999999999999999",
            0,
            "000a0009000000000063270f270f270f270f270f270f270f270f270f",
        ),
        ("0.00000000000000000000000000000000000001", 38, "0001fff6000000260064"),
        ("1200", 0, "000100000000000004b0"),
        ("1234567.8", 1, "0003000100000001007b11d71f40"),
        ("100000000", 0, "00010002000000000001"),
    ] {
        assert_eq!(numeric(text, scale), expected, "{text}");
    }
}

/// From the `_send` functions.
#[test]
fn other_types_in_binary() {
    let plain = EncodeSettings::default();
    let micros = TimeUnit::Microsecond;
    for (data_type, text, expected) in [
        (DataType::Date32, "2020-02-29", "00001cc4"),
        (DataType::Timestamp(micros, None), "1999-12-31 23:59:59.5", "fffffffffff85ee0"),
        (DataType::Timestamp(micros, Some("UTC".into())), "2020-01-01Z", "00023e0786c26000"),
        (
            DataType::Interval(IntervalUnit::MonthDayNano),
            "1 mon 2 days 00:00:03",
            "00000000002dc6c00000000200000001",
        ),
        (DataType::Time64(micros), "01:02:03", "00000000dde878c0"),
        (
            list_of(DataType::Int32),
            "{1,null,3}",
            "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
        ),
        (
            list_of(list_of(DataType::Int64)),
            "{{1,2},{3,4}}",
            "00000002000000000000001400000002000000010000000200000001000000080000000000000001\
             000000080000000000000002000000080000000000000003000000080000000000000004",
        ),
        (list_of(DataType::Utf8), "{}", "000000000000000000000019"),
        (
            list_of(DataType::Utf8),
            "{a,bc}",
            "00000001000000000000001900000002000000010000000161000000026263",
        ),
        (DataType::Float32, "1.5", "3fc00000"),
        (DataType::Float64, "-2.25", "c002000000000000"),
        (DataType::Boolean, "t", "01"),
        (DataType::Int16, "-2", "fffe"),
    ] {
        let array = array_of(&[text], data_type.clone(), &plain);
        let bytes = binaries(Field::new("c", data_type, true), array).unwrap();
        assert_eq!(hex(bytes[0].as_ref().unwrap()), expected, "{text}");
    }
}

fn typed(name: &str, data_type: DataType) -> Field {
    let metadata = HashMap::from([(PG_TYPE_KEY.to_string(), name.to_string())]);
    Field::new("c", data_type, true).with_metadata(metadata)
}

#[test]
fn metadata_decides_the_binary_form() {
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let int = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    for (name, array, expected) in [
        ("uuid", text(uuid), "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        ("jsonb", text("{}"), "017b7d"),
        ("json", text("{}"), "7b7d"),
        ("char", text("r"), "72"),
        ("oid", int(4_294_967_295), "ffffffff"),
        ("regclass", int(7), "00000007"),
        ("int4", int(-1), "ffffffff"),
        ("numeric", int(-1), "00010000400000000001"),
        (
            "int2vector",
            text("1 2"),
            "0000000100000000000000150000000200000000000000020001000000020002",
        ),
        (
            "oidvector",
            text("1 2"),
            "00000001000000000000001a000000020000000000000004000000010000000400000002",
        ),
    ] {
        let bytes = binaries(typed(name, array.data_type().clone()), array).unwrap();
        assert_eq!(hex(bytes[0].as_ref().unwrap()), expected, "{name}");
    }
    let list = array_of(&["{1,2}"], list_of(DataType::Int16), &EncodeSettings::default());
    let bytes = binaries(typed("int2vector", list.data_type().clone()), list).unwrap();
    assert_eq!(
        hex(bytes[0].as_ref().unwrap()),
        "0000000100000000000000150000000200000000000000020001000000020002"
    );
}

#[test]
fn what_has_no_binary_form_is_an_error_and_no_panic() {
    let text = Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    for name in ["regclass", "uuid", "date", "record", "oidvector"] {
        let error = binaries(typed(name, DataType::Utf8), Arc::clone(&text)).unwrap_err();
        assert_eq!(error.code().code(), "0A000", "{name}");
    }
    let mut lists = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    for size in [1, 2] {
        for i in 0..size {
            lists.values().values().append_value(i);
        }
        lists.values().append(true);
    }
    lists.append(true);
    let ragged = Arc::new(lists.finish()) as ArrayRef;
    assert_eq!(texts(&ragged, &EncodeSettings::default()), ["{{0},{0,1}}"]);
    let field = Field::new("c", ragged.data_type().clone(), true);
    assert_eq!(binaries(field, ragged).unwrap_err().code().code(), "0A000");
    let large = Arc::new(Int64Array::from(vec![1 << 40])) as ArrayRef;
    let error = binaries(typed("int4", DataType::Int64), large).unwrap_err();
    assert_eq!(error.code().code(), "22003");
}

#[test]
fn rows_are_framed_and_nulls_have_no_length() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut encoder =
        RowEncoder::new(&schema, &[Format::Binary, Format::Text], &EncodeSettings::default())
            .unwrap();
    let mut out = BytesMut::new();
    encoder.encode_batch(&batch, 1..3, Framing::DataRow, &mut out).unwrap();
    let rows = data_rows(&out);
    assert_eq!(rows[0], [None, Some(b"b".to_vec())]);
    assert_eq!(rows[1], [Some(vec![0, 0, 0, 3]), None]);
    out.clear();
    // As psql -c "copy (values (1::int4,'a'::text),(null,'b')) to stdout (format binary)" shows it.
    encoder.set_copy_messages(false);
    encoder.encode_batch(&batch, 0..2, Framing::CopyBinary, &mut out).unwrap();
    encoder.finish_copy(Framing::CopyBinary, &mut out).unwrap();
    assert_eq!(
        hex(&out),
        "5047434f50590aff0d0a0000000000000000000002000000040000000100\
        000001610002ffffffff0000000162ffff"
    );
    out.clear();
    encoder.set_copy_messages(true);
    let text = Framing::CopyText { delimiter: b'\t', null: "\\N" };
    let next = encoder.encode_upto(&batch, 0..3, text, 1, &mut out).unwrap();
    assert_eq!((next, &out[..]), (1, &b"d\0\0\0\x081\ta\n"[..]));
}

#[test]
fn a_wrong_number_of_formats_is_refused() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    let error =
        RowEncoder::new(&schema, &[Format::Text; 2], &EncodeSettings::default()).unwrap_err();
    assert_eq!(error.code().code(), "08P01");
}

/// A batch may be a slice of larger arrays, and rows a slice of the batch.
#[test]
fn slices_of_nested_columns_show_their_own_rows() {
    let plain = EncodeSettings::default();
    let lists = array_of(&["{9}", "{1,2}", "{3,4}", "{5,6}"], list_of(DataType::Int32), &plain);
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let tail = lists.slice(1, 3);
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("l", lists.data_type().clone(), true)),
        Arc::clone(&lists),
    )]);
    let fixed = FixedSizeListArray::new(
        Arc::clone(&item),
        2,
        Arc::new(Int32Array::from(vec![8, 9, 1, 2, 3, 4, 5, 6])),
        None,
    );
    let view = ListViewArray::new(
        item,
        vec![0, 4, 2, 0].into(),
        vec![0, 2, 2, 2].into(),
        Arc::new(Int32Array::from(vec![5, 6, 3, 4, 1, 2])),
        None,
    );
    for (array, expected) in [
        (tail, ["{1,2}", "{3,4}", "{5,6}"]),
        (Arc::new(fixed.slice(1, 3)) as ArrayRef, ["{1,2}", "{3,4}", "{5,6}"]),
        (Arc::new(view.slice(1, 3)), ["{1,2}", "{3,4}", "{5,6}"]),
        (Arc::new(structs.slice(1, 3)), ["{\"l\":[1,2]}", "{\"l\":[3,4]}", "{\"l\":[5,6]}"]),
    ] {
        let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).unwrap();
        let mut encoder = RowEncoder::new(&schema, &[], &plain).unwrap();
        let mut out = BytesMut::new();
        encoder.encode_batch(&batch, 1..3, Framing::DataRow, &mut out).unwrap();
        let values: Vec<String> = data_rows(&out)
            .into_iter()
            .map(|row| String::from_utf8(row[0].clone().unwrap()).unwrap())
            .collect();
        assert_eq!(values, expected[1..]);
    }
}
