//! File statistics in Delta's JSON: written for new files, read for planning.

mod collect;

pub use collect::{ColumnCollector, FileCollector};

use super::actions::Add;
use super::text;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Statistics are kept for this many columns, the protocol's default.
pub const INDEXED_COLUMNS: usize = 32;

/// Decimals of more digits may have passed through a double in another writer.
const EXACT_DECIMAL_DIGITS: usize = 15;

/// `numRecords` of a file's statistics.
///
/// Read without parsing the whole text, since a table's row count asks every file.
pub fn num_records(add: &Add) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        #[serde(rename = "numRecords")]
        num_records: Option<u64>,
    }
    let count: Count = serde_json::from_str(add.stats.as_deref()?).ok()?;
    count.num_records
}

/// The parsed statistics of one file, kept with it for as long as it is live.
#[derive(Debug, Default)]
pub struct StatsCache(Mutex<Option<(SchemaRef, Arc<Statistics>)>>);

impl StatsCache {
    /// The file's statistics over `schema`, parsed at most once per schema.
    pub fn get(&self, add: &Add, schema: &SchemaRef, partition_by: &[String]) -> Arc<Statistics> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some((known, statistics)) if Arc::ptr_eq(known, schema) || known == schema => {
                // The next look-up with the same schema compares one pointer.
                *known = Arc::clone(schema);
                Arc::clone(statistics)
            }
            _ => {
                let parsed = Arc::new(parse(add, schema, partition_by));
                *kept = Some((Arc::clone(schema), Arc::clone(&parsed)));
                parsed
            }
        }
    }
}

/// Delta's statistics JSON; values stay text until their type is known.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Raw<'a> {
    num_records: Option<usize>,
    #[serde(borrow)]
    min_values: HashMap<String, &'a RawValue>,
    #[serde(borrow)]
    max_values: HashMap<String, &'a RawValue>,
    #[serde(borrow)]
    null_count: HashMap<String, &'a RawValue>,
    tight_bounds: Option<bool>,
}

/// A file's statistics over the table's columns, partition columns included.
///
/// Exact are row counts, null counts, and the bounds of integers, dates, short decimals and
/// partition columns. The bounds of texts (they may be cut), timestamps (cut to milliseconds) and
/// floats (NaN is left out) are inexact: right for skipping files, wrong as a result of min().
pub fn parse(add: &Add, schema: &Schema, partition_by: &[String]) -> Statistics {
    let json = add.stats.as_deref().unwrap_or("{}");
    let raw: Raw = serde_json::from_str(json).unwrap_or_default();
    let tight = raw.tight_bounds != Some(false) && add.deletion_vector.is_none();
    let rows = raw.num_records.map_or(Precision::Absent, Precision::Exact);
    let column_statistics = schema
        .fields()
        .iter()
        .map(|field| {
            let name = field.name();
            if partition_by.contains(name) {
                let value = add.partition_values.get(name).and_then(Option::as_deref);
                return partition_statistics(value, field.data_type(), rows);
            }
            let bound = |values: &HashMap<String, &RawValue>, is_max| {
                values.get(name).and_then(|raw| value(raw.get(), field.data_type(), is_max)).map_or(
                    Precision::Absent,
                    |(value, exact)| {
                        if exact && tight {
                            Precision::Exact(value)
                        } else {
                            Precision::Inexact(value)
                        }
                    },
                )
            };
            let nulls = raw.null_count.get(name).and_then(|raw| raw.get().parse::<usize>().ok());
            ColumnStatistics {
                null_count: match nulls {
                    Some(n) if tight => Precision::Exact(n),
                    Some(n) => Precision::Inexact(n),
                    None => Precision::Absent,
                },
                min_value: bound(&raw.min_values, false),
                max_value: bound(&raw.max_values, true),
                ..ColumnStatistics::new_unknown()
            }
        })
        .collect();
    let width: usize = schema.fields().iter().map(|f| width(f.data_type())).sum();
    let total_byte_size = match rows.get_value() {
        Some(rows) => Precision::Inexact(rows * width),
        None => Precision::Absent,
    };
    Statistics { num_rows: rows, total_byte_size, column_statistics }
}

