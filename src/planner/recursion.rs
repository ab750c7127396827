//! The types of WITH RECURSIVE: DataFusion takes those of the first step for all.

use super::from_functions::is_integer;
use crate::catalog::SqlType;
use sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr, SelectItem, SetExpr, Value};

/// Whole literals in the first step of a recursive query are integers, as its columns then are. Numerics have
/// room for digits that later steps bring: DataFusion would round them to those of the first.
pub(super) fn type_first_step(body: &mut SetExpr) {
    let SetExpr::SetOperation { left, .. } = body else { return };
    let cells: Vec<&mut Expr> = match left.as_mut() {
        SetExpr::Select(select) => {
            let value = |item| match item {
                &mut (SelectItem::UnnamedExpr(ref mut expr)
                | SelectItem::ExprWithAlias { ref mut expr, .. }) => Some(expr),
                _ => None,
            };
            select.projection.iter_mut().filter_map(value).collect()
        }
        SetExpr::Values(values) => values.rows.iter_mut().flat_map(|row| row.iter_mut()).collect(),
        _ => return,
    };
    for cell in cells {
        let data_type = if is_integer(cell) {
            DataType::Integer(None)
        } else if is_open_numeric(cell) {
            let SqlType::Numeric(precision, scale) = SqlType::NUMERIC_DEFAULT else { return };
            let (precision, scale) = (u64::from(precision), i64::from(scale));
            DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, scale))
        } else {
            continue;
        };
        let expr = Box::new(cell.clone());
        *cell = Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None, array: false };
    }
}

/// A number with a point, or a cast to `numeric` without a precision.
fn is_open_numeric(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_open_numeric(expr),
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(digits, _) if digits.contains('.'))
        }
        Expr::Cast { data_type, .. } => {
            matches!(data_type, DataType::Numeric(ExactNumberInfo::None))
        }
        _ => false,
    }
}
