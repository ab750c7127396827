//! `mode` and `percentile_disc` by the rules of PostgreSQL: ordered-set aggregates over any type.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// Which value of the ordered ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Choice {
    /// The most frequent one, the first of several.
    Mode,
    /// The first one at or behind a fraction of the rows.
    Percentile,
}

/// `mode() WITHIN GROUP (ORDER BY x)`, `percentile_disc(f) WITHIN GROUP (ORDER BY x)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OrderedChoice {
    choice: Choice,
    signature: Signature,
}

impl OrderedChoice {
    fn new(choice: Choice) -> Self {
        Self { choice, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// `mode`
    pub fn mode() -> Self {
        Self::new(Choice::Mode)
    }

    /// `percentile_disc`
    pub fn percentile() -> Self {
        Self::new(Choice::Percentile)
    }
}

impl AggregateUDFImpl for OrderedChoice {
    fn name(&self) -> &str {
        match self.choice {
            Choice::Mode => "mode",
            Choice::Percentile => "percentile_disc",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let wanted = if self.choice == Choice::Mode { 1 } else { 2 };
        if types.len() != wanted {
            return plan_err!("{} needs WITHIN GROUP (ORDER BY one value)", self.name());
        }
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = Field::new_list_field(args.input_fields[0].data_type().clone(), true);
        let name = |part| format_state_name(args.name, part);
        Ok(vec![
            Arc::new(Field::new(name("values"), DataType::List(Arc::new(item)), true)),
            Arc::new(Field::new(name("fraction"), DataType::Float64, true)),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let descending = args.order_bys.first().is_some_and(|key| key.options.descending);
        Ok(Box::new(Values {
            data_type: args.expr_fields[0].data_type().clone(),
            choice: self.choice,
            descending,
            fraction: None,
            values: Vec::new(),
            held: 0,
        }))
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// All values of a group.
#[derive(Debug)]
struct Values {
    data_type: DataType,
    choice: Choice,
    descending: bool,
    fraction: Option<f64>,
    values: Vec<ScalarValue>,
    held: usize,
}

impl Values {
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        for row in 0..array.len() {
            if array.is_valid(row) {
                let value = ScalarValue::try_from_array(array, row)?.compacted();
                self.held += value.size();
                self.values.push(value);
            }
        }
        Ok(())
    }

    /// Notes the fraction, which is the same in all rows; a state without rows has none.
    fn note_fraction(&mut self, fractions: &ArrayRef) -> Result<()> {
        let fractions = arrow::compute::cast(fractions, &DataType::Float64)?;
        let known = fractions.as_primitive::<Float64Type>().iter().flatten().next();
        self.fraction = known.or(self.fraction);
        Ok(())
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        if let Some(fractions) = batch.get(1) {
            self.note_fraction(fractions)?;
        }
        self.add(&batch[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.note_fraction(&states[1])?;
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.add(&values)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = std::mem::take(&mut self.values);
        let array = match values.is_empty() {
            true => arrow::array::new_empty_array(&self.data_type),
            false => ScalarValue::iter_to_array(values)?,
        };
        let values = SingleRowListArrayBuilder::new(array).build_list_scalar();
        Ok(vec![values, ScalarValue::Float64(self.fraction)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let nothing = ScalarValue::try_from(&self.data_type)?;
        let mut values = std::mem::take(&mut self.values);
        let chosen = match self.choice {
            Choice::Mode => {
                let mut counts: HashMap<ScalarValue, usize> = HashMap::new();
                for value in values {
                    *counts.entry(value).or_default() += 1;
                }
                let before = |a: &ScalarValue, b: &ScalarValue| {
                    let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
                    if self.descending { order } else { order.reverse() }
                };
                let most = counts.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then(before(a, b)));
                most.map(|(value, _)| value)
            }
            Choice::Percentile => {
                let Some(fraction) = self.fraction else { return Ok(nothing) };
                if !(0.0..=1.0).contains(&fraction) {
                    return exec_err!("percentile value {fraction} is not between 0 and 1");
                }
                values.sort_by(|a, b| {
                    let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
                    if self.descending { order.reverse() } else { order }
                });
                let place = (fraction * values.len() as f64).ceil() as usize;
                let place = place.saturating_sub(1);
                (place < values.len()).then(|| values.swap_remove(place))
            }
        };
        Ok(chosen.unwrap_or(nothing))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.held
    }
}
