//! Literals and functions in PostgreSQL's meaning, where DataFusion's differs.

use super::ast;
use super::rewrite::Failure;
use crate::catalog::SqlType;
use crate::error::Error;
use crate::format::{EncodeSettings, parse_text, text_value};
use crate::sqlstate::SqlState;
use sqlparser::ast::{
    Array, BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Spanned, UnaryOperator, Value,
};
use sqlparser::tokenizer::Span;

/// What an expression becomes, if it needs to become anything.
pub(super) fn rewrite(expr: &Expr, reading: &EncodeSettings) -> Result<Option<Expr>, Failure> {
    let (data_type, inner) = match expr {
        Expr::Cast { expr: inner, data_type, .. } => (data_type, inner.as_ref()),
        Expr::TypedString(typed) => {
            let text = Expr::Value(typed.value.clone());
            if let Some(checked) = checked_text(&typed.data_type, &text) {
                return Ok(Some(checked));
            }
            return literal(&typed.data_type, &text, reading);
        }
        Expr::Value(v) => return Ok(exponent(&v.value).or_else(|| large(&v.value))),
        Expr::Function(function) => {
            refuse(function)?;
            return Ok(call(function));
        }
        Expr::Like { any: false, escape_char: Some(_), .. }
        | Expr::ILike { any: false, escape_char: Some(_), .. } => return unescaped(expr),
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => {
            return Ok(overlaps(left, right));
        }
        Expr::UnaryOp { op, expr } => return Ok(unary(*op, expr)),
        Expr::Array(array) => return bytes(array, reading),
        Expr::Substring { expr, substring_from: Some(from), substring_for: None, .. } => {
            return Ok(matched(expr, from));
        }
        _ => return Ok(None),
    };
    if let Some(checked) = checked_text(data_type, inner) {
        return Ok(Some(checked));
    }
    if let Ok(SqlType::Varchar(n)) = super::sql_type_of(data_type) {
        // A cast to varchar(n) cuts longer texts.
        let text = format!("left(CAST(({inner}) AS text), {n})");
        return ast::parse_expression(&text).map(Some).map_err(|e| fail(e, expr.span()));
    }
    literal(data_type, inner, reading)
}

fn fail(error: Error, span: Span) -> Failure {
    Box::new((error, span))
}

/// A cast to a type that is kept as its text, which is looked at.
fn checked_text(data_type: &DataType, inner: &Expr) -> Option<Expr> {
    let name = match data_type {
        DataType::Uuid => "uuid_input",
        DataType::JSON | DataType::JSONB => "json_input",
        _ => return None,
    };
    // A parameter keeps the type that its cast gives it.
    if super::rewrite::placeholder(inner).is_some() {
        return None;
    }
    Some(super::rewrite::call(name, vec![cast(inner.clone(), DataType::Text)], inner.span()))
}

/// An array with a bytea in it: literals without a type are bytea too. DataFusion would find no type
/// for them beside it, nor for NULL.
fn bytes(array: &Array, reading: &EncodeSettings) -> Result<Option<Expr>, Failure> {
    let is_bytes = |member: &Expr| match member {
        Expr::Cast { data_type, .. } => {
            matches!(super::sql_type_of(data_type), Ok(SqlType::Bytea))
        }
        _ => false,
    };
    if !array.elem.iter().any(is_bytes) {
        return Ok(None);
    }
    let mut array = array.clone();
    for member in &mut array.elem {
        let Expr::Value(value) = &*member else { continue };
        if matches!(value.value, Value::SingleQuotedString(_) | Value::Null) {
            literal(&DataType::Bytea, member, reading)?;
            *member = cast(member.clone(), DataType::Bytea);
        }
    }
    Ok(Some(Expr::Array(array)))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: sqlparser::ast::CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// `x LIKE p ESCAPE c` with the pattern as the backslash would escape it, which needs no ESCAPE.
fn unescaped(like: &Expr) -> Result<Option<Expr>, Failure> {
    let mut like = like.clone();
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) =
        &mut like
    else {
        return Ok(None);
    };
    let Some(escape) = escape_char.take() else { return Ok(None) };
    let Value::SingleQuotedString(character) = &escape.value else { return Ok(None) };
    let character = one_escape(character).map_err(|e| fail(e, escape.span))?;
    **pattern = match crate::parser::constant_text(pattern) {
        Some(text) => {
            let plain = crate::parser::with_backslash(&text, character);
            Expr::value(Value::SingleQuotedString(plain))
        }
        None => {
            let text = cast(pattern.as_ref().clone(), DataType::Text);
            let arguments = vec![text, Expr::Value(escape)];
            super::rewrite::call("like_pattern", arguments, Span::empty())
        }
    };
    Ok(Some(like))
}

