//! Random values there and back, and random bytes into everything that reads. Seeds are printed.

use super::*;
use arrow::datatypes::{IntervalUnit, TimeUnit};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// A generator from CENOTE_TEST_SEED, else from the clock; the seed shows when the test fails.
fn generator() -> StdRng {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CENOTE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn types() -> Vec<DataType> {
    let micros = TimeUnit::Microsecond;
    let flat = vec![
        DataType::Boolean,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(38, 0),
        DataType::Decimal128(38, 38),
        DataType::Decimal128(12, 3),
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::Date32,
        DataType::Time64(micros),
        DataType::Timestamp(micros, None),
        DataType::Timestamp(micros, Some("UTC".into())),
        DataType::Interval(IntervalUnit::MonthDayNano),
    ];
    let lists: Vec<DataType> = flat.iter().cloned().map(list_of).collect();
    [flat, lists].concat()
}

/// The binary form of a random value, as a client might send it.
fn random_value(data_type: &DataType, rng: &mut StdRng) -> Vec<u8> {
    match data_type {
        DataType::Boolean => vec![rng.random_range(0..2)],
        DataType::Int16 => rng.random::<i16>().to_be_bytes().to_vec(),
        DataType::Int32 => (rng.random::<i32>() >> rng.random_range(0..32)).to_be_bytes().to_vec(),
        DataType::Int64 => (rng.random::<i64>() >> rng.random_range(0..64)).to_be_bytes().to_vec(),
        DataType::Float32 => rng.random::<u32>().to_be_bytes().to_vec(),
        DataType::Float64 if rng.random_bool(0.5) => {
            (f64::from(rng.random_range(-100_000..100_000)) / 100.0).to_be_bytes().to_vec()
        }
        DataType::Float64 => rng.random::<u64>().to_be_bytes().to_vec(),
        DataType::Decimal128(precision, scale) => {
            let limit = 10_i128.pow(u32::from(*precision));
            let value = rng.random_range(1 - limit..limit) / 10_i128.pow(rng.random_range(0..12));
            let mut out = BytesMut::new();
            number::put_numeric_binary(&mut out, value, *scale);
            out.to_vec()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => random_text(rng).into_bytes(),
        DataType::Binary => (0..rng.random_range(0..20)).map(|_| rng.random()).collect(),
        DataType::Date32 => rng.random_range(-2_000_000..4_000_000_i32).to_be_bytes().to_vec(),
        DataType::Time64(_) => rng.random_range(0..86_400_000_000_i64).to_be_bytes().to_vec(),
        DataType::Timestamp(..) => {
            let limit = 200_000_000_000_000_000_i64;
            rng.random_range(-limit..limit).to_be_bytes().to_vec()
        }
        DataType::Interval(_) => {
            let micros = rng.random_range(-1_000_000_000_000..1_000_000_000_000_i64);
            let mut out = micros.to_be_bytes().to_vec();
            out.extend(rng.random_range(-50..50_i32).to_be_bytes());
            out.extend(rng.random_range(-50..50_i32).to_be_bytes());
            out
        }
        DataType::List(item) => {
            let count = rng.random_range(0..5_i32);
            let element = pg_type_of(item).oid();
            let mut out = i32::from(count > 0).to_be_bytes().to_vec();
            out.extend([0; 4]);
            out.extend(element.to_be_bytes());
            if count > 0 {
                out.extend(count.to_be_bytes());
                out.extend([0, 0, 0, 1]);
            }
            for _ in 0..count {
                if rng.random_bool(0.2) {
                    out.extend([0xff; 4]);
                    continue;
                }
                let value = random_value(item.data_type(), rng);
                out.extend((value.len() as i32).to_be_bytes());
                out.extend(value);
            }
            out
        }
        other => panic!("no values of {other}"),
    }
}

fn random_text(rng: &mut StdRng) -> String {
    const PIECES: [&str; 22] = [
        "a", "B", " ", ",", "\"", "\\", "\n", "\r", "\t", "{", "}", "NULL", "\\N", "\\.", "é",
        "日", "'", "|", "0", "\u{8}", "\u{b}", "",
    ];
    (0..rng.random_range(0..8)).map(|_| PIECES[rng.random_range(0..PIECES.len())]).collect()
}

/// A batch with a random value of every type in each row.
fn random_batch(rows: usize, rng: &mut StdRng) -> RecordBatch {
    let settings = EncodeSettings::default();
    let columns = types().into_iter().enumerate().map(|(index, data_type)| {
        let mut column = ColumnParser::new(&data_type, &settings).unwrap();
        for _ in 0..rows {
            if rng.random_bool(0.1) {
                column.append_null();
            } else {
                column.append_binary(&random_value(&data_type, rng)).unwrap();
            }
        }
        (format!("c{index}"), column.finish().unwrap(), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()
}

fn same(left: &RecordBatch, right: &RecordBatch, what: &str) {
    let plain = EncodeSettings::default();
    assert_eq!(left.num_rows(), right.num_rows(), "{what}");
    for (a, b) in left.columns().iter().zip(right.columns()) {
        // NaN equals no NaN, so that floats are compared by their text.
        if a != b {
            assert_eq!(texts(a, &plain), texts(b, &plain), "{what} {}", a.data_type());
        }
    }
}

fn schema_columns(batch: &RecordBatch) -> Vec<(String, DataType)> {
    let schema = batch.schema();
    schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
}

#[test]
fn copy_out_and_in_again_in_every_format() {
    let mut rng = generator();
    let zone = settings("Asia/Kolkata");
    for round in 0..20 {
        let batch = random_batch(30, &mut rng);
        let csv = Framing::CopyCsv {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            null: "",
            force_quote: &[],
        };
        for (format, framing) in [
            (CopyFormat::Text, Framing::CopyText { delimiter: b'\t', null: "\\N" }),
            (CopyFormat::Csv, csv),
            (CopyFormat::Binary, Framing::CopyBinary),
        ] {
            let mut encoder = RowEncoder::new(&batch.schema(), &[], &zone).unwrap();
            encoder.set_copy_messages(false);
            let mut out = BytesMut::new();
            encoder.encode_batch(&batch, 0..30, framing, &mut out).unwrap();
            encoder.finish_copy(framing, &mut out).unwrap();
            let options = CopyOptions::new(format);
            let mut decoder =
                CopyDecoder::new("t", schema_columns(&batch), options, &zone).unwrap();
            let mut rest = &out[..];
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rng.random_range(1..=rest.len()));
                decoder.push(piece).unwrap_or_else(|e| panic!("{e} {:?}", e.get_context()));
                rest = tail;
            }
            let back = decoder.finish().unwrap().unwrap();
            same(&batch, &back, &format!("{format:?} in round {round}"));
        }
    }
}

#[test]
fn parameters_there_and_back_in_both_formats() {
    let mut rng = generator();
    let zone = settings("America/New_York");
    let batch = random_batch(40, &mut rng);
    for format in [Format::Text, Format::Binary] {
        let mut encoder = RowEncoder::new(&batch.schema(), &[format], &zone).unwrap();
        let mut out = BytesMut::new();
        encoder.encode_batch(&batch, 0..40, Framing::DataRow, &mut out).unwrap();
        for (row, values) in data_rows(&out).into_iter().enumerate() {
            for (index, value) in values.into_iter().enumerate() {
                let array = batch.column(index);
                let ty = pg_type_of(batch.schema().field(index));
                let back = decode_parameter(value.as_deref(), ty.oid(), format, &zone).unwrap();
                let back = back.to_array().unwrap();
                let (mut left, mut right) =
                    (text_value(array, row, &zone), text_value(&back, 0, &zone));
                if ty == PgType::NumericArray {
                    // The scale of an array is that of its longest fraction.
                    let trim = |t: Option<String>| t.map(|t| t.replace(['.', '0', '-'], ""));
                    (left, right) = (trim(left), trim(right));
                }
                assert_eq!(left, right, "{ty:?} {format:?}");
            }
        }
    }
}

/// The text of a float must read back as the same bits, whatever route it took.
#[test]
fn floats_read_back_the_same() {
    let mut rng = generator();
    let mut out = BytesMut::new();
    for _ in 0..200_000 {
        let value = match rng.random_range(0..4) {
            0 => f64::from_bits(rng.random()),
            1 => f64::from(rng.random::<i32>()) / 1000.0,
            2 => (rng.random::<u64>() >> rng.random_range(0..64)) as f64,
            _ => 2_f64.powi(rng.random_range(-1074..1024)),
        };
        out.clear();
        number::put_f64(&mut out, value, 1);
        let text = std::str::from_utf8(&out).unwrap();
        let back: f64 = text.parse().unwrap();
        assert!(back.to_bits() == value.to_bits() || value.is_nan(), "{text}");
        let value = value as f32;
        out.clear();
        number::put_f32(&mut out, value, 1);
        let back: f32 = std::str::from_utf8(&out).unwrap().parse().unwrap();
        assert!(back.to_bits() == value.to_bits() || value.is_nan(), "{out:?}");
    }
}

/// Nothing that a client sends may bring a thread down.
#[test]
fn random_bytes_are_errors_and_no_panics() {
    let mut rng = generator();
    let plain = settings("Europe/Berlin");
    let pieces: Vec<&[u8]> = vec![
        b"1",
        b"-",
        b"+",
        b"2020",
        b"01",
        b":",
        b"T",
        b" ",
        b"/",
        b".",
        b"e",
        b"Jan",
        b"PM",
        b"BC",
        b"{",
        b"}",
        b"\"",
        b"\\",
        b",",
        b"[",
        b"]",
        b"=",
        b"P",
        b"Y",
        b"day",
        b"ago",
        b"Z",
        b"Europe/Berlin",
        b"now",
        b"99999999999999999999",
        b"\n",
        b"\r",
        b"\t",
        b"\xff",
        b"\xc3",
        b"\xa9",
        b"\0",
        b"NaN",
        b"inf",
        b"\\x",
        b"@",
        b"\xe6\x97\xa5",
        b"PGCOPY\n\xff\r\n\0",
    ];
    for _ in 0..30_000 {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..rng.random_range(0..10) {
            bytes.extend_from_slice(pieces[rng.random_range(0..pieces.len())]);
        }
        let ty = PgType::ALL[rng.random_range(0..PgType::ALL.len())];
        let _ = decode_parameter(Some(&bytes), ty.oid(), Format::Text, &plain);
        let _ = decode_parameter(Some(&bytes), ty.oid(), Format::Binary, &plain);
        let length = rng.random_range(0..40);
        let mut noise = vec![0; length];
        rng.fill_bytes(&mut noise);
        let _ = decode_parameter(Some(&noise), ty.oid(), Format::Binary, &plain);
        let _ = infer_csv_schema(&bytes, rng.random(), &CopyOptions::new(CopyFormat::Csv));
    }
    let all = types();
    for _ in 0..3000 {
        let data_type = &all[rng.random_range(0..all.len())];
        let mut value = random_value(data_type, &mut rng);
        if !value.is_empty() {
            let at = rng.random_range(0..value.len());
            value[at] ^= 1 << rng.random_range(0..8);
            value.truncate(rng.random_range(0..=value.len()));
        }
        let _ = ColumnParser::new(data_type, &plain).unwrap().append_binary(&value);
        let format = [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary];
        let options = CopyOptions::new(format[rng.random_range(0..3)]);
        let columns = vec![("a".into(), DataType::Int32), ("b".into(), data_type.clone())];
        let mut decoder = CopyDecoder::new("t", columns, options, &plain).unwrap();
        let mut fine = true;
        for _ in 0..rng.random_range(1..5) {
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..rng.random_range(0..8) {
                bytes.extend_from_slice(pieces[rng.random_range(0..pieces.len())]);
            }
            fine = fine && decoder.push(&bytes).is_ok();
        }
        if fine {
            let _ = decoder.finish();
        }
    }
}

/// What a decoder makes of data, errors and their places included, cut at these places.
fn outcome(format: CopyFormat, data: &[u8], cuts: &[usize]) -> Result<Vec<String>, String> {
    let plain = EncodeSettings::default();
    let columns = vec![("a".into(), DataType::Utf8), ("b".into(), DataType::Int32)];
    let mut decoder = CopyDecoder::new("t", columns, CopyOptions::new(format), &plain).unwrap();
    let said = |e: crate::error::Error| format!("{} {e} {:?}", e.code().code(), e.get_context());
    let mut from = 0;
    for cut in cuts.iter().copied().chain([data.len()]) {
        decoder.push(&data[from..cut]).map_err(said)?;
        from = cut;
    }
    let Some(batch) = decoder.finish().map_err(said)? else { return Ok(Vec::new()) };
    Ok(batch.columns().iter().flat_map(|array| texts(array, &plain)).collect())
}

/// Where the network cuts a COPY says nothing about what it means.
#[test]
fn copy_data_means_the_same_however_it_is_cut() {
    let mut rng = generator();
    const PIECES: [&[u8]; 20] = [
        b"a",
        b"1",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\\",
        b"\\.",
        b"\\.\n",
        b"\\N",
        b"\"",
        b"\"\"",
        b",",
        b"\xc3",
        b"\xa9",
        b"\xef\xbb\xbf",
        b"x\t2\n",
        b"y,3\n",
        b"\"q\n\",4\n",
        b"\0\x02",
    ];
    for _ in 0..20_000 {
        let format = [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary];
        let format = format[rng.random_range(0..3)];
        let mut data: Vec<u8> = Vec::new();
        if format == CopyFormat::Binary && rng.random_bool(0.9) {
            data.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
            for _ in 0..rng.random_range(0..3) {
                data.extend_from_slice(b"\0\x02\0\0\0\x01q\0\0\0\x04\0\0\0\x07");
            }
        }
        for _ in 0..rng.random_range(0..12) {
            data.extend_from_slice(PIECES[rng.random_range(0..PIECES.len())]);
        }
        let whole = outcome(format, &data, &[]);
        let mut cuts: Vec<usize> =
            (0..rng.random_range(1..5)).map(|_| rng.random_range(0..=data.len())).collect();
        cuts.sort_unstable();
        assert_eq!(outcome(format, &data, &cuts), whole, "{format:?} {data:?} cut at {cuts:?}");
        let all: Vec<usize> = (0..data.len()).collect();
        assert_eq!(outcome(format, &data, &all), whole, "{format:?} {data:?}, byte by byte");
    }
}

/// Every value that an Arrow array can hold has a text.
#[test]
fn extreme_values_have_a_text() {
    use arrow::array::*;
    let plain = settings("Asia/Tokyo");
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(vec![i32::MIN, i32::MAX])),
        Arc::new(Date64Array::from(vec![i64::MIN, i64::MAX])),
        Arc::new(Time64MicrosecondArray::from(vec![i64::MIN, i64::MAX])),
        Arc::new(Time32SecondArray::from(vec![i32::MIN, i32::MAX])),
        Arc::new(TimestampSecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN + 1, i64::MAX - 1])),
        Arc::new(
            TimestampMicrosecondArray::from(vec![i64::MIN + 1, i64::MAX - 1]).with_timezone("UTC"),
        ),
        Arc::new(TimestampNanosecondArray::from(vec![i64::MIN, i64::MAX])),
        Arc::new(IntervalYearMonthArray::from(vec![i32::MIN, i32::MAX])),
        Arc::new(DurationSecondArray::from(vec![i64::MIN, i64::MAX])),
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX])),
        Arc::new(UInt64Array::from(vec![u64::MIN, u64::MAX])),
        Arc::new(Decimal128Array::from(vec![i128::MIN, i128::MAX])),
        Arc::new(Decimal256Array::from(vec![
            arrow::datatypes::i256::MIN,
            arrow::datatypes::i256::MAX,
        ])),
    ];
    for array in arrays {
        for text in texts(&array, &plain) {
            assert!(!text.is_empty(), "{}", array.data_type());
        }
        let field = Field::new("c", array.data_type().clone(), true);
        let _ = binaries(field, array);
    }
}
