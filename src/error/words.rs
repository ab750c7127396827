//! Messages of the libraries underneath in SQL's words: no types of Arrow's, no syntax trees.

use super::Error;
use crate::sqlstate::SqlState;

/// Arrow's names of types and SQL's, those that contain others first.
const TYPES: &[(&str, &str)] = &[
    ("LargeUtf8", "text"),
    ("Utf8View", "text"),
    ("Utf8", "text"),
    ("UInt8", "smallint"),
    ("UInt16", "integer"),
    ("UInt32", "bigint"),
    ("UInt64", "bigint"),
    ("Int8", "smallint"),
    ("Int16", "smallint"),
    ("Int32", "integer"),
    ("Int64", "bigint"),
    ("Float32", "real"),
    ("Float64", "double precision"),
    ("Boolean", "boolean"),
    ("Date32", "date"),
    ("Date64", "date"),
    ("LargeBinary", "bytea"),
    ("BinaryView", "bytea"),
    ("Binary", "bytea"),
    ("Null", "unknown"),
];

/// Types that carry something in parentheses.
const WITH_ARGUMENTS: &[(&str, &str)] = &[
    ("Decimal128(", "numeric"),
    ("Decimal256(", "numeric"),
    ("Timestamp(", "timestamp"),
    ("Time64(", "time"),
    ("Time32(", "time"),
    ("Interval(", "interval"),
    ("Duration(", "interval"),
];

