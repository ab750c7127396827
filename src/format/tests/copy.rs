//! COPY in both directions; each input is cut at every place.

use super::*;
use crate::error::{Error, Result};

fn columns(table: &str) -> Vec<(String, DataType)> {
    match table {
        "t" => vec![
            ("a".into(), DataType::Int32),
            ("b".into(), DataType::Utf8),
            ("c".into(), DataType::Date32),
        ],
        _ => vec![("a".into(), DataType::Utf8)],
    }
}

/// Decodes data pushed in the given pieces into `(1,x,) ~ (2,,)`.
fn decode(table: &str, options: &CopyOptions, pieces: &[&[u8]]) -> Result<String> {
    let settings = EncodeSettings::default();
    let mut decoder = CopyDecoder::new(table, columns(table), options.clone(), &settings)?;
    let mut batches = Vec::new();
    for piece in pieces {
        decoder.push(piece)?;
        while let Some(batch) = decoder.take_batch(3) {
            batches.push(batch);
        }
    }
    batches.extend(decoder.finish()?);
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values: Vec<String> = batch
                .columns()
                .iter()
                .map(|array| text_value(array, row, &settings).unwrap_or_else(|| "·".into()))
                .collect();
            rows.push(format!("({})", values.join(",")));
        }
    }
    Ok(rows.join(" ~ "))
}

fn csv() -> CopyOptions {
    CopyOptions::new(CopyFormat::Csv)
}

fn text() -> CopyOptions {
    CopyOptions::new(CopyFormat::Text)
}

/// `code: message [hint] (context)`
fn shown(error: &Error) -> String {
    let hint = error.get_hint().map(|hint| format!(" [{hint}]")).unwrap_or_default();
    let context = error.get_context().unwrap_or_default();
    format!("{}: {}{hint} ({context})", error.code().code(), error.message())
}

/// Checks the result for the data as a whole and cut in two at every place.
fn check(data: &[u8], table: &str, options: &CopyOptions, expected: &str) {
    for at in 0..=data.len() {
        let actual = decode(table, options, &[&data[..at], &data[at..]]);
        let actual = actual.unwrap_or_else(|error| shown(&error));
        assert_eq!(actual, expected, "{:?} cut at {at}", String::from_utf8_lossy(data));
    }
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    let actual = decode(table, options, &bytes).unwrap_or_else(|error| shown(&error));
    assert_eq!(actual, expected, "{:?} byte by byte", String::from_utf8_lossy(data));
}

#[test]
fn text_format() {
    let newline = "22P04: literal newline found in data [Use \"\\n\" to represent newline.]";
    let carriage = "22P04: literal carriage return found in data \
        [Use \"\\r\" to represent carriage return.]";
    for (data, table, expected) in [
        (&b"1\tx\t2020-01-01\n2\t\\N\t\\N\n"[..], "t", "(1,x,2020-01-01) ~ (2,·,·)"),
        (b"1\tx\n", "t", "22P04: missing data for column \"c\" (COPY t, line 1: \"1\tx\")"),
        (
            b"1\tx\t\\N\tz\n",
            "t",
            "22P04: extra data after last expected column (COPY t, line 1: \"1\tx\t\\N\tz\")",
        ),
        (
            b"1\tx\t\\N\nabc\tx\t\\N\n",
            "t",
            "22P02: invalid input syntax for type integer: \"abc\" \
             (COPY t, line 2, column a: \"abc\")",
        ),
        (b"\\x41\\101\\t\\n\\q\\\\\n\\N\nN\\\n\n", "u", "(AA\t\nq\\) ~ (·) ~ (N\n)"),
        (b"a\\\nb\n", "u", "(a\nb)"),
        (b"a\\.\nb\n", "u", "(a) ~ (b)"),
        (b"a\n\\.\nb\n", "u", "(a)"),
        (b"a\n\\.x\n", "u", "22P04: end-of-copy marker corrupt (COPY u, line 2)"),
        (b"a\r\nb\r\n", "u", "(a) ~ (b)"),
        (b"a\rb\r", "u", "(a) ~ (b)"),
        (b"a\r\nb\n", "u", &format!("{newline} (COPY u, line 2)")),
        (b"a\rb\n", "u", &format!("{newline} (COPY u, line 2)")),
        (b"a\nb\r\n", "u", &format!("{carriage} (COPY u, line 2)")),
        (b"a\r\nb\rc\r\n", "u", &format!("{carriage} (COPY u, line 2)")),
        (
            b"a\xff\n",
            "u",
            "22021: invalid byte sequence for encoding \"UTF8\": 0xff (COPY u, line 1)",
        ),
        (
            b"ok\na\xe2\x28\xa1\n",
            "u",
            "22021: invalid byte sequence for encoding \"UTF8\": 0xe2 0x28 0xa1 (COPY u, line 2)",
        ),
        (
            b"a\0b\n",
            "u",
            "22021: invalid byte sequence for encoding \"UTF8\": 0x00 (COPY u, line 1)",
        ),
        (
            b"\\xff\n",
            "u",
            "22021: invalid byte sequence for encoding \"UTF8\": 0xff \
             (COPY u, line 1: \"\\xff\")",
        ),
        (b"\\u\n\\x\n\\xg\n\\8\n", "u", "(u) ~ (x) ~ (xg) ~ (8)"),
        (b"a\\xc3\\xa9\n", "u", "(a\u{e9})"),
        (b"a\\", "u", "(a)"),
        (b"", "u", ""),
        (b"x", "u", "(x)"),
        (b"\xef\xbb\xbfa\n", "u", "(a)"),
    ] {
        check(data, table, &text(), expected);
    }
}

