//! Gathers the statistics of a file from the Arrow arrays that are written to it.

use super::super::text;
use super::INDEXED_COLUMNS;
use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::compute::{max, max_string, max_string_view, min, min_string, min_string_view};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use std::fmt::Write;

/// Texts are cut after this many characters.
const TEXT_CHARS_MAX: usize = 32;

const MICROS_PER_MILLI: i64 = 1000;

/// Null count and bounds of one column.
#[derive(Debug, Clone)]
pub struct ColumnCollector {
    data_type: DataType,
    nulls: u64,
    bounds: Bounds,
}

#[derive(Debug, Clone)]
enum Bounds {
    /// The type has none in Delta: booleans, bytes, arrays.
    None,
    Integer(Option<(i64, i64)>),
    Decimal(Option<(i128, i128)>),
    Float(Option<(f64, f64)>),
    Text(Option<(String, String)>),
    /// Known not to be known, since a NaN stands above all numbers and JSON has none.
    Lost,
}

impl ColumnCollector {
    /// A collector that has seen nothing.
    pub fn new(data_type: &DataType) -> Self {
        let bounds = match data_type {
            DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _) => Bounds::Integer(None),
            DataType::Decimal128(..) => Bounds::Decimal(None),
            DataType::Float32 | DataType::Float64 => Bounds::Float(None),
            DataType::Utf8 | DataType::Utf8View => Bounds::Text(None),
            _ => Bounds::None,
        };
        Self { data_type: data_type.clone(), nulls: 0, bounds }
    }

    /// Takes in an array of the column's type.
    pub fn update(&mut self, array: &dyn Array) {
        self.nulls += array.null_count() as u64;
        self.update_bounds(array);
    }

    /// Takes in an array of bounds of values that are not at hand, and how many of them are NULL.
    pub fn update_from(&mut self, mins: &dyn Array, maxes: &dyn Array, nulls: u64) {
        self.nulls += nulls;
        self.update_bounds(mins);
        self.update_bounds(maxes);
    }

    /// Counts NULLs of values that are not at hand.
    pub fn add_nulls(&mut self, nulls: u64) {
        self.nulls += nulls;
    }

    /// True if Delta keeps bounds for the column's type.
    pub fn has_bounds(&self) -> bool {
        !matches!(self.bounds, Bounds::None)
    }

    /// Takes in what another collector has seen.
    pub fn merge(&mut self, other: &Self) {
        self.nulls += other.nulls;
        self.bounds = match (std::mem::replace(&mut self.bounds, Bounds::None), &other.bounds) {
            (Bounds::Integer(a), Bounds::Integer(b)) => Bounds::Integer(wider(a, *b)),
            (Bounds::Decimal(a), Bounds::Decimal(b)) => Bounds::Decimal(wider(a, *b)),
            (Bounds::Float(a), Bounds::Float(b)) => Bounds::Float(wider_float(a, *b)),
            (Bounds::Text(a), Bounds::Text(b)) => Bounds::Text(wider(a, b.clone())),
            (Bounds::None, Bounds::None) => Bounds::None,
            _ => Bounds::Lost,
        };
    }

    /// True if a NaN was seen, so that there are no bounds.
    pub fn is_lost(&self) -> bool {
        matches!(self.bounds, Bounds::Lost)
    }

    fn update_bounds(&mut self, array: &dyn Array) {
        match &mut self.bounds {
            Bounds::None | Bounds::Lost => {}
            Bounds::Integer(known) => {
                let next = match array.data_type() {
                    DataType::Int16 => integers::<Int16Type>(array),
                    DataType::Int32 => integers::<Int32Type>(array),
                    DataType::Int64 => integers::<Int64Type>(array),
                    DataType::Date32 => integers::<Date32Type>(array),
                    _ => integers::<TimestampMicrosecondType>(array),
                };
                *known = wider(*known, next);
            }
            Bounds::Decimal(known) => {
                let values = array.as_primitive::<Decimal128Type>();
                *known = wider(*known, min(values).zip(max(values)));
            }
            Bounds::Float(known) => {
                let next = match array.data_type() {
                    DataType::Float32 => floats(array.as_primitive::<Float32Type>()),
                    _ => floats(array.as_primitive::<Float64Type>()),
                };
                match next {
                    Some(next) => *known = wider_float(*known, next),
                    None => self.bounds = Bounds::Lost,
                }
            }
            Bounds::Text(known) => {
                let next = match array.data_type() {
                    DataType::Utf8View => {
                        let values = array.as_string_view();
                        min_string_view(values).zip(max_string_view(values))
                    }
                    _ => {
                        let values = array.as_string::<i32>();
                        min_string(values).zip(max_string(values))
                    }
                };
                let Some((low, high)) = next else { return };
                match known {
                    // Only a new bound is copied; most batches bring none.
                    Some((min, max)) => {
                        if low < min.as_str() {
                            low.clone_into(min);
                        }
                        if high > max.as_str() {
                            high.clone_into(max);
                        }
                    }
                    None => *known = Some((low.to_owned(), high.to_owned())),
                }
            }
        }
    }

    /// The bounds as JSON values; a bound that JSON cannot hold is left out.
    fn json(&self) -> (Option<String>, Option<String>) {
        match &self.bounds {
            Bounds::Integer(Some((low, high))) => match &self.data_type {
                DataType::Date32 => (date(*low), date(*high)),
                DataType::Timestamp(_, zone) => {
                    let up = high.saturating_add(MICROS_PER_MILLI - 1);
                    (millis(*low, zone.is_some()), millis(up, zone.is_some()))
                }
                _ => (Some(low.to_string()), Some(high.to_string())),
            },
            Bounds::Decimal(Some((low, high))) => {
                let scale = match self.data_type {
                    DataType::Decimal128(_, scale) => scale,
                    _ => 0,
                };
                (Some(text::decimal_text(*low, scale)), Some(text::decimal_text(*high, scale)))
            }
            Bounds::Float(Some((low, high))) => {
                let single = self.data_type == DataType::Float32;
                (float(*low, single, true), float(*high, single, false))
            }
            Bounds::Text(Some((low, high))) => {
                (Some(quoted(&cut_min(low))), Some(quoted(&cut_max(high))))
            }
            _ => (None, None),
        }
    }
}

