//! Patterns of LIKE.

use sqlparser::ast::{BinaryOperator, Expr, Value};

/// A pattern that is escaped by another character than the backslash, or by none, escaped by the backslash.
#[must_use]
pub fn with_backslash(pattern: &str, escape: Option<char>) -> String {
    let (mut plain, mut chars) = (String::with_capacity(pattern.len()), pattern.chars());
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => plain.extend(['\\'].into_iter().chain(chars.next())),
            '\\' => plain.push_str("\\\\"),
            c => plain.push(c),
        }
    }
    plain
}

/// The text of literals joined by `||`.
#[must_use]
pub fn constant_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => constant_text(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            Some(constant_text(left)? + &constant_text(right)?)
        }
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::with_backslash;

    #[test]
    fn patterns_are_escaped_by_the_backslash() {
        assert_eq!(with_backslash("pg/_%", Some('/')), "pg\\_%");
        assert_eq!(with_backslash("a//b\\", Some('/')), "a\\/b\\\\");
        assert_eq!(with_backslash("a\\%", Some('\\')), "a\\%");
        assert_eq!(with_backslash("a\\%", None), "a\\\\%");
    }
}