#[test]
fn csv_format() {
    for (data, table, expected) in [
        (
            &b"1,\"a,\"\"b\",2020-01-01\n2,,\n3,\"\",\n4,\"x\ny\",\n5,a\"b,c\"d,\n"[..],
            "t",
            "(1,a,\"b,2020-01-01) ~ (2,·,·) ~ (3,,·) ~ (4,x\ny,·) ~ (5,ab,cd,·)",
        ),
        (b"1,\"abc\n", "t", "22P04: unterminated CSV quoted field (COPY t, line 1: \"1,\"abc\n\")"),
        (b"1,x\n", "t", "22P04: missing data for column \"c\" (COPY t, line 1: \"1,x\")"),
        (
            b"1,x,,\n",
            "t",
            "22P04: extra data after last expected column (COPY t, line 1: \"1,x,,\")",
        ),
        (
            b"1,\"x\ny\",\nz,,\n",
            "t",
            "22P02: invalid input syntax for type integer: \"z\" (COPY t, line 2, column a: \"z\")",
        ),
        (
            b"1,a,\n1,\"x\ny\",\nz,,\n",
            "t",
            "22P02: invalid input syntax for type integer: \"z\" (COPY t, line 4, column a: \"z\")",
        ),
        (b"\n", "u", "(·)"),
        (b"\n", "t", "22P04: missing data for column \"b\" (COPY t, line 1: \"\")"),
        (b"\\.\nx\n", "u", ""),
        (b"\\.x\n\"\\.\"\n", "u", "(\\.x) ~ (\\.)"),
        (
            b"1,x,2020-13-01\n",
            "t",
            "22008: date/time field value out of range: \"2020-13-01\" \
             [Perhaps you need a different \"datestyle\" setting.] \
             (COPY t, line 1, column c: \"2020-13-01\")",
        ),
        (
            b"1,x,\r\n2,y,\n",
            "t",
            "22P04: unquoted newline found in data \
             [Use quoted CSV field to represent newline.] (COPY t, line 2)",
        ),
        (
            b"1,x,\n2,y,\r\n",
            "t",
            "22P04: unquoted carriage return found in data \
             [Use quoted CSV field to represent carriage return.] (COPY t, line 2)",
        ),
        (b"\"a\r\nb\"\r\nc\r\n", "u", "(a\r\nb) ~ (c)"),
        (b"\"ab\"c\"d\"\"e\"\n", "u", "(abcd\"e)"),
    ] {
        check(data, table, &csv(), expected);
    }
    let long = format!("{},1,2\n", "é".repeat(60));
    let error = decode("t", &csv(), &[long.as_bytes()]).unwrap_err();
    let expected = format!("COPY t, line 1, column a: \"{}...\"", "é".repeat(50));
    assert_eq!(error.get_context(), Some(expected.as_str()));
}

