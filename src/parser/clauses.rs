//! Clauses that many statements share: names, `WITH (…)` options, model references.

use super::Cursor;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::Token;
use std::collections::BTreeMap;
use std::fmt;

/// Folds an identifier as PostgreSQL does: ASCII letters of unquoted ones to lower case.
pub fn fold_ident(value: &str, quote: Option<char>) -> String {
    if quote.is_some() { value.to_owned() } else { value.to_ascii_lowercase() }
}

/// The words that PostgreSQL does not take as a column's or table's name without quotes, in order.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// True for a word that names nothing unless it is quoted.
pub fn is_reserved(value: &str, quote: Option<char>) -> bool {
    quote.is_none() && RESERVED.binary_search(&value.to_lowercase().as_str()).is_ok()
}

/// Quotes an identifier where it needs quotes.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let keyword = RESERVED.binary_search(&name).is_ok();
    if plain && !keyword { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The folded parts of a name in sqlparser's tree.
pub fn object_name(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(Ident { value, quote_style, .. }) => {
                fold_ident(value, *quote_style)
            }
            ObjectNamePart::Function(function) => function.name.value.clone(),
        })
        .collect()
}

/// The value of an option in `WITH (name = value, …)`.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// `true`, `false`, `on`, `off`, or a name without a value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or exponent.
    Float(f64),
    /// A string or a bare word.
    Text(String),
    /// `[a, b]` or `(a, b)`
    List(Vec<OptionValue>),
}

impl OptionValue {
    /// The value as JSON, as records keep it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            OptionValue::Bool(b) => (*b).into(),
            OptionValue::Int(n) => (*n).into(),
            OptionValue::Float(x) => (*x).into(),
            OptionValue::Text(s) => s.clone().into(),
            OptionValue::List(items) => items.iter().map(OptionValue::to_json).collect(),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Bool(b) => write!(f, "{b}"),
            OptionValue::Int(n) => write!(f, "{n}"),
            OptionValue::Float(x) => write!(f, "{x:?}"),
            OptionValue::Text(s) => write!(f, "'{}'", s.replace('\'', "''")),
            OptionValue::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Options by lower-case name, each with the position of its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    values: BTreeMap<String, (OptionValue, usize)>,
}

impl Options {
    /// Reads `(name = value, …)`; a name alone means true; `name value` is PostgreSQL's COPY form.
    ///
    /// # Errors
    /// 42601, also for an option given twice.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut options = Self::default();
        cursor.expect_token(&Token::LParen)?;
        if cursor.accept_token(&Token::RParen) {
            return Ok(options);
        }
        loop {
            let position = cursor.position();
            let mut name = cursor.identifier("an option's name")?;
            while cursor.accept_token(&Token::Period) {
                name = format!("{name}.{}", cursor.identifier("an option's name")?);
            }
            cursor.accept_token(&Token::Eq);
            let value = match cursor.peek() {
                Some(Token::Comma | Token::RParen) => OptionValue::Bool(true),
                _ => value(cursor)?,
            };
            options.insert(name, value, position)?;
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
        Ok(options)
    }

    /// Adds an option.
    ///
    /// # Errors
    /// 42601 if it is there already.
    pub fn insert(&mut self, name: String, value: OptionValue, position: usize) -> Result<()> {
        let name = name.to_lowercase();
        if self.values.contains_key(&name) {
            return Err(Error::new(
                SqlState::SyntaxError,
                format!("option \"{name}\" is given more than once"),
            )
            .position(position));
        }
        self.values.insert(name, (value, position));
        Ok(())
    }

    /// Takes an option out.
    pub fn take(&mut self, name: &str) -> Option<(OptionValue, usize)> {
        self.values.remove(name)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The options in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OptionValue, usize)> {
        self.values.iter().map(|(name, (value, position))| (name.as_str(), value, *position))
    }

