//! Accumulators of the metrics of predicted classes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{Accumulator, ColumnarValue};

use super::Metric;
use super::arguments::{
    Arguments, ClassType, Classes, list, list_numbers, list_row, list_type, parts, scalars,
};
use crate::classification::{Average, ClassTotals};
use crate::summation::Compensated;
use crate::total::float_key;

/// The `average` argument of `precision`, `recall` and `f1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requested {
    /// Not given: binary for up to two classes, else macro.
    ByClasses,
    Binary,
    Macro,
    Micro,
    Weighted,
}

/// The average that a call asks for: a constant.
pub(super) fn requested_average(
    metric: Metric,
    arguments: &Arguments,
    call: &AccumulatorArgs<'_>,
) -> Result<Requested> {
    let name = metric.name();
    let Some(position) = arguments.average else {
        return Ok(Requested::ByClasses);
    };
    let no_columns = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let Ok(ColumnarValue::Scalar(average)) = call.exprs[position].evaluate(&no_columns) else {
        return plan_err!("{name}: the average must be a constant");
    };
    match average.try_as_str().flatten() {
        None => Ok(Requested::ByClasses),
        Some("binary") => Ok(Requested::Binary),
        Some("macro") => Ok(Requested::Macro),
        Some("micro") => Ok(Requested::Micro),
        Some("weighted") => Ok(Requested::Weighted),
        Some(other) => plan_err!(
            "{name}: the average must be 'macro', 'micro', 'weighted' or 'binary', not '{other}'"
        ),
    }
}

pub(super) fn state(arguments: &Arguments) -> Vec<(&'static str, DataType)> {
    let classes = match arguments.class_type {
        Some(ClassType::Text) => DataType::Utf8,
        _ => DataType::Int64,
    };
    vec![
        ("classes", list_type(classes)),
        ("actual", list_type(DataType::Float64)),
        ("predicted", list_type(DataType::Float64)),
        ("correct", list_type(DataType::Float64)),
    ]
}

/// Numbers classes in the order in which they are met.
#[derive(Debug)]
enum Numbering {
    Keys(HashMap<i64, usize>),
    Texts(HashMap<String, usize>),
}

impl Numbering {
    fn key(numbers: &mut HashMap<i64, usize>, key: i64) -> usize {
        let next = numbers.len();
        *numbers.entry(key).or_insert(next)
    }

    fn text(numbers: &mut HashMap<String, usize>, text: &str) -> usize {
        if let Some(number) = numbers.get(text) {
            return *number;
        }
        let next = numbers.len();
        numbers.insert(text.to_owned(), next);
        next
    }

    /// The classes in their order as an array, and the number that each was given.
    fn sorted(&self) -> (ArrayRef, Vec<usize>) {
        match self {
            Self::Keys(numbers) => {
                let mut sorted: Vec<(i64, usize)> = numbers.iter().map(|(k, n)| (*k, *n)).collect();
                sorted.sort_unstable();
                let (keys, numbers): (Vec<i64>, Vec<usize>) = sorted.into_iter().unzip();
                (Arc::new(Int64Array::from(keys)), numbers)
            }
            Self::Texts(numbers) => {
                let mut sorted: Vec<(&str, usize)> =
                    numbers.iter().map(|(k, n)| (k.as_str(), *n)).collect();
                sorted.sort_unstable();
                let (texts, numbers): (Vec<&str>, Vec<usize>) = sorted.into_iter().unzip();
                (Arc::new(StringArray::from(texts)), numbers)
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Keys(numbers) => numbers.capacity() * size_of::<(i64, usize)>(),
            Self::Texts(numbers) => {
                numbers.capacity() * size_of::<(String, usize)>()
                    + numbers.keys().map(String::capacity).sum::<usize>()
            }
        }
    }
}

/// Accumulates [`ClassTotals`] of classes that are found on the way.
#[derive(Debug)]
pub(super) struct ClassAccumulator {
    metric: Metric,
    arguments: Arguments,
    class_type: ClassType,
    average: Requested,
    numbering: Numbering,
    totals: ClassTotals,
}

impl ClassAccumulator {
    pub(super) fn new(metric: Metric, arguments: Arguments, average: Requested) -> Self {
        let class_type = arguments.class_type.unwrap_or(ClassType::Text);
        Self {
            metric,
            arguments,
            class_type,
            average,
            numbering: match class_type {
                ClassType::Text => Numbering::Texts(HashMap::new()),
                _ => Numbering::Keys(HashMap::new()),
            },
            totals: ClassTotals::default(),
        }
    }

    /// The totals with the classes in their order, and the number of the positive class.
    fn ordered(&self) -> (ClassTotals, usize) {
        let (classes, numbers) = self.numbering.sorted();
        let mut totals = ClassTotals::new(numbers.len());
        for (class, number) in numbers.into_iter().enumerate() {
            totals.add(class, self.totals.of(number));
        }
        let mut positive = totals.classes().saturating_sub(1);
        // Of false and true, and of 0 and 1, the positive class is known without rows of it.
        let one = match self.class_type {
            ClassType::Text => None,
            ClassType::Float => Some(float_key(1.0)),
            ClassType::Boolean | ClassType::Integer => Some(1),
        };
        if let Some(one) = one {
            let keys = classes.as_primitive::<Int64Type>().values();
            if keys.iter().all(|key| *key == 0 || *key == one) && !keys.contains(&one) {
                positive = totals.classes();
            }
        }
        (totals, positive)
    }