/// A message with SQL's names in the place of Arrow's.
pub(super) fn sql_types(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let word_start = !out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let parts = WITH_ARGUMENTS.iter().find(|(arrow, _)| word_start && rest.starts_with(arrow));
        if let Some((arrow, sql)) = parts
            && let Some(end) = rest.find(')')
        {
            let zoned = rest[arrow.len()..end].contains(['"', '+']);
            out += if *sql == "timestamp" && zoned { "timestamptz" } else { sql };
            rest = &rest[end + 1..];
            continue;
        }
        let whole = |arrow: &str| {
            rest.strip_prefix(arrow).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric()))
        };
        if let Some((arrow, sql)) = TYPES.iter().find(|(arrow, _)| word_start && whole(arrow)) {
            out += sql;
            rest = &rest[arrow.len()..];
            continue;
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// What DataFusion does not do, by a word of its message: what it is to a user, and a hint.
const UNBUILT: &[(&str, &str, &str)] = &[
    (
        "InSubquery(",
        "IN (SELECT …) outside of WHERE and HAVING",
        "Use EXISTS (SELECT … WHERE key = x), or LEFT JOIN.",
    ),
    (
        "Exists(",
        "this form of EXISTS outside of WHERE and HAVING",
        "Use LEFT JOIN, or a condition of equalities inside of EXISTS.",
    ),
    (
        "ScalarSubquery(",
        "a subquery that depends on the outer row by more than equalities",
        "Join the table and aggregate, or move the condition out of the subquery.",
    ),
    (
        "OuterReferenceColumn(",
        "a subquery in FROM or in this place that depends on the outer row (LATERAL)",
        "Write it as a join with GROUP BY, or with row_number().",
    ),
    ("Collate", "COLLATE", "Texts compare by their bytes; use lower(x) to ignore case."),
    ("PGSquareRoot", "the operator |/", "Use sqrt(x)."),
    ("PGCubeRoot", "the operator ||/", "Use cbrt(x)."),
    ("PGPostfixFactorial", "the operator !", "Use factorial(n)."),
    ("PGPrefixFactorial", "the operator !!", "Use factorial(n)."),
    ("Dot access", "access to a field with (x).field", "Name the columns of a row one by one."),
    ("AsOf", "ASOF JOIN", "Join the latest earlier row with a subquery over max(…)."),
];

/// A message about something that is not built.
pub(super) fn unbuilt(message: &str) -> Error {
    if let Some((_, what, hint)) = UNBUILT.iter().find(|(word, ..)| message.contains(word)) {
        return Error::unsupported(what, *hint);
    }
    // A syntax tree in a message tells a user nothing.
    let end = [" { ", "Ident {", "Span(", ": Identifier("]
        .iter()
        .filter_map(|tree| message.find(tree))
        .min()
        .unwrap_or(message.len());
    let text = message[..end].trim_end_matches([' ', ':', '(', '[']);
    Error::new(SqlState::FeatureNotSupported, super::from::lower_first(&sql_types(text)))
        .hint("This form is not supported; see the README for what is.")
}

/// The SQLSTATE that DataFusion's planning errors lack, by words of the message.
pub(super) fn planned(message: &str) -> Option<Error> {
    let lower = message.to_ascii_lowercase();
    if let Some(call) = between(message, "argument types '", "'. ") {
        let call = sql_types(call).replace("::", ".");
        return Some(
            Error::new(SqlState::UndefinedFunction, format!("function {call} does not exist"))
                .hint("No function matches the given name and argument types. You might need to add explicit type casts."),
        );
    }
    if let Some(name) = between(&lower, "table function '", "'") {
        if matches!(name, "table_changes" | "table_changes_by_path") {
            let hint = "Compare versions with VERSION AS OF and EXCEPT.";
            return Some(Error::unsupported("table_changes", hint));
        }
        return Some(Error::new(
            SqlState::UndefinedFunction,
            format!("function {name} does not exist in FROM"),
        ));
    }
    if lower.starts_with("in/exist") && lower.contains("can only be used in") {
        let what = "a subquery with IN or EXISTS in this place";
        return Some(Error::unsupported(what, "Compute it in the select list of a subquery."));
    }
    if let Some(column) =
        between(message, "column \"", "\" must ").filter(|_| lower.contains("group by"))
    {
        let message = format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Some(Error::new(SqlState::GroupingError, message));
    }
    if lower.contains("null_aware anti join") {
        let what = "NOT IN over a subquery that depends on the outer row, in this form";
        return Some(Error::unsupported(what, "Use NOT EXISTS."));
    }
    let (code, text) = if lower.starts_with("limit must be") {
        (SqlState::InvalidRowCountInLimit, "LIMIT must not be negative".to_owned())
    } else if lower.starts_with("offset must be") {
        (SqlState::InvalidRowCountInOffset, "OFFSET must not be negative".to_owned())
    } else if let Some(place) = between(&lower, "order by column out of bounds, specified: ", ",") {
        let text = format!("ORDER BY position {place} is not in select list");
        (SqlState::InvalidColumnReference, text)
    } else if let Some(place) = between(&lower, "cannot find column with position ", " ") {
        let text = format!("GROUP BY position {place} is not in select list");
        (SqlState::InvalidColumnReference, text)
    } else if lower.contains("aggregate functions are not allowed in the where clause") {
        (SqlState::GroupingError, "aggregate functions are not allowed in WHERE".to_owned())
    } else if lower.contains("aggregate function calls cannot be nested") {
        (SqlState::GroupingError, "aggregate function calls cannot be nested".to_owned())
    } else if lower.contains("step cannot be zero") {
        (SqlState::InvalidParameterValue, "step size cannot equal zero".to_owned())
    } else if lower.starts_with("with query name") {
        (SqlState::DuplicateAlias, message.to_owned())
    } else if lower.contains("distinct on expressions must match") {
        (SqlState::InvalidColumnReference, message.to_owned())
    } else {
        return None;
    };
    Some(Error::new(code, text))
}

/// The text between two others.
fn between<'a>(message: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(from)?;
    Some(rest.split_once(to).map_or(rest, |(inner, _)| inner))
}

#[cfg(test)]
mod tests {
    use super::{sql_types, unbuilt};

    #[test]
    fn types_have_their_names_in_sql() {
        assert_eq!(sql_types("f(Decimal128(2, 1), Utf8View)"), "f(numeric, text)");
        assert_eq!(sql_types("Timestamp(µs, \"+00\") + Int32"), "timestamptz + integer");
        assert_eq!(sql_types("MyUtf8 and Int3"), "MyUtf8 and Int3");
    }

    #[test]
    fn trees_are_left_out() {
        let error =
            unbuilt("Unsupported ast node in sqltorel: Thing { a: Ident { value: \"x\" } }");
        assert_eq!(error.message(), "unsupported ast node in sqltorel: Thing");
    }
}
