//! Texts between the matches of a regular expression.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ScalarFunctionArgs, ScalarUDF, Signature, TypeSignature, Volatility,
};
use regex::{Regex, RegexBuilder};
use std::sync::Arc;

/// `regexp_split_to_array(text, pattern [, flags])`
pub(super) fn split() -> Arc<ScalarUDF> {
    let counts = [2, 3].map(TypeSignature::Any).to_vec();
    let signature = Signature::one_of(counts, Volatility::Immutable);
    Plain::with_signature(
        "regexp_split_to_array",
        signature,
        |_| Ok(DataType::new_list(DataType::Utf8View, true)),
        body,
    )
}

fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(arrays.len());
    for array in arrays {
        columns.push(cast(array, &DataType::Utf8View)?);
    }
    // The pattern is the same in all rows, as a rule.
    let mut known: Option<((&str, &str), Regex)> = None;
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for row in 0..columns[0].len() {
        if columns.iter().any(|column| column.is_null(row)) {
            lists.append_null();
            continue;
        }
        let text = |i: usize| columns.get(i).map_or("", |c| c.as_string_view().value(row));
        let wanted = (text(1), text(2));
        let regex = match known.take() {
            Some((before, regex)) if before == wanted => regex,
            _ => compiled(wanted.0, wanted.1)?,
        };
        for piece in pieces(&regex, text(0)) {
            lists.values().append_value(piece);
        }
        lists.append(true);
        known = Some((wanted, regex));
    }
    Ok(Arc::new(lists.finish()))
}

/// A pattern with PostgreSQL's flags.
fn compiled(pattern: &str, flags: &str) -> Result<Regex, Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.dot_matches_new_line(true);
    for flag in flags.chars() {
        match flag {
            'c' => builder.case_insensitive(false),
            'i' => builder.case_insensitive(true),
            'n' | 'm' => builder.multi_line(true).dot_matches_new_line(false),
            's' => builder.multi_line(false).dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            _ => {
                let message = format!("invalid regular expression option: \"{flag}\"");
                return Err(Error::new(SqlState::InvalidParameterValue, message));
            }
        };
    }
    builder.build().map_err(|e| {
        Error::new(SqlState::InvalidRegularExpression, "invalid regular expression")
            .detail(e.to_string())
    })
}

/// Empty matches at either end, or right behind another match, part nothing.
fn pieces<'t>(regex: &Regex, text: &'t str) -> Vec<&'t str> {
    let (mut found, mut from) = (Vec::new(), 0);
    for matched in regex.find_iter(text) {
        let (start, end) = (matched.start(), matched.end());
        if start == end && (start == from || end == text.len()) {
            continue;
        }
        found.push(&text[from..start]);
        from = end;
    }
    found.push(&text[from..]);
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{compiled, pieces};

    #[test]
    fn texts_are_split_as_in_postgresql() {
        let split = |pattern, text| pieces(&compiled(pattern, "").unwrap(), text);
        assert_eq!(split(r"\s+", "the quick  brown"), ["the", "quick", "brown"]);
        assert_eq!(split("", "abc"), ["a", "b", "c"]);
        assert_eq!(split(r"\s*", "a bc"), ["a", "b", "c"]);
        assert_eq!(split(r"\d", "a1b2"), ["a", "b", ""]);
        assert_eq!(split(",", ""), [""]);
    }
}