/// The escape character that a text names; an empty one names none.
///
/// # Errors
/// If the text has more than one character.
pub(super) fn one_escape(text: &str) -> Result<Option<char>, Error> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (escape, None) => Ok(escape),
        _ => Err(Error::new(SqlState::InvalidParameterValue, "invalid escape string")
            .hint("Escape string must be empty or one character.")),
    }
}

/// A value as integer.
pub(super) fn integer(expr: Expr) -> Expr {
    cast(expr, DataType::Integer(None))
}

/// A value as bigint.
pub(super) fn bigint(expr: Expr) -> Expr {
    cast(expr, DataType::BigInt(None))
}

/// The operators of one operand that are functions elsewhere.
fn unary(operator: UnaryOperator, operand: &Expr) -> Option<Expr> {
    let (name, operand) = match operator {
        UnaryOperator::BitwiseNot => ("bitwise_not", operand.clone()),
        UnaryOperator::Minus => return least(operand),
        UnaryOperator::PGAbs => ("abs", operand.clone()),
        UnaryOperator::PGSquareRoot => ("sqrt", cast(operand.clone(), DataType::DoublePrecision)),
        UnaryOperator::PGCubeRoot => ("cbrt", cast(operand.clone(), DataType::DoublePrecision)),
        _ => return None,
    };
    Some(super::rewrite::call(name, vec![operand], Span::empty()))
}

/// `(a, b) OVERLAPS (c, d)`: periods that have a time in common, the end of a longer one not being part of it.
fn overlaps(left: &Expr, right: &Expr) -> Option<Expr> {
    let ((a, b), (c, d)) = (period(left)?, period(right)?);
    // As PostgreSQL's overlaps_timestamp: an end that is not known leaves the answer open, if it counts.
    let later = |a: &str, b: &str, d: &str| {
        format!(
            "CASE WHEN {d} IS NULL THEN NULL WHEN {a} < {d} THEN true WHEN {b} IS NULL THEN NULL ELSE false END"
        )
    };
    let (first, second) = (later(&a, &b, &d), later(&c, &d, &b));
    let text = format!(
        "(CASE WHEN {a} > {c} THEN {first} WHEN {a} < {c} THEN {second} \
         WHEN {a} = {c} AND {b} IS NOT NULL AND {d} IS NOT NULL THEN true END)"
    );
    ast::parse_expression(&text).ok()
}

/// The first and the last of two times in either order, or of a time and how long it goes on; the last is NULL
/// if one is.
fn period(pair: &Expr) -> Option<(String, String)> {
    let Expr::Tuple(parts) = pair else { return None };
    let [start, end] = parts.as_slice() else { return None };
    let is_interval = match end {
        Expr::Interval(_) => true,
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Interval { .. }),
        Expr::TypedString(typed) => matches!(typed.data_type, DataType::Interval { .. }),
        _ => false,
    };
    let end = match is_interval {
        true => format!("(({start}) + ({end}))"),
        false => format!("({end})"),
    };
    // greatest passes over NULL.
    let last = format!(
        "(CASE WHEN ({start}) IS NOT NULL AND {end} IS NOT NULL THEN greatest(({start}), {end}) END)"
    );
    Some((format!("least(({start}), {end})"), last))
}

/// `substring(text FROM 'pattern')`: what the first parentheses of the pattern match, or all of it.
fn matched(text: &Expr, pattern: &Expr) -> Option<Expr> {
    let Expr::Value(value) = pattern else { return None };
    let Value::SingleQuotedString(_) = &value.value else { return None };
    first_match(text.clone(), pattern.clone())
}

fn first_match(text: Expr, pattern: Expr) -> Option<Expr> {
    let found = super::rewrite::call("regexp_match", vec![text, pattern], Span::empty());
    let first = Expr::value(Value::Number("1".into(), false));
    Some(super::rewrite::call("array_element", vec![found, first], Span::empty()))
}