    /// The position of an option's name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.values.get(name).map(|(_, position)| *position)
    }

    /// The options as JSON, by name.
    pub fn to_json(&self) -> BTreeMap<String, serde_json::Value> {
        self.values.iter().map(|(name, (value, _))| (name.clone(), value.to_json())).collect()
    }

    /// Says that no option is left.
    ///
    /// # Errors
    /// 42601 for the first that is, with the nearest known one in the hint.
    pub fn expect_none(&self, known: &[&str]) -> Result<()> {
        let Some((name, (_, position))) = self.values.iter().next() else { return Ok(()) };
        Err(Error::new(SqlState::SyntaxError, format!("option \"{name}\" not recognized"))
            .position(*position)
            .maybe_hint(crate::suggest::hint("option", name, known).or_else(|| {
                (!known.is_empty()).then(|| format!("Known options: {}.", known.join(", ")))
            })))
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<OptionValue> {
    let negative = cursor.accept_token(&Token::Minus);
    let sign = if negative { "-" } else { "" };
    let out = match cursor.peek() {
        Some(Token::Number(digits, _)) => {
            let text = format!("{sign}{digits}");
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(n), _) => OptionValue::Int(n),
                (_, Ok(x)) => OptionValue::Float(x),
                _ => return Err(cursor.error(Some("a number"))),
            }
        }
        _ if negative => return Err(cursor.error(Some("a number"))),
        Some(Token::LBracket) => return list(cursor, &Token::RBracket),
        Some(Token::LParen) => return list(cursor, &Token::RParen),
        Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case("array") =>
        {
            cursor.advance();
            return list(cursor, &Token::RBracket);
        }
        Some(Token::Word(w)) => match w.value.to_ascii_lowercase().as_str() {
            "true" | "on" if w.quote_style.is_none() => OptionValue::Bool(true),
            "false" | "off" if w.quote_style.is_none() => OptionValue::Bool(false),
            _ => OptionValue::Text(fold_ident(&w.value, w.quote_style)),
        },
        _ => return cursor.string("an option's value").map(OptionValue::Text),
    };
    cursor.advance();
    Ok(out)
}

fn list(cursor: &mut Cursor<'_>, close: &Token) -> Result<OptionValue> {
    cursor.advance();
    let mut items = Vec::new();
    while !cursor.accept_token(close) {
        if !items.is_empty() {
            cursor.expect_token(&Token::Comma)?;
        }
        items.push(value(cursor)?);
    }
    Ok(OptionValue::List(items))
}

/// A model reference: `[schema.]name[@alias|@version]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelReference {
    /// The schema, if given.
    pub schema: Option<String>,
    /// The model's name.
    pub name: String,
    /// A version number or an alias, if given.
    pub version: Option<String>,
}

impl ModelReference {
    /// Reads the text form that expressions use; names fold as identifiers do.
    ///
    /// # Errors
    /// 42602 if the text is no reference.
    pub fn from_text(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(SqlState::InvalidName, format!("\"{text}\" is not a model reference"))
                .hint("A model reference is '[schema.]name[@alias|@version]'.")
        };
        let mut pieces = super::Script::split(text).map_err(|_| invalid())?;
        let slice = match pieces.len() {
            1 => pieces.remove(0),
            _ => return Err(invalid()),
        };
        let mut cursor = Cursor::new(&slice);
        let reference = Self::parse(&mut cursor).map_err(|_| invalid())?;
        cursor.expect_end().map_err(|_| invalid())?;
        Ok(reference)
    }

    /// Reads a reference of a statement: a name with `@…`, or its text form.
    ///
    /// # Errors
    /// 42601 if there is none.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        if let Some(Token::SingleQuotedString(text)) = cursor.peek() {
            let reference = Self::from_text(text).map_err(|e| e.position(cursor.position()))?;
            cursor.advance();
            return Ok(reference);
        }
        let start = cursor.clone();
        let mut parts = cursor.name("a model's name")?;
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if !parts.is_empty() {
            return Err(start.error(Some("at most a schema and a name")));
        }
        let version = if cursor.accept_token(&Token::AtSign) {
            match cursor.peek() {
                Some(Token::Number(n, _)) => {
                    let n = n.clone();
                    cursor.advance();
                    Some(n)
                }
                _ => Some(cursor.identifier("a version number or an alias")?),
            }
        } else {
            None
        };
        Ok(Self { schema, name, version })
    }
}

impl fmt::Display for ModelReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote_ident(schema))?;
        }
        write!(f, "{}", quote_ident(&self.name))?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Script;

    #[test]
    fn options_take_every_kind_of_value() {
        let slice = Script::split(
            "(seed = 7, l2 = -0.5, split = 'none', refit, cols = ['a', b], on1 = off)",
        )
        .expect("tokens")
        .remove(0);
        let options = Options::parse(&mut Cursor::new(&slice)).expect("options");
        let shown = options.iter().map(|(n, v, _)| format!("{n}={v}")).collect::<Vec<_>>();
        assert_eq!(
            shown,
            ["cols=['a', 'b']", "l2=-0.5", "on1=false", "refit=true", "seed=7", "split='none'"]
        );
    }

    #[test]
    fn model_references_fold_and_print() {
        let reference = ModelReference::from_text("Gold.Churn@champion").expect("reference");
        assert_eq!(reference.to_string(), "gold.churn@champion");
        let reference = ModelReference::from_text("\"Churn\"@3").expect("reference");
        assert_eq!(reference.to_string(), "\"Churn\"@3");
        assert!(ModelReference::from_text("a b").is_err());
    }
}
