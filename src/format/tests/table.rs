//! Tables against psql's own output, csv and json.

use super::*;
use crate::format::table::{PrintOptions, print_csv, print_json, print_table};
use arrow::array::{Decimal128Array, Float64Array, Int32Array, StringArray};

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn ints(values: Vec<Option<i32>>) -> ArrayRef {
    Arc::new(Int32Array::from(values))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

fn table(batch: &RecordBatch, options: &PrintOptions) -> String {
    let mut out = Vec::new();
    print_table(std::slice::from_ref(batch), &batch.schema(), &mut out, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn simple() -> RecordBatch {
    let price = Decimal128Array::from(vec![150]).with_precision_and_scale(3, 2).unwrap();
    batch(vec![("a", ints(vec![Some(1)])), ("bb", strings(&["x"])), ("wide name", Arc::new(price))])
}

/// The output of psql 15 for the same values.
#[test]
fn aligned_as_by_psql() {
    let plain = PrintOptions::default();
    assert_eq!(
        table(&simple(), &plain),
        " a | bb | wide name \n---+----+-----------\n 1 | x  |      1.50\n(1 row)\n\n"
    );
    let wrapped =
        batch(vec![("t", strings(&["a\nb", "ccc"])), ("n", ints(vec![Some(1), Some(22)]))]);
    assert_eq!(
        table(&wrapped, &plain),
        "  t  | n  \n-----+----\n a  +|  1\n b   | \n ccc | 22\n(2 rows)\n\n"
    );
    let last = batch(vec![("x", strings(&["a"])), ("t", strings(&["a\nbb"]))]);
    assert_eq!(table(&last, &plain), " x | t  \n---+----\n a | a +\n   | bb\n(1 row)\n\n");
    let empty = batch(vec![("a", ints(vec![]))]);
    assert_eq!(table(&empty, &plain), " a \n---\n(0 rows)\n\n");
    let wide = batch(vec![
        ("a", ints(vec![None])),
        ("u", strings(&["é"])),
        ("j", strings(&["日本"])),
        ("tab", strings(&["a\tb"])),
        ("ctl", strings(&["c\u{1}\r"])),
    ]);
    assert_eq!(
        table(&wide, &plain),
        " a | u |  j   |    tab    |   ctl   \n---+---+------+-----------+---------\n   \
         | é | 日本 | a       b | c\\x01\\r\n(1 row)\n\n"
    );
    let tuples = PrintOptions { tuples_only: true, ..plain };
    let two = batch(vec![("a", ints(vec![Some(1)])), ("b", strings(&["x"]))]);
    assert_eq!(table(&two, &tuples), " 1 | x\n\n");
    let none = PrintOptions { null: "∅".into(), ..PrintOptions::default() };
    assert!(table(&wide, &none).contains(" ∅ | é "));
}

#[test]
fn expanded_as_by_psql() {
    let expanded = PrintOptions { expanded: true, ..PrintOptions::default() };
    let two = batch(vec![
        ("a", ints(vec![Some(1), Some(2)])),
        ("bb", strings(&["x", "y"])),
        ("wide name", strings(&["longer value here than that", "z"])),
    ]);
    assert_eq!(
        table(&two, &expanded),
        "-[ RECORD 1 ]--------------------------\na         | 1\nbb        | x\n\
         wide name | longer value here than that\n-[ RECORD 2 ]--------------------------\n\
         a         | 2\nbb        | y\nwide name | z\n\n"
    );
    let wrapped = batch(vec![("t", strings(&["a\nbb"])), ("n\nm", strings(&["c"]))]);
    assert_eq!(table(&wrapped, &expanded), "-[ RECORD 1 ]\nt | a +\n  | bb\nn+| c\nm |\n\n");
    assert_eq!(table(&batch(vec![("a", ints(vec![]))]), &expanded), "(0 rows)\n\n");
    let tuples = PrintOptions { tuples_only: true, ..expanded };
    let rows = batch(vec![("a", ints(vec![Some(1), Some(2)])), ("b", strings(&["x", "y"]))]);
    assert_eq!(table(&rows, &tuples), "a | 1\nb | x\n--+--\na | 2\nb | y\n\n");
}

#[test]
fn csv_and_json() {
    let values = batch(vec![
        ("n", Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None])) as ArrayRef),
        ("s", strings(&["a,b", "q\"", ""])),
    ]);
    let options = PrintOptions::default();
    let (mut csv, mut json) = (Vec::new(), Vec::new());
    print_csv(std::slice::from_ref(&values), &values.schema(), &mut csv, &options).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), "n,s\n1.5,\"a,b\"\nNaN,\"q\"\"\"\n,\"\"\n");
    print_json(std::slice::from_ref(&values), &values.schema(), &mut json, &options).unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "[{\"n\":1.5,\"s\":\"a,b\"},\n {\"n\":\"NaN\",\"s\":\"q\\\"\"},\n {\"n\":null,\"s\":\"\"}]\n"
    );
}
