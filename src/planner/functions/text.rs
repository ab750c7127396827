//! Texts and bytes: length, patterns of SIMILAR TO, and values as PostgreSQL prints them.

use super::plain::Plain;
use crate::error::Error;
use crate::format::{EncodeSettings, SessionZone, text_column};
use crate::planner::literals::one_escape;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, Int32Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// `length(x)`: characters of a text, bytes of a bytea.
pub(super) fn length() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        length_type("length", args)
    }
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let lengths: Int32Array = if arrays[0].data_type().is_binary() {
            let bytes = cast(&arrays[0], &DataType::BinaryView)?;
            bytes.as_binary_view().iter().map(|v| v.map(|v| count(v.len()))).collect()
        } else {
            let texts = cast(&arrays[0], &DataType::Utf8View)?;
            texts.as_string_view().iter().map(|v| v.map(|v| count(v.chars().count()))).collect()
        };
        Ok(Arc::new(lengths))
    }
    // DataFusion's own has this name, and the others for aliases: all of them are replaced.
    let length = Plain::udf("character_length", 1, returns, body);
    Arc::new(length.as_ref().clone().with_aliases(["length", "char_length"]))
}

/// The length of a text or a bytea is an integer; nothing else has one.
fn length_type(name: &str, args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    match args.arg_fields[0].data_type() {
        t if t.is_string() || t.is_binary() || t.is_null() => Ok(DataType::Int32),
        t => {
            let shown = crate::catalog::SqlType::from_arrow(t)
                .map_or_else(|_| t.to_string(), |t| t.to_string());
            Err(Error::new(
                SqlState::UndefinedFunction,
                format!("function {name}({shown}) does not exist"),
            )
            .hint("Cast the argument to text.")
            .into())
        }
    }
}

/// `octet_length(x)`: bytes, of a text in UTF-8.
pub(super) fn octet_length() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        length_type("octet_length", args)
    }
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let bytes = cast(&arrays[0], &DataType::BinaryView)?;
        let count = |v: &[u8]| i32::try_from(v.len()).unwrap_or(i32::MAX);
        let lengths: Int32Array = bytes.as_binary_view().iter().map(|v| v.map(count)).collect();
        Ok(Arc::new(lengths))
    }
    Plain::udf("octet_length", 1, returns, body)
}

/// `bytea || bytea`
pub(super) fn bytea_concat() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Plain::udf("bytea_concat", 2, |_| Ok(DataType::BinaryView), concat));
    UDF.clone()
}

fn concat(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let left = cast(&arrays[0], &DataType::BinaryView)?;
    let right = cast(&arrays[1], &DataType::BinaryView)?;
    let mut out = BinaryViewBuilder::with_capacity(left.len());
    for pair in left.as_binary_view().iter().zip(right.as_binary_view()) {
        match pair {
            (Some(left), Some(right)) => out.append_value([left, right].concat()),
            _ => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// The regular expression of a pattern of SIMILAR TO; the second argument is the escape character.
pub(super) fn similar_pattern() -> Arc<ScalarUDF> {
    Plain::udf(
        "similar_to_regex",
        2,
        |_| Ok(DataType::Utf8View),
        |arrays, _| escaped_patterns(arrays, regular_expression),
    )
}

/// A pattern of LIKE as the backslash would escape it; the second argument is the escape character.
pub(super) fn like_pattern() -> Arc<ScalarUDF> {
    Plain::udf(
        "like_pattern",
        2,
        |_| Ok(DataType::Utf8View),
        |arrays, _| escaped_patterns(arrays, crate::parser::with_backslash),
    )
}

/// Patterns in the first column, each with its escape character in the second, in another spelling.
fn escaped_patterns(
    arrays: &[ArrayRef],
    respelled: fn(&str, Option<char>) -> String,
) -> Result<ArrayRef> {
    let patterns = cast(&arrays[0], &DataType::Utf8View)?;
    let escapes = cast(&arrays[1], &DataType::Utf8View)?;
    let rows = patterns.as_string_view().iter().zip(escapes.as_string_view());
    let out: StringViewArray = rows
        .map(|(pattern, escape)| {
            let (Some(pattern), Some(escape)) = (pattern, escape) else { return Ok(None) };
            Ok(Some(respelled(pattern, one_escape(escape)?)))
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(out))
}

fn regular_expression(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("^(?s:");
    let mut escaped = false;
    let mut in_brackets = false;
    for c in pattern.chars() {
        if escaped {
            out += &regex_syntax_escape(c);
            escaped = false;
        } else if Some(c) == escape {
            escaped = true;
        } else if in_brackets {
            in_brackets = c != ']';
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        } else {
            match c {
                '%' => out += ".*",
                '_' => out.push('.'),
                '(' => out += "(?:",
                '.' | '^' | '$' | '\\' => out += &regex_syntax_escape(c),
                '[' => {
                    in_brackets = true;
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out += ")$";
    out
}

/// A character that means itself.
fn regex_syntax_escape(c: char) -> String {
    let mut out = String::new();
    let _ = if c.is_alphanumeric() || c.is_whitespace() {
        write!(out, "{c}")
    } else {
        write!(out, "\\{c}")
    };
    out
}

/// Its first argument. DataFusion's names of expressions leave casts out; this keeps
/// `sum(i::integer)` and `sum(i::bigint)` apart.
pub(super) fn same() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(args.arg_fields[0].data_type().clone())
    }
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        Ok(arrays[0].clone())
    }
    Plain::udf("__cenote_same", 2, returns, body)
}

/// Any value as text, in the session's time zone.
pub(in crate::planner) fn text_output() -> &'static Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Plain::udf("text_output", 1, |_| Ok(DataType::Utf8View), printed));
    &UDF
}

fn printed(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let zone = args.config_options.execution.time_zone.as_deref();
    let settings = EncodeSettings {
        time_zone: zone.and_then(SessionZone::parse).unwrap_or_else(SessionZone::utc),
        ..EncodeSettings::default()
    };
    Ok(Arc::new(text_column(&arrays[0], &settings)?))
}

#[cfg(test)]
mod tests {
    use super::regular_expression;

    #[test]
    fn patterns_become_regular_expressions() {
        let with = |pattern| regular_expression(pattern, Some('\\'));
        assert_eq!(with("a%_"), "^(?s:a.*.)$");
        assert_eq!(with("(a|b)+"), "^(?s:(?:a|b)+)$");
        assert_eq!(with("1.5"), "^(?s:1\\.5)$");
        assert_eq!(with("\\%[^a-c]"), "^(?s:\\%[^a-c])$");
    }
}