fn wider<T: PartialOrd>(known: Option<(T, T)>, next: Option<(T, T)>) -> Option<(T, T)> {
    match (known, next) {
        (Some((a, b)), Some((c, d))) => {
            Some((if c < a { c } else { a }, if d > b { d } else { b }))
        }
        (known, next) => known.or(next),
    }
}

fn wider_float(known: Option<(f64, f64)>, next: Option<(f64, f64)>) -> Option<(f64, f64)> {
    wider(known, next)
}

fn integers<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<(i64, i64)>
where
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>();
    min(values).zip(max(values)).map(|(low, high)| (low.into(), high.into()))
}

/// The bounds of the numbers; `None` if one is NaN, `Some(None)` if there is no number.
fn floats<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<Option<(f64, f64)>>
where
    T::Native: Into<f64>,
{
    let mut bounds: Option<(f64, f64)> = None;
    for value in array.iter().flatten() {
        let value: f64 = value.into();
        if value.is_nan() {
            return None;
        }
        bounds = wider_float(bounds, Some((value, value)));
    }
    Some(bounds)
}

fn date(days: i64) -> Option<String> {
    text::date_text(i32::try_from(days).ok()?).map(|d| quoted(&d))
}

fn millis(micros: i64, zone: bool) -> Option<String> {
    text::timestamp_text(micros, "%Y-%m-%dT%H:%M:%S%.3f", zone).map(|t| quoted(&t))
}

/// A number that JSON can hold. Zero has two signs that count as equal: the minimum takes the
/// lower, the maximum the higher, so that no comparison by bits skips a file wrongly.
fn float(value: f64, single: bool, is_min: bool) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    if value == 0.0 {
        return Some(if is_min { "-0.0".into() } else { "0.0".into() });
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32 before")]
    Some(if single { format!("{:?}", value as f32) } else { format!("{value:?}") })
}

fn cut_min(value: &str) -> String {
    value.chars().take(TEXT_CHARS_MAX).collect()
}

/// Cuts a maximum so that it stays one: the highest character stands for the rest.
fn cut_max(value: &str) -> String {
    let mut rest = value.chars();
    let mut cut: String = rest.by_ref().take(TEXT_CHARS_MAX).collect();
    for c in rest {
        cut.push(char::MAX);
        if c < char::MAX {
            return cut;
        }
    }
    cut
}

fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// The statistics of one file: a row count and one collector per indexed column.
#[derive(Debug, Clone)]
pub struct FileCollector {
    rows: u64,
    columns: Vec<(String, ColumnCollector)>,
}

impl FileCollector {
    /// A collector for a file of this schema (without partition columns).
    ///
    /// Statistics are kept for the first 32 columns; arrays count but have none.
    pub fn new(schema: &Schema) -> Self {
        let columns = schema
            .fields()
            .iter()
            .take(INDEXED_COLUMNS)
            .map(|f| (f.name().clone(), ColumnCollector::new(f.data_type())))
            .collect();
        Self { rows: 0, columns }
    }

