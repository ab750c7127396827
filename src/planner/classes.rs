//! The class that `predict_proba` names: a constant, compared with the classes as a value of the label's type.

use super::rewrite::argument_text;
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text, text_value};
use crate::ml::Model;
use crate::sqlstate::SqlState;
use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, UnaryOperator, Value, ValueWithSpan,
};

/// The position of the class that an argument names.
///
/// # Errors
/// 22023 for an unknown class and for what is no constant, 42809 for a regression, and what a cast finds.
pub(super) fn index(
    model: &Model,
    argument: &FunctionArg,
    reading: &EncodeSettings,
) -> Result<usize> {
    let text = match argument_text(argument) {
        Some((text, _)) => Some(text),
        None => match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => text_of(expr, reading)?,
            _ => None,
        },
    };
    let text = text.ok_or_else(needed)?;
    model.class_index(&text).or_else(|error| {
        let found = model
            .classes()
            .and_then(|classes| same_value(classes, model.class_names(), &text, reading));
        found.ok_or(error)
    })
}

/// The error where the class is missing or no constant.
pub(super) fn needed() -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        "the second argument of predict_proba must be a class, as a constant",
    )
    .hint("Such as predict_proba('churn', true, c.*).")
}

/// The text of a constant: a literal, with signs and casts.
fn text_of(expr: &Expr, reading: &EncodeSettings) -> Result<Option<String>> {
    Ok(match expr {
        Expr::Value(value) => literal(value),
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => {
            text_of(inner, reading)?
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
            text_of(inner, reading)?.map(|text| match text.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{text}"),
            })
        }
        Expr::Cast { expr: inner, data_type, .. } => match text_of(inner, reading)? {
            Some(text) => cast(&text, data_type, reading)?,
            None => None,
        },
        Expr::TypedString(typed) => match literal(&typed.value) {
            Some(text) => cast(&text, &typed.data_type, reading)?,
            None => None,
        },
        _ => None,
    })
}

fn literal(value: &ValueWithSpan) -> Option<String> {
    match &value.value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        Value::DollarQuotedString(text) => Some(text.value.clone()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Number(digits, _) => Some(digits.clone()),
        _ => None,
    }
}

fn cast(text: &str, data_type: &DataType, reading: &EncodeSettings) -> Result<Option<String>> {
    let arrow = super::sql_type_of(data_type)?.arrow();
    let scalar = parse_text(text, &arrow, reading)?;
    if let ScalarValue::Boolean(Some(truth)) = scalar {
        return Ok(Some(truth.to_string()));
    }
    Ok(text_value(scalar.to_array()?.as_ref(), 0, &EncodeSettings::default()))
}

/// The class of the same value: 1.5 is 1.50, 't' is true, '2024-1-2' is a date.
fn same_value(
    classes: &ArrayRef,
    names: &[String],
    text: &str,
    reading: &EncodeSettings,
) -> Option<usize> {
    if classes.data_type().is_numeric() {
        return names.iter().position(|name| same_number(name, text));
    }
    let wanted = parse_text(text, classes.data_type(), reading).ok()?;
    (0..classes.len())
        .position(|i| ScalarValue::try_from_array(classes, i).is_ok_and(|class| class == wanted))
}

fn same_number(a: &str, b: &str) -> bool {
    match (plain(a), plain(b)) {
        (Some(a), Some(b)) => a == b,
        // One of them has an exponent.
        _ => a.trim().parse::<f64>().is_ok_and(|a| b.trim().parse::<f64>() == Ok(a)),
    }
}

/// A number's digits without the zeros that say nothing.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit());
    if !are_digits || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let sign = if whole.is_empty() && part.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (a, b) in [("1.50", "1.5"), ("1", "1.0"), ("0", "-0.0"), ("1e2", "100"), ("+7", "07")] {
            assert!(same_number(a, b), "{a} and {b}");
        }
        for (a, b) in [("1.50", "1.505"), ("9007199254740993", "9007199254740992"), ("1", "-1")] {
            assert!(!same_number(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn constants_are_folded() {
        let settings = EncodeSettings::default();
        for (expr, expected) in [
            ("-1", "-1"),
            ("-(-1)", "1"),
            ("1::bigint", "1"),
            ("'c1'::text", "c1"),
            ("date '2024-01-02'", "2024-01-02"),
            ("'2024-01-02'::date", "2024-01-02"),
            ("'t'::boolean", "true"),
        ] {
            let expr = super::super::parse_expression(expr).expect("parses");
            assert_eq!(text_of(&expr, &settings).expect("folds").as_deref(), Some(expected));
        }
        let column = super::super::parse_expression("c").expect("parses");
        assert_eq!(text_of(&column, &settings).expect("is no constant"), None);
    }
}