#[test]
fn csv_options() {
    let single = CopyOptions { quote: b'\'', escape: b'\\', ..csv() };
    check(b"'it\\'s'\n'a''b'\n'c\\\\d'\n", "u", &single, "(it's) ~ (ab) ~ (c\\d)");
    let not_null = CopyOptions { force_not_null: vec!["a".into()], ..csv() };
    check(b"x\n\"\"\n\n\"y\"\n", "u", &not_null, "(x) ~ () ~ () ~ (y)");
    let force_null = CopyOptions { force_null: vec!["a".into()], ..csv() };
    check(b"x\n\"\"\n\n", "u", &force_null, "(x) ~ (·) ~ (·)");
    let several = CopyOptions { nulls: vec!["".into(), "NA".into()], ..csv() };
    check(b"NA\n\"NA\"\n\n", "u", &several, "(·) ~ (NA) ~ (·)");
    let unknown = CopyOptions { force_null: vec!["z".into()], ..csv() };
    assert_eq!(
        shown(&decode("u", &unknown, &[]).unwrap_err()),
        "42703: column \"z\" does not exist ()"
    );
    let same = CopyOptions { quote: b',', ..csv() };
    assert_eq!(
        shown(&decode("u", &same, &[]).unwrap_err()),
        "22023: COPY delimiter and quote must be different ()"
    );
}

#[test]
fn headers() {
    let skip = |options: CopyOptions| CopyOptions { header: Header::Skip, ..options };
    let matched = |options: CopyOptions| CopyOptions { header: Header::Match, ..options };
    check(b"a,b,c\n1,x,\n", "t", &skip(csv()), "(1,x,·)");
    check(b"\xef\xbb\xbfa,b,c\n1,x,\n", "t", &matched(csv()), "(1,x,·)");
    check(b"a\tb\tc\n1\tx\t\\N\n", "t", &matched(text()), "(1,x,·)");
    check(
        b"a,x,c\n1,x,\n",
        "t",
        &matched(csv()),
        "22P04: column name mismatch in header line field 2: got \"x\", expected \"b\" \
         (COPY t, line 1: \"a,x,c\")",
    );
    check(
        b"a,b\n1,x,\n",
        "t",
        &matched(csv()),
        "22P04: wrong number of fields in header line: got 2, expected 3 \
         (COPY t, line 1: \"a,b\")",
    );
    check(
        b"a\t\\N\tc\n1\tx\t\\N\n",
        "t",
        &matched(text()),
        "22P04: column name mismatch in header line field 2: got null value (\"\\N\"), \
         expected \"b\" (COPY t, line 1: \"a\t\\N\tc\")",
    );
}

#[test]
fn binary_format() {
    let binary = CopyOptions::new(CopyFormat::Binary);
    let with = |rows: &[u8]| [&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..], rows].concat();
    let row = b"\0\x03\0\0\0\x04\0\0\0\x07\0\0\0\x01x\xff\xff\xff\xff";
    check(&with(&[row, &b"\xff\xffignored"[..]].concat()), "t", &binary, "(7,x,·)");
    check(&with(row), "t", &binary, "(7,x,·)");
    check(
        &with(b"\0\x02"),
        "u",
        &binary,
        "22P04: row field count is 2, expected 1 (COPY u, line 1)",
    );
    check(
        b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0",
        "u",
        &binary,
        "22P04: COPY file signature not recognized ()",
    );
    check(
        &with(b"\0\x01\0\0\0\x05ab"),
        "u",
        &binary,
        "22P04: unexpected EOF in COPY data (COPY u, line 1)",
    );
    check(
        &with(b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\xff\xff\xff\xff"),
        "t",
        &binary,
        "22P03: incorrect binary data format for type integer (COPY t, line 1, column a)",
    );
}

#[test]
fn batches_have_the_size_asked_for() {
    let data: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    let columns = vec![("n".to_string(), DataType::Int64)];
    let mut decoder = CopyDecoder::new("t", columns, csv(), &EncodeSettings::default()).unwrap();
    decoder.push(data.as_bytes()).unwrap();
    let mut sizes = Vec::new();
    while let Some(batch) = decoder.take_batch(5000) {
        sizes.push(batch.num_rows());
    }
    assert_eq!(sizes, [5000, 3192, 5000, 3192]);
    assert_eq!(decoder.finish().unwrap().unwrap().num_rows(), 20_000 - 16_384);
    assert!(decoder.finish().unwrap().is_none());
}

/// Texts of a batch together may not reach 2 GiB, and a client decides how long one is.
#[test]
fn long_values_make_small_batches() {
    let line = format!("{}\n", "x".repeat(4 << 20));
    let columns = vec![("a".to_string(), DataType::Utf8)];
    let mut decoder = CopyDecoder::new("t", columns, text(), &EncodeSettings::default()).unwrap();
    let mut sizes = Vec::new();
    for _ in 0..20 {
        decoder.push(line.as_bytes()).unwrap();
        sizes.extend(decoder.take_batch(8192).map(|batch| batch.num_rows()));
    }
    assert_eq!(sizes, [8, 8]);
    assert_eq!(decoder.finish().unwrap().unwrap().num_rows(), 4);
}

