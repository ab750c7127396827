//! Literals and functions in PostgreSQL's meaning, where DataFusion's differs.

use super::ast;
use super::rewrite::Failure;
use crate::catalog::SqlType;
use crate::error::Error;
use crate::format::{EncodeSettings, SessionZone, parse_text, text_value};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Spanned, Value,
};
use sqlparser::tokenizer::Span;

/// What an expression becomes, if it needs to become anything.
pub(super) fn rewrite(expr: &Expr, time_zone: &str) -> Result<Option<Expr>, Failure> {
    let (data_type, inner) = match expr {
        Expr::Cast { expr: inner, data_type, .. } => (data_type, inner.as_ref()),
        Expr::TypedString(typed) => {
            let text = Expr::Value(typed.value.clone());
            return literal(&typed.data_type, &text, time_zone);
        }
        Expr::Value(v) => return Ok(exponent(&v.value)),
        Expr::Function(function) => return Ok(call(function)),
        _ => return Ok(None),
    };
    if let Ok(SqlType::Varchar(n)) = super::sql_type_of(data_type) {
        // A cast to varchar(n) cuts longer texts.
        let text = format!("left(CAST(({inner}) AS text), {n})");
        return ast::parse_expression(&text).map(Some).map_err(|e| fail(e, expr.span()));
    }
    literal(data_type, inner, time_zone)
}

fn fail(error: Error, span: Span) -> Failure {
    Box::new((error, span))
}

/// A string literal with a type is read as PostgreSQL reads it, in the session's time zone, and
/// refused here with its own error. What DataFusion reads differently is replaced.
fn literal(data_type: &DataType, inner: &Expr, time_zone: &str) -> Result<Option<Expr>, Failure> {
    let Expr::Value(value) = inner else { return Ok(None) };
    let Value::SingleQuotedString(text) = &value.value else { return Ok(None) };
    let Ok(sql_type) = super::sql_type_of(data_type) else { return Ok(None) };
    let settings = EncodeSettings {
        time_zone: SessionZone::parse(time_zone).unwrap_or_else(SessionZone::utc),
        ..EncodeSettings::default()
    };
    let arrow = sql_type.arrow();
    let scalar = parse_text(text, &arrow, &settings).map_err(|e| fail(e, value.span))?;
    let normal = match sql_type {
        SqlType::TimestampTz | SqlType::Timestamp | SqlType::Date | SqlType::Boolean => {
            let array = scalar.to_array().map_err(|e| fail(e.into(), value.span))?;
            text_value(array.as_ref(), 0, &EncodeSettings::default())
        }
        _ => None,
    };
    // Only what PostgreSQL's own spelling says in another way: years of four digits.
    let Some(normal) = normal.filter(|n| n.is_ascii() && !n.ends_with("BC")) else {
        return Ok(None);
    };
    if normal == *text {
        return Ok(None);
    }
    Ok(Some(Expr::Cast {
        kind: sqlparser::ast::CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(normal))),
        data_type: data_type.clone(),
        array: false,
        format: None,
    }))
}

/// `1e300` is no decimal that fits 38 digits: a number with an exponent is double precision.
fn exponent(value: &Value) -> Option<Expr> {
    let Value::Number(digits, _) = value else { return None };
    digits.contains(['e', 'E']).then(|| Expr::Cast {
        kind: sqlparser::ast::CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(digits.clone()))),
        data_type: DataType::DoublePrecision,
        array: false,
        format: None,
    })
}

/// Functions that PostgreSQL has and DataFusion has under another name or meaning.
fn call(function: &Function) -> Option<Expr> {
    let name = crate::parser::object_name(&function.name).pop()?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let argument = |i: usize| match list.args.get(i) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) => Some(expr.clone()),
        _ => None,
    };
    match (name.as_str(), list.args.len()) {
        ("mod", 2) => Some(Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(argument(0)?))),
            op: BinaryOperator::Modulo,
            right: Box::new(Expr::Nested(Box::new(argument(1)?))),
        }))),
        ("to_char", 2) => {
            let Expr::Value(v) = argument(1)? else { return None };
            let Value::SingleQuotedString(pattern) = v.value else { return None };
            let translated = chrono_pattern(&pattern);
            if translated == pattern {
                return None;
            }
            let mut changed = function.clone();
            let FunctionArguments::List(list) = &mut changed.args else { return None };
            list.args[1] = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(
                Value::SingleQuotedString(translated),
            )));
            Some(Expr::Function(changed))
        }
        _ => None,
    }
}

/// PostgreSQL's date patterns and chrono's, the longer first.
const PATTERNS: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("Month", "%B"),
    ("MONTH", "%B"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("Day", "%A"),
    ("Dy", "%a"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("US", "%6f"),
    ("MS", "%3f"),
    ("YY", "%y"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("IW", "%V"),
    ("IYYY", "%G"),
    ("TZ", "%Z"),
];

fn chrono_pattern(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some((from, to)) = PATTERNS.iter().find(|(from, _)| rest.starts_with(from)) {
            out += to;
            rest = &rest[from.len()..];
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out += &quoted[..end].replace('%', "%%");
            rest = quoted.get(end + 1..).unwrap_or("");
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
