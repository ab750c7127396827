//! The types of what several rows or queries give for one column: VALUES and UNION.
//!
//! DataFusion finds a numeric for a numeric and a float, which rounds small floats to 0, and reads every
//! whole literal as bigint.

use super::operands::{MICROSECONDS, typed};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, LogicalPlan, Projection, Union, Values, cast,
};
use datafusion::optimizer::analyzer::type_coercion::coerce_union_schema;
use std::sync::Arc;

/// Two kinds of types that stand beside each other, and the type that PostgreSQL finds for both.
pub(super) struct Mixed {
    /// The type of both.
    pub(super) to: DataType,
}

impl Mixed {
    /// True for the type of the two that is to be cast.
    pub(super) fn is_cast(&self, found: &DataType) -> bool {
        match self.to {
            DataType::Float64 => matches!(found, DataType::Decimal128(..)),
            _ => *found == DataType::Date32,
        }
    }
}

/// Numerics beside floats are floats, dates beside timestamps timestamps.
pub(super) fn mixed(types: &[DataType]) -> Option<Mixed> {
    let has = |wanted: &dyn Fn(&DataType) -> bool| types.iter().any(wanted);
    if has(&DataType::is_floating) && has(&|t| matches!(t, DataType::Decimal128(..))) {
        return Some(Mixed { to: DataType::Float64 });
    }
    (has(&|t| *t == MICROSECONDS) && has(&|t| *t == DataType::Date32))
        .then_some(Mixed { to: MICROSECONDS })
}

/// VALUES with the types that PostgreSQL finds for its columns.
pub(super) fn values(values: Values) -> Result<Transformed<LogicalPlan>> {
    let none = DFSchema::empty();
    let Values { schema, values: mut rows } = values;
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (place, (qualifier, field)) in schema.iter().enumerate() {
        let planned = field.data_type();
        let cells: Vec<Expr> =
            rows.iter_mut().filter_map(|row| row.get_mut(place)).map(std::mem::take).collect();
        let strip = is_stripped(&cells, planned);
        let cells: Vec<Expr> = cells
            .into_iter()
            .map(|cell| {
                let cell = if strip { without_cast(cell, planned) } else { cell };
                typed(cell, &none).map(|t| t.data)
            })
            .collect::<Result<_>>()?;
        let to = column_type(&cells, planned);
        for (row, cell) in rows.iter_mut().zip(cells) {
            row[place] = match cell {
                Expr::Literal(value, metadata) if value.is_null() => {
                    Expr::Literal(ScalarValue::try_from(&to)?, metadata)
                }
                other => other.cast_to(&to, &none)?,
            };
        }
        let field = field.as_ref().clone().with_data_type(to);
        fields.push((qualifier.cloned(), Arc::new(field)));
    }
    let schema = Arc::new(DFSchema::new_with_metadata(fields, schema.metadata().clone())?);
    Ok(Transformed::yes(LogicalPlan::Values(Values { schema, values: rows })))
}

/// The cells' own types tell more than the column's, where DataFusion cast them to it.
fn is_stripped(cells: &[Expr], planned: &DataType) -> bool {
    let none = DFSchema::empty();
    let inner = |cell: &Expr| match cell {
        Expr::Cast(c) if c.field.data_type() == planned => c.expr.get_type(&none).ok(),
        other => other.get_type(&none).ok(),
    };
    match planned {
        DataType::Decimal128(..) => cells.iter().any(|c| inner(c).is_some_and(|t| t.is_floating())),
        DataType::Int64 => cells.iter().any(|c| match c {
            Expr::Cast(_) => false,
            Expr::Literal(value, _) => !value.is_null(),
            _ => true,
        }),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => true,
        _ => false,
    }
}

fn without_cast(cell: Expr, planned: &DataType) -> Expr {
    let of_kind = |t: &DataType| match planned {
        DataType::Int64 => matches!(t, DataType::Int8 | DataType::Int16 | DataType::Int32),
        DataType::Decimal128(..) => t.is_numeric(),
        _ => t.is_temporal(),
    };
    match cell {
        Expr::Cast(Cast { expr, field })
            if field.data_type() == planned
                && expr.get_type(&DFSchema::empty()).is_ok_and(|t| of_kind(&t)) =>
        {
            *expr
        }
        other => other,
    }
}

fn column_type(cells: &[Expr], planned: &DataType) -> DataType {
    let none = DFSchema::empty();
    let mut types: Vec<DataType> = Vec::new();
    for cell in cells {
        let is_null = matches!(cell, Expr::Literal(value, _) if value.is_null());
        match cell.get_type(&none) {
            Ok(DataType::Null) => {}
            _ if is_null => {}
            Ok(found) if types.contains(&found) => {}
            Ok(found) => types.push(found),
            Err(_) => return planned.clone(),
        }
    }
    match types.as_slice() {
        [] => planned.clone(),
        [one] => one.clone(),
        several => match mixed(several) {
            Some(mixed) => mixed.to,
            None => type_union_resolution(several).unwrap_or_else(|| planned.clone()),
        },
    }
}

/// UNION over inputs whose numerics beside floats are floats.
pub(super) fn union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let Union { inputs, schema } = union;
    let count = schema.fields().len();
    if inputs.iter().any(|input| input.schema().fields().len() != count) {
        return Ok(Transformed::no(LogicalPlan::Union(Union { inputs, schema })));
    }
    let columns: Vec<Option<Mixed>> = (0..count)
        .map(|place| {
            let types = inputs.iter().map(|i| i.schema().field(place).data_type().clone());
            mixed(&types.collect::<Vec<_>>())
        })
        .collect();
    let inputs: Vec<_> =
        inputs.into_iter().map(|input| cast_columns(input, &columns)).collect::<Result<_>>()?;
    // What does not fit together is refused by DataFusion's own rule.
    let schema = coerce_union_schema(&inputs).map_or(schema, Arc::new);
    Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema })))
}

fn cast_columns(input: Arc<LogicalPlan>, columns: &[Option<Mixed>]) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema().clone();
    let mut changed = false;
    let projected = schema.iter().zip(columns).map(|((qualifier, field), mixed)| {
        let column = Expr::from((qualifier, field));
        match mixed {
            Some(mixed) if mixed.is_cast(field.data_type()) => {
                changed = true;
                cast(column, mixed.to.clone()).alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    let projected: Vec<Expr> = projected.collect();
    Ok(if changed {
        Arc::new(LogicalPlan::Projection(Projection::try_new(projected, input)?))
    } else {
        input
    })
}