/// Functions that are known, and not built.
fn refuse(function: &Function) -> Result<(), Failure> {
    let name = crate::parser::object_name(&function.name).pop().unwrap_or_default();
    if name == "regexp_matches" {
        let error = Error::unsupported(
            "regexp_matches",
            "regexp_match gives the first match as an array, regexp_count how many there are.",
        );
        return Err(fail(error, function.span()));
    }
    Ok(())
}

/// A string literal with a type is read as PostgreSQL reads it, in the session's time zone, and
/// refused here with its own error. What DataFusion reads differently is replaced.
fn literal(
    data_type: &DataType,
    inner: &Expr,
    reading: &EncodeSettings,
) -> Result<Option<Expr>, Failure> {
    let Expr::Value(value) = inner else { return Ok(None) };
    let Value::SingleQuotedString(text) = &value.value else { return Ok(None) };
    let Ok(sql_type) = super::sql_type_of(data_type) else { return Ok(None) };
    let arrow = sql_type.arrow();
    let scalar = parse_text(text, &arrow, reading).map_err(|e| fail(e, value.span))?;
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

/// The digits behind the point that a power of ten may have to be exact as a float.
const EXACT_SCALE: usize = 22;

/// A number with an exponent is a numeric. One that does not fit 38 digits is double precision, as is one whose
/// scale is so large that a double precision number made of the numeric would not be the nearest.
fn exponent(value: &Value) -> Option<Expr> {
    let Value::Number(written, _) = value else { return None };
    let (mantissa, power) = written.split_once(['e', 'E'])?;
    Some(match without_exponent(mantissa, power) {
        Some(plain) if plain.contains('.') => Expr::value(Value::Number(plain, false)),
        Some(plain) => whole_numeric(plain),
        None => {
            cast(Expr::value(Value::SingleQuotedString(written.clone())), DataType::DoublePrecision)
        }
    })
}

/// `1.50`, `1` as `15.0`: all digits that are written stay.
fn without_exponent(mantissa: &str, power: &str) -> Option<String> {
    let power = power.parse::<i64>().ok().filter(|power| power.abs() <= 76)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 76 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let behind = i64::try_from(fraction.len()).ok()? - power;
    let scale = usize::try_from(behind).unwrap_or(0);
    digits.extend(std::iter::repeat_n('0', usize::try_from(-behind).unwrap_or(0)));
    let significant = digits.trim_start_matches('0');
    if significant.len().max(scale) > 38 || scale > EXACT_SCALE {
        return None;
    }
    let width = scale + 1;
    let padded = format!("{significant:0>width$}");
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    Some(if scale == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// Digits as a numeric without a fraction.
fn whole_numeric(digits: String) -> Expr {
    let precision = u64::try_from(digits.len()).unwrap_or(38);
    let numeric = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, 0));
    cast(Expr::value(Value::SingleQuotedString(digits)), numeric)
}

/// A whole number beyond bigint is a numeric.
fn large(value: &Value) -> Option<Expr> {
    let Value::Number(digits, _) = value else { return None };
    let is_large = digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<i64>().is_err();
    (is_large && digits.len() <= 38).then(|| whole_numeric(digits.clone()))
}

/// The least bigint: its digits alone are beyond bigint.
fn least(operand: &Expr) -> Option<Expr> {
    let Expr::Cast { expr, data_type: DataType::Numeric(_), .. } = operand else { return None };
    let Expr::Value(value) = expr.as_ref() else { return None };
    let Value::SingleQuotedString(digits) = &value.value else { return None };
    let least = i64::MIN.to_string();
    (least.strip_prefix('-') == Some(digits))
        .then(|| Expr::value(Value::Number(least.clone(), false)))
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
        ("ceiling", 1) => Some(super::rewrite::call("ceil", vec![argument(0)?], function.span())),
        ("date", 1) => Some(cast(argument(0)?, DataType::Date)),
        ("timezone", 2) => {
            let (zone, time) = (Box::new(argument(0)?), Box::new(argument(1)?));
            Some(Expr::AtTimeZone { timestamp: time, time_zone: zone })
        }
        // Cut by the clocks of another zone.
        ("date_trunc", 3) => {
            let (unit, time, zone) = (argument(0)?, argument(1)?, argument(2)?);
            let local = format!("CAST(({time}) AS timestamptz) AT TIME ZONE {zone}");
            ast::parse_expression(&format!("date_trunc({unit}, {local}) AT TIME ZONE {zone}")).ok()
        }
        ("encode", 2) if super::rewrite::argument_text(&list.args[1])?.0 == "escape" => {
            Some(super::rewrite::call("bytea_escape", vec![argument(0)?], function.span()))
        }
        // From a character on: what stands before it stays.
        ("regexp_replace", 4) if is_place(&argument(3)?) => {
            let (text, start) = (argument(0)?, argument(3)?);
            let (pattern, with) = (argument(1)?, argument(2)?);
            ast::parse_expression(&format!(
                "(left(({text}), {start} - 1) || regexp_replace(substr(({text}), {start}), {pattern}, {with}))"
            ))
            .ok()
        }
        ("transaction_timestamp" | "statement_timestamp", 0) => {
            Some(super::rewrite::call("now", Vec::new(), function.span()))
        }
        // Up to the day on which the statement runs.
        ("age", 1) => {
            let today = ast::parse_expression("CAST(current_date AS timestamp)").ok()?;
            Some(super::rewrite::call("age", vec![today, argument(0)?], function.span()))
        }
        ("timeofday", 0) => {
            ast::parse_expression("to_char(clock_timestamp(), 'Dy Mon DD HH24:MI:SS.US YYYY TZ')")
                .ok()
        }
        ("make_interval", count)
            if count < 7 || list.args.iter().any(|a| super::rewrite::named(a).is_some()) =>
        {
            interval_of(&list.args)
                .map(|arguments| super::rewrite::call("make_interval", arguments, function.span()))
        }
        ("num_nulls" | "num_nonnulls", 1..) => {
            let nulls = name == "num_nulls";
            let ones = (0..list.args.len()).map(|i| {
                let operand = Box::new(Expr::Nested(Box::new(argument(i)?)));
                let test = if nulls { Expr::IsNull(operand) } else { Expr::IsNotNull(operand) };
                Some(cast(test, DataType::Integer(None)))
            });
            let sum = ones.collect::<Option<Vec<_>>>()?.into_iter().reduce(|left, right| {
                let (left, right) = (Box::new(left), Box::new(right));
                Expr::BinaryOp { left, op: BinaryOperator::Plus, right }
            });
            sum.map(|sum| Expr::Nested(Box::new(sum)))
        }
        // DataFusion's own of this name change the first element alone.
        ("array_remove", 2) => {
            let arguments = vec![argument(0)?, argument(1)?];
            Some(super::rewrite::call("array_remove_all", arguments, function.span()))
        }
        ("array_replace", 3) => {
            let arguments = vec![argument(0)?, argument(1)?, argument(2)?];
            Some(super::rewrite::call("array_replace_all", arguments, function.span()))
        }
        ("array_fill", 2) => match argument(1)? {
            Expr::Array(lengths) if lengths.elem.len() == 1 => {
                let arguments = vec![argument(0)?, lengths.elem[0].clone()];
                Some(super::rewrite::call("array_repeat", arguments, function.span()))
            }
            _ => None,
        },
        ("regexp_substr", 2) => {
            let parenthesis = |c: &str| Expr::value(Value::SingleQuotedString(c.into()));
            let pattern = vec![parenthesis("("), argument(1)?, parenthesis(")")];
            let pattern = super::rewrite::call("concat", pattern, Span::empty());
            first_match(argument(0)?, pattern)
        }
        // One of numbers has the same name.
        ("to_timestamp", 2) => {
            let arguments = vec![argument(0)?, argument(1)?];
            Some(super::rewrite::call("to_timestamp_by_template", arguments, function.span()))
        }
        _ => None,
    }
}

/// A whole number above zero.
fn is_place(expr: &Expr) -> bool {
    let Expr::Value(value) = expr else { return false };
    matches!(&value.value, Value::Number(digits, _) if digits.parse::<u32>().is_ok_and(|n| n > 0))
}

/// The seven arguments of `make_interval`, those that are not there being 0.
fn interval_of(given: &[FunctionArg]) -> Option<Vec<Expr>> {
    const NAMES: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
    let zero = || Expr::value(Value::Number("0".into(), false));
    let mut arguments = vec![zero(); NAMES.len()];
    for (i, argument) in given.iter().enumerate() {
        match (super::rewrite::named(argument), argument) {
            (Some((name, value)), _) => {
                let place = NAMES.iter().position(|n| *n == name)?;
                arguments[place] = value.clone();
            }
            (None, FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => {
                *arguments.get_mut(i)? = value.clone();
            }
            _ => return None,
        }
    }
    Some(arguments)
}