/// The value of a partition column in a file; NULL is an empty text or none.
pub fn partition_value(value: Option<&str>, data_type: &DataType) -> Option<ScalarValue> {
    match value {
        None | Some("") => ScalarValue::try_from(data_type).ok(),
        Some(text) => text::parse(text, data_type),
    }
}

fn partition_statistics(
    value: Option<&str>,
    data_type: &DataType,
    rows: Precision<usize>,
) -> ColumnStatistics {
    match partition_value(value, data_type) {
        Some(value) if value.is_null() => {
            ColumnStatistics { null_count: rows, ..ColumnStatistics::new_unknown() }
        }
        Some(value) => ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: Precision::Exact(value.clone()),
            max_value: Precision::Exact(value),
            distinct_count: Precision::Exact(1),
            ..ColumnStatistics::new_unknown()
        },
        None => ColumnStatistics::new_unknown(),
    }
}

/// A bound and whether it is the exact minimum or maximum.
fn value(raw: &str, data_type: &DataType, is_max: bool) -> Option<(ScalarValue, bool)> {
    let unquoted: String;
    let content = if raw.starts_with('"') {
        unquoted = serde_json::from_str(raw).ok()?;
        unquoted.as_str()
    } else {
        raw
    };
    let value = text::parse(content, data_type)?;
    Some(match value {
        // Writers cut timestamps to milliseconds: the true maximum may lie up to 999 µs higher.
        ScalarValue::TimestampMicrosecond(Some(v), zone) => {
            let v = if is_max { v.saturating_add(999) } else { v };
            (ScalarValue::TimestampMicrosecond(Some(v), zone), false)
        }
        ScalarValue::Float32(Some(v)) if v.is_nan() => return None,
        ScalarValue::Float64(Some(v)) if v.is_nan() => return None,
        ScalarValue::Float32(_)
        | ScalarValue::Float64(_)
        | ScalarValue::Utf8(_)
        | ScalarValue::Utf8View(_) => (value, false),
        ScalarValue::Decimal128(..) => {
            let digits = content.bytes().filter(u8::is_ascii_digit).count();
            (value, digits <= EXACT_DECIMAL_DIGITS)
        }
        other => (other, true),
    })
}

/// Statistics of many files as one, over `columns` columns.
///
/// Unlike DataFusion's own merge, a file with nothing but NULL in a column does not spoil the
/// column's bounds.
pub fn merge<'a>(files: impl Iterator<Item = &'a Statistics>, columns: usize) -> Statistics {
    let mut total = Statistics {
        num_rows: Precision::Exact(0),
        total_byte_size: Precision::Inexact(0),
        column_statistics: vec![ColumnStatistics::new_unknown(); columns],
    };
    let mut seen = vec![false; columns];
    for column in &mut total.column_statistics {
        column.null_count = Precision::Exact(0);
    }
    for file in files {
        for ((sum, seen), next) in
            total.column_statistics.iter_mut().zip(&mut seen).zip(&file.column_statistics)
        {
            sum.null_count = sum.null_count.add(&next.null_count);
            let only_null = next.null_count.get_value().is_some()
                && next.null_count.get_value() == file.num_rows.get_value();
            if only_null {
                continue;
            }
            if *seen {
                sum.min_value = sum.min_value.min(&next.min_value);
                sum.max_value = sum.max_value.max(&next.max_value);
            } else {
                *seen = true;
                sum.min_value = next.min_value.clone();
                sum.max_value = next.max_value.clone();
            }
        }
        total.num_rows = total.num_rows.add(&file.num_rows);
        total.total_byte_size = total.total_byte_size.add(&file.total_byte_size);
    }
    total
}