    fn average(&self, totals: &ClassTotals, positive: usize) -> Result<Average> {
        let classes = totals.classes().max(positive + 1);
        Ok(match self.average {
            Requested::ByClasses if classes <= 2 => Average::Binary { positive },
            Requested::Binary if classes <= 2 => Average::Binary { positive },
            Requested::Binary => {
                return exec_err!(
                    "{}: the average 'binary' needs two classes, but there are {classes}",
                    self.metric.name()
                );
            }
            Requested::ByClasses | Requested::Macro => Average::Macro,
            Requested::Micro => Average::Micro,
            Requested::Weighted => Average::Weighted,
        })
    }
}

impl Accumulator for ClassAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let weights = self.arguments.weights(batch)?;
        let actual = Classes::read(&batch[0], self.class_type)?;
        let predicted = Classes::read(&batch[1], self.class_type)?;
        match (&mut self.numbering, actual, predicted) {
            (Numbering::Keys(numbers), Classes::Keys(actual), Classes::Keys(predicted)) => {
                for (row, pair) in actual.iter().zip(&predicted).enumerate() {
                    if let (Some(actual), Some(predicted)) = pair
                        && let Some(weight) = weights.get(row)
                    {
                        let actual = Numbering::key(numbers, actual);
                        let predicted = Numbering::key(numbers, predicted);
                        self.totals.update(actual, predicted, weight);
                    }
                }
            }
            (Numbering::Texts(numbers), Classes::Texts(actual), Classes::Texts(predicted)) => {
                for (row, pair) in actual.iter().zip(&predicted).enumerate() {
                    if let (Some(actual), Some(predicted)) = pair
                        && let Some(weight) = weights.get(row)
                    {
                        let actual = Numbering::text(numbers, actual);
                        let predicted = Numbering::text(numbers, predicted);
                        self.totals.update(actual, predicted, weight);
                    }
                }
            }
            _ => return exec_err!("{}: classes of two types", self.metric.name()),
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let classes = list_row(&states[0], row)?;
            let actual = list_numbers(&states[1], row)?;
            let predicted = list_numbers(&states[2], row)?;
            let correct = list_numbers(&states[3], row)?;
            for i in 0..classes.len() {
                let class = match &mut self.numbering {
                    Numbering::Keys(numbers) => {
                        Numbering::key(numbers, classes.as_primitive::<Int64Type>().value(i))
                    }
                    Numbering::Texts(numbers) => {
                        Numbering::text(numbers, classes.as_string::<i32>().value(i))
                    }
                };
                let totals = [actual.value(i), predicted.value(i), correct.value(i)];
                self.totals.add(class, totals);
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (classes, numbers) = self.numbering.sorted();
        let column = |part: usize| -> ScalarValue {
            let values = numbers.iter().map(|number| self.totals.of(*number)[part]);
            list(Arc::new(Float64Array::from_iter_values(values)))
        };
        Ok(vec![list(classes), column(0), column(1), column(2)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (totals, positive) = self.ordered();
        let average = self.average(&totals, positive)?;
        Ok(ScalarValue::Float64(match self.metric {
            Metric::Precision => totals.precision(average),
            Metric::Recall => totals.recall(average),
            Metric::F1 => totals.f1(average),
            Metric::Mcc => totals.mcc(),
            _ => totals.cohen_kappa(),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.numbering.size() + self.totals.classes() * 3 * size_of::<f64>()
    }
}

pub(super) fn accuracy_state() -> Vec<(&'static str, DataType)> {
    ["correct", "correct_correction", "weight", "weight_correction"]
        .map(|name| (name, DataType::Float64))
        .to_vec()
}

/// Accumulates the weight of all rows and of the correct ones: the accuracy needs no
/// totals of single classes, so that it costs nothing to have a million of them.
#[derive(Debug)]
pub(super) struct AccuracyAccumulator {
    arguments: Arguments,
    correct: Compensated,
    weight: Compensated,
}

impl AccuracyAccumulator {
    pub(super) fn new(arguments: Arguments) -> Self {
        Self { arguments, correct: Compensated::default(), weight: Compensated::default() }
    }

    fn add(&mut self, correct: bool, weight: f64) {
        self.weight.add(weight);
        if correct {
            self.correct.add(weight);
        }
    }
}

impl Accumulator for AccuracyAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let weights = self.arguments.weights(batch)?;
        let class_type = self.arguments.class_type.unwrap_or(ClassType::Text);
        let actual = Classes::read(&batch[0], class_type)?;
        let predicted = Classes::read(&batch[1], class_type)?;
        match (actual, predicted) {
            (Classes::Keys(actual), Classes::Keys(predicted)) => {
                for (row, pair) in actual.iter().zip(&predicted).enumerate() {
                    if let (Some(actual), Some(predicted)) = pair
                        && let Some(weight) = weights.get(row)
                    {
                        self.add(actual == predicted, weight);
                    }
                }
            }
            (Classes::Texts(actual), Classes::Texts(predicted)) => {
                for (row, pair) in actual.iter().zip(&predicted).enumerate() {
                    if let (Some(actual), Some(predicted)) = pair
                        && let Some(weight) = weights.get(row)
                    {
                        self.add(actual == predicted, weight);
                    }
                }
            }
            _ => return exec_err!("accuracy: classes of two types"),
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let [c0, c1, w0, w1] = parts(states, row);
            self.correct.merge(&Compensated::from_parts([c0, c1]));
            self.weight.merge(&Compensated::from_parts([w0, w1]));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let [c0, c1] = self.correct.parts();
        let [w0, w1] = self.weight.parts();
        Ok(scalars(&[c0, c1, w0, w1]))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let weight = self.weight.value();
        let accuracy = (weight > 0.0).then(|| self.correct.value() / weight);
        Ok(ScalarValue::Float64(accuracy))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