#[test]
fn schema_of_a_csv_sample() {
    let options =
        CopyOptions { header: Header::Skip, nulls: vec!["".into(), "NA".into()], ..csv() };
    let sample = b"id,price,day,at,zoned,ok,zip,name,none,score,mixed\n\
        1,1.5,2020-01-01,2020-01-01 10:00:00,2020-01-01T10:00:00Z,true,01234,x,,nan,2020-01-01\n\
        NA,2,2020-01-02,2020-01-01,2020-01-01 10:00:00+02,FALSE,12345,\"1,5\",NA,1e3,7\n\
        3,x";
    let schema: Vec<String> = infer_csv_schema(sample, false, &options)
        .unwrap()
        .iter()
        .map(|(name, data_type)| format!("{name} {}", sql_name(data_type)))
        .collect();
    assert_eq!(
        schema,
        [
            "id bigint",
            "price double precision",
            "day date",
            "at timestamp without time zone",
            "zoned timestamp with time zone",
            "ok boolean",
            "zip text",
            "name text",
            "none text",
            "score double precision",
            "mixed text",
        ]
    );
    let bare = infer_csv_schema(b"1,a", true, &csv()).unwrap();
    assert_eq!(
        bare,
        [("column1".to_string(), DataType::Int64), ("column2".to_string(), DataType::Utf8)]
    );
}

/// Lines of COPY TO, as psql showed them for the same values.
#[test]
fn copy_to() {
    use arrow::array::{Int32Array, StringArray};
    let out = |rows: &[(Option<i32>, &str, Option<&str>)], framing: Framing<'_>, header: bool| {
        let numbers: Int32Array = rows.iter().map(|row| row.0).collect();
        let seconds: StringArray = rows.iter().map(|row| Some(row.1)).collect();
        let thirds: StringArray = rows.iter().map(|row| row.2).collect();
        let batch = RecordBatch::try_from_iter([
            ("column1", Arc::new(numbers) as ArrayRef),
            ("column2", Arc::new(seconds)),
            ("column3", Arc::new(thirds)),
        ])
        .unwrap();
        let mut encoder =
            RowEncoder::new(&batch.schema(), &[], &EncodeSettings::default()).unwrap();
        encoder.set_copy_messages(false);
        let mut buffer = BytesMut::new();
        if header {
            encoder.copy_header(framing, &mut buffer).unwrap();
        }
        encoder.encode_batch(&batch, 0..rows.len(), framing, &mut buffer).unwrap();
        String::from_utf8(buffer.to_vec()).unwrap()
    };
    let rows =
        [(Some(1), "a,b", None), (Some(2), "q\"uo", Some("")), (Some(3), "nl\nx", Some("\\."))];
    let plain =
        Framing::CopyCsv { delimiter: b',', quote: b'"', escape: b'"', null: "", force_quote: &[] };
    assert_eq!(out(&rows, plain, false), "1,\"a,b\",\n2,\"q\"\"uo\",\"\"\n3,\"nl\nx\",\\.\n");
    let odd = Framing::CopyCsv {
        delimiter: b';',
        quote: b'\'',
        escape: b'\\',
        null: "NULL",
        force_quote: &[false, true],
    };
    assert_eq!(
        out(&rows, odd, true),
        "column1;column2;column3\n1;'a,b';NULL\n2;'q\"uo';\n3;'nl\nx';\\.\n"
    );
    let dashes =
        Framing::CopyCsv { delimiter: b'-', quote: b'"', escape: b'"', null: "", force_quote: &[] };
    assert_eq!(out(&[(Some(-1), "2020-01-01", None)], dashes, false), "\"-1\"-\"2020-01-01\"-\n");
    let text = Framing::CopyText { delimiter: b'\t', null: "\\N" };
    assert_eq!(
        out(
            &[
                (Some(1), "a\tb", None),
                (Some(2), "b\\s", Some("")),
                (Some(3), "nl\nx\r\u{8}\u{c}\u{b}\u{1}", Some("\\x01")),
            ],
            text,
            false
        ),
        "1\ta\\tb\t\\N\n2\tb\\\\s\t\n3\tnl\\nx\\r\\b\\f\\v\u{1}\t\\\\x01\n"
    );
    let pipes = Framing::CopyText { delimiter: b'|', null: "" };
    assert_eq!(
        out(&[(Some(1), "a|b\\N", None), (Some(2), "", Some("x"))], pipes, false),
        "1|a\\|b\\\\N|\n2||x\n"
    );
}
