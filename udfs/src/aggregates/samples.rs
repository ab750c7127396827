//! Accumulators of the distances between two samples, one in each column.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Accumulator;

use super::Metric;
use super::arguments::{
    Arguments, ClassType, Classes, list, list_numbers, list_row, list_type, numbers, value,
};
use crate::drift::{DecileBins, js_divergence, ks_statistic, psi, shares};

pub(super) fn state(arguments: &Arguments) -> Vec<(&'static str, DataType)> {
    let numbers = || list_type(DataType::Float64);
    match arguments.class_type {
        None => vec![("expected", numbers()), ("actual", numbers())],
        Some(_) => vec![
            ("categories", list_type(DataType::Utf8)),
            ("expected", numbers()),
            ("actual", numbers()),
        ],
    }
}

pub(super) fn accumulator(metric: Metric, arguments: Arguments) -> Box<dyn Accumulator> {
    match arguments.class_type {
        None => Box::new(NumberSamples { metric, samples: [Vec::new(), Vec::new()] }),
        Some(class_type) => {
            Box::new(CategorySamples { metric, class_type, counts: BTreeMap::new() })
        }
    }
}

/// Keeps the numbers of both samples: deciles and distribution functions need them all.
#[derive(Debug)]
struct NumberSamples {
    metric: Metric,
    samples: [Vec<f64>; 2],
}

impl Accumulator for NumberSamples {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        for (sample, column) in self.samples.iter_mut().zip(batch) {
            let column = numbers(column)?;
            sample.extend((0..column.len()).filter_map(|row| value(&column, row)));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (sample, column) in self.samples.iter_mut().zip(states) {
            for row in 0..column.len() {
                sample.extend_from_slice(list_numbers(column, row)?.values());
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self
            .samples
            .iter_mut()
            .map(|sample| list(Arc::new(Float64Array::from(std::mem::take(sample)))))
            .collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [expected, actual] = &self.samples;
        if self.metric == Metric::KsStat {
            return Ok(ScalarValue::Float64(ks_statistic(expected, actual)));
        }
        let bins = DecileBins::of_sample(expected).filter(|_| !actual.is_empty());
        let distance =
            bins.map(|bins| distance(self.metric, &bins.shares(expected), &bins.shares(actual)));
        Ok(ScalarValue::Float64(distance))
    }

    fn size(&self) -> usize {
        let numbers: usize = self.samples.iter().map(Vec::capacity).sum();
        size_of_val(self) + numbers * size_of::<f64>()
    }
}

fn distance(metric: Metric, expected: &[f64], actual: &[f64]) -> f64 {
    match metric {
        Metric::Psi => psi(expected, actual),
        _ => js_divergence(expected, actual),
    }
}

/// Counts the categories of both samples.
#[derive(Debug)]
struct CategorySamples {
    metric: Metric,
    class_type: ClassType,
    counts: BTreeMap<String, [f64; 2]>,
}

impl CategorySamples {
    fn add(&mut self, category: &str, sample: usize, count: f64) {
        match self.counts.get_mut(category) {
            Some(counts) => counts[sample] += count,
            None => {
                let mut counts = [0.0; 2];
                counts[sample] = count;
                self.counts.insert(category.to_owned(), counts);
            }
        }
    }
}

impl Accumulator for CategorySamples {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        for (sample, column) in batch.iter().enumerate().take(2) {
            match Classes::read(column, self.class_type)? {
                Classes::Texts(texts) => {
                    for text in texts.iter().flatten() {
                        self.add(text, sample, 1.0);
                    }
                }
                Classes::Keys(keys) => {
                    for key in keys.iter().flatten() {
                        self.add(&key.to_string(), sample, 1.0);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let categories = list_row(&states[0], row)?;
            let expected = list_numbers(&states[1], row)?;
            let actual = list_numbers(&states[2], row)?;
            for (i, category) in categories.as_string::<i32>().iter().flatten().enumerate() {
                self.add(category, 0, expected.value(i));
                self.add(category, 1, actual.value(i));
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let categories = StringArray::from_iter_values(self.counts.keys());
        let column = |sample: usize| -> ScalarValue {
            let counts = self.counts.values().map(|counts| counts[sample]);
            list(Arc::new(Float64Array::from_iter_values(counts)))
        };
        Ok(vec![list(Arc::new(categories)), column(0), column(1)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let counts = |sample: usize| -> Vec<f64> {
            self.counts.values().map(|counts| counts[sample]).collect()
        };
        let (expected, actual) = (counts(0), counts(1));
        let has_both =
            [&expected, &actual].iter().all(|counts| counts.iter().any(|count| *count > 0.0));
        let distance =
            has_both.then(|| distance(self.metric, &shares(&expected), &shares(&actual)));
        Ok(ScalarValue::Float64(distance))
    }

    fn size(&self) -> usize {
        let texts: usize = self.counts.keys().map(String::capacity).sum();
        size_of_val(self) + texts + self.counts.len() * size_of::<(String, [f64; 2])>()
    }
}
