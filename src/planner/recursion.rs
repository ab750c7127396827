//! The types of WITH RECURSIVE: DataFusion takes those of the first step for all.

use super::from_functions::is_integer;
use crate::catalog::SqlType;
use crate::parser::{fold_ident, object_name};
use sqlparser::ast::{
    CastKind, Cte, DataType, ExactNumberInfo, Expr, SelectItem, SetExpr, Value, visit_relations,
};
use std::ops::ControlFlow;

/// Whole literals in the first step of a recursive query are integers, as its columns then are. Numerics have
/// room for digits that later steps bring: DataFusion would round them to those of the first.
pub(super) fn type_first_step(cte: &mut Cte) {
    let own = fold_ident(&cte.alias.name.value, cte.alias.name.quote_style);
    let recursion = visit_relations(&cte.query, |name| match object_name(name) == [own.as_str()] {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    let SetExpr::SetOperation { left, .. } = cte.query.body.as_mut() else { return };
    if !recursion.is_break() {
        return;
    }
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
        if is_integer(cell) {
            cast(cell, DataType::Integer(None));
        } else if let Expr::Cast { expr, data_type: data_type @ BARE_NUMERIC, .. } = cell {
            if let Some(open) = open_numeric(digits(expr).unwrap_or("0")) {
                *data_type = open;
            }
        } else if let Some(open) = digits(cell).filter(|d| d.contains('.')).and_then(open_numeric) {
            cast(cell, open);
        }
    }
}

const BARE_NUMERIC: DataType = DataType::Numeric(ExactNumberInfo::None);

fn cast(cell: &mut Expr, data_type: DataType) {
    let expr = Box::new(cell.clone());
    *cell = Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None, array: false };
}

/// A number as it is written, without its sign.
fn digits(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => digits(expr),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}

/// The type of a numeric column that begins with this number; none where it leaves no room.
fn open_numeric(digits: &str) -> Option<DataType> {
    let SqlType::Numeric(precision, scale) = SqlType::NUMERIC_DEFAULT else { return None };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = usize::from(scale.unsigned_abs()).max(fraction.len());
    let fits = whole.len() + scale <= usize::from(precision) && !digits.contains(['e', 'E']);
    let info = ExactNumberInfo::PrecisionAndScale(u64::from(precision), i64::try_from(scale).ok()?);
    fits.then_some(DataType::Numeric(info))
}