/// A guess at the bytes of a value in memory.
fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(match data_type {
        DataType::Boolean => 1,
        _ => 32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, TimeUnit};
    use std::collections::BTreeMap;

    fn schema() -> Schema {
        let ts = DataType::Timestamp(TimeUnit::Microsecond, None);
        Schema::new(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("d", DataType::Decimal128(20, 2), true),
            Field::new("t", ts, true),
            Field::new("s", DataType::Utf8View, true),
            Field::new("p", DataType::Int64, true),
        ])
    }

    fn add(stats: &str, p: Option<&str>) -> Add {
        Add {
            path: "f".into(),
            partition_values: BTreeMap::from([("p".into(), p.map(str::to_owned))]),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: Some(stats.into()),
            tags: None,
            deletion_vector: None,
        }
    }

    #[test]
    fn bounds_are_exact_only_where_they_can_be() {
        let json = r#"{"numRecords":3,"minValues":{"i":1,"d":1.25,"t":"2024-01-01T00:00:00.001","s":"a"},"maxValues":{"i":4,"d":123456789012345678.25,"t":"2024-01-01T00:00:00.001","s":"z"},"nullCount":{"i":1,"d":0}}"#;
        let stats = parse(&add(json, Some("7")), &schema(), &["p".into()]);
        assert_eq!(stats.num_rows, Precision::Exact(3));
        let [i, d, t, s, p] = &stats.column_statistics[..] else { panic!("five columns") };
        assert_eq!(i.min_value, Precision::Exact(ScalarValue::Int32(Some(1))));
        assert_eq!(i.null_count, Precision::Exact(1));
        assert_eq!(d.min_value, Precision::Exact(ScalarValue::Decimal128(Some(125), 20, 2)));
        assert_eq!(
            d.max_value,
            Precision::Inexact(ScalarValue::Decimal128(Some(12_345_678_901_234_567_825), 20, 2))
        );
        let at = 1_704_067_200_001_000;
        assert_eq!(
            (&t.min_value, &t.max_value),
            (
                &Precision::Inexact(ScalarValue::TimestampMicrosecond(Some(at), None)),
                &Precision::Inexact(ScalarValue::TimestampMicrosecond(Some(at + 999), None))
            )
        );
        assert_eq!(s.max_value, Precision::Inexact(ScalarValue::Utf8View(Some("z".into()))));
        assert_eq!(s.null_count, Precision::Absent);
        assert_eq!(p.min_value, Precision::Exact(ScalarValue::Int64(Some(7))));
    }

    #[test]
    fn loose_bounds_and_broken_json_are_not_believed() {
        let json =
            r#"{"numRecords":3,"minValues":{"i":1},"nullCount":{"i":1},"tightBounds":false}"#;
        let stats = parse(&add(json, None), &schema(), &["p".into()]);
        assert_eq!(
            stats.column_statistics[0].min_value,
            Precision::Inexact(ScalarValue::Int32(Some(1)))
        );
        assert_eq!(stats.column_statistics[4].null_count, Precision::Exact(3));
        assert_eq!(parse(&add("{", None), &schema(), &[]).num_rows, Precision::Absent);
    }

    #[test]
    fn a_file_of_nulls_does_not_spoil_the_bounds() {
        let schema = schema();
        let full = parse(
            &add(
                r#"{"numRecords":2,"minValues":{"i":1},"maxValues":{"i":5},"nullCount":{"i":0}}"#,
                None,
            ),
            &schema,
            &[],
        );
        let nulls = parse(&add(r#"{"numRecords":3,"nullCount":{"i":3}}"#, None), &schema, &[]);
        for order in [[&full, &nulls], [&nulls, &full]] {
            let merged = merge(order.into_iter(), 5);
            assert_eq!(merged.num_rows, Precision::Exact(5));
            let i = &merged.column_statistics[0];
            assert_eq!(i.null_count, Precision::Exact(3));
            assert_eq!(i.min_value, Precision::Exact(ScalarValue::Int32(Some(1))));
            assert_eq!(i.max_value, Precision::Exact(ScalarValue::Int32(Some(5))));
        }
    }

    #[test]
    fn the_cache_follows_the_schema() {
        let cache = StatsCache::default();
        let file = add(r#"{"numRecords":1,"minValues":{"i":1}}"#, None);
        let wide = Arc::new(schema());
        let narrow = Arc::new(Schema::new(vec![Field::new("i", DataType::Int64, true)]));
        let first = cache.get(&file, &wide, &[]);
        assert!(Arc::ptr_eq(&first, &cache.get(&file, &Arc::new(schema()), &[])));
        let other = cache.get(&file, &narrow, &[]);
        assert_eq!(
            other.column_statistics[0].min_value,
            Precision::Exact(ScalarValue::Int64(Some(1)))
        );
    }
}