    /// Counts rows whose values go to the column collectors.
    pub fn add_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Takes in what a collector has seen of the column at `index`.
    pub fn merge_column(&mut self, index: usize, seen: &ColumnCollector) {
        if let Some((_, column)) = self.columns.get_mut(index) {
            column.merge(seen);
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Delta's JSON.
    pub fn to_json(&self) -> String {
        let (mut mins, mut maxes, mut nulls) = (String::new(), String::new(), String::new());
        for (name, column) in &self.columns {
            if column.data_type.is_nested() {
                continue;
            }
            let key = quoted(name);
            let (min, max) = column.json();
            for (out, value) in
                [(&mut mins, min), (&mut maxes, max), (&mut nulls, Some(column.nulls.to_string()))]
            {
                if let Some(value) = value {
                    let comma = if out.is_empty() { "" } else { "," };
                    let _ = write!(out, "{comma}{key}:{value}");
                }
            }
        }
        format!(
            r#"{{"numRecords":{},"minValues":{{{mins}}},"maxValues":{{{maxes}}},"nullCount":{{{nulls}}}}}"#,
            self.rows
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int32Array, StringViewArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn stats(columns: Vec<(&str, ArrayRef)>) -> String {
        let fields: Vec<Field> =
            columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
        let mut file = FileCollector::new(&Schema::new(fields));
        file.add_rows(columns[0].1.len() as u64);
        for (i, (_, array)) in columns.iter().enumerate() {
            // In two halves, so that merging is covered too.
            let half = array.len() / 2;
            for part in [array.slice(0, half), array.slice(half, array.len() - half)] {
                let mut column = ColumnCollector::new(array.data_type());
                column.update(&part);
                file.merge_column(i, &column);
            }
        }
        file.to_json()
    }

    #[test]
    fn every_type_is_written_as_the_protocol_spells_it() {
        let at = 1_704_067_200_001_001_i64;
        let json = stats(vec![
            ("i", Arc::new(Int32Array::from(vec![Some(3), None, Some(-1)]))),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None, None]))),
            ("d", Arc::new(Date32Array::from(vec![0, 1, 19_723]))),
            (
                "n",
                Arc::new(
                    Decimal128Array::from(vec![Some(-5), Some(1250), None])
                        .with_precision_and_scale(38, 2)
                        .expect("fits"),
                ),
            ),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![at, at, at]).with_timezone("UTC"))),
            ("u", Arc::new(TimestampMicrosecondArray::from(vec![at, at, at]))),
            ("s", Arc::new(StringViewArray::from(vec!["é\"", "b", "a"]))),
            ("f", Arc::new(Float32Array::from(vec![0.1, 0.0, 1e20]))),
        ]);
        assert_eq!(
            json,
            concat!(
                r#"{"numRecords":3,"minValues":{"i":-1,"d":"1970-01-01","n":-0.05,"t":"2024-01-01T00:00:00.001Z","u":"2024-01-01T00:00:00.001","s":"a","f":-0.0},"#,
                r#""maxValues":{"i":3,"d":"2024-01-01","n":12.50,"t":"2024-01-01T00:00:00.002Z","u":"2024-01-01T00:00:00.002","s":"é\"","f":1e20},"#,
                r#""nullCount":{"i":1,"b":2,"d":0,"n":1,"t":0,"u":0,"s":0,"f":0}}"#
            )
        );
    }

    #[test]
    fn what_json_cannot_hold_is_left_out() {
        let json = stats(vec![
            ("nan", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
            ("inf", Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]))),
            ("old", Arc::new(Date32Array::from(vec![i32::MIN, 0]))),
        ]);
        assert_eq!(
            json,
            r#"{"numRecords":2,"minValues":{"inf":1.0},"maxValues":{"old":"1970-01-01"},"nullCount":{"nan":0,"inf":0,"old":0}}"#
        );
    }

    #[test]
    fn cut_texts_stay_bounds() {
        let long = "x".repeat(40);
        assert_eq!(cut_min(&long), "x".repeat(32));
        assert_eq!(cut_max(&long), format!("{}\u{10FFFF}", "x".repeat(32)));
        assert_eq!(cut_max(&"x".repeat(32)), "x".repeat(32));
        let high = format!("{}\u{10FFFF}y", "x".repeat(32));
        assert!(cut_max(&high) >= high);
    }
}
