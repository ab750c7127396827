//! The tokens of a client's text, their places in it, and the pieces between semicolons.

use super::{CenoteDialect, rewrite_tokens};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use std::sync::Arc;

/// Statements nested deeper than this are refused with 54001 instead of exhausting the stack.
const RECURSION_LIMIT: usize = 120;

/// A client's text: what positions refer to.
#[derive(Debug)]
pub struct Script {
    text: String,
    /// Character offset (0-based) and byte offset at which each line begins.
    lines: Vec<(usize, usize)>,
}

/// One statement's tokens, without white space and comments, and where they come from.
#[derive(Debug, Clone)]
pub struct TokenSlice {
    script: Arc<Script>,
    tokens: Arc<[TokenWithSpan]>,
}

impl Script {
    /// Cuts a text into its statements. Empty pieces are left out.
    ///
    /// # Errors
    /// 42601 with the position if a quote, comment or character cannot be read.
    pub fn split(text: &str) -> Result<Vec<TokenSlice>> {
        let script = Arc::new(Script::new(text));
        let tokens = Tokenizer::new(&CenoteDialect::default(), &script.text)
            .tokenize_with_location()
            .map_err(|e| {
                let message = e.message.trim_end_matches('.').to_owned();
                Error::new(SqlState::SyntaxError, lower_first(&message))
                    .position(script.position(e.location))
            })?;
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        for token in tokens {
            match token.token {
                Token::Whitespace(_) | Token::EOF => {}
                Token::SemiColon => pieces.push(std::mem::take(&mut piece)),
                _ => piece.push(token),
            }
        }
        pieces.push(piece);
        Ok(pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .map(|tokens| TokenSlice { script: script.clone(), tokens: tokens.into() })
            .collect())
    }

    fn new(text: &str) -> Self {
        let mut lines = vec![(0, 0)];
        for (chars, (bytes, c)) in text.char_indices().enumerate() {
            if c == '\n' {
                lines.push((chars + 1, bytes + 1));
            }
        }
        Self { text: text.to_owned(), lines }
    }

    /// The 1-based character position of a place in the text.
    pub fn position(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(1).max(1) - 1;
        let column = usize::try_from(place.column).unwrap_or(1).max(1);
        self.lines.get(line).map_or(1, |(chars, _)| chars + column)
    }

    fn byte(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(1).max(1) - 1;
        let column = usize::try_from(place.column).unwrap_or(1).max(1) - 1;
        let Some((_, start)) = self.lines.get(line) else { return self.text.len() };
        self.text[*start..].char_indices().nth(column).map_or(self.text.len(), |(i, _)| start + i)
    }
}

impl TokenSlice {
    /// The tokens.
    pub fn tokens(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    /// The text of the whole statement as the client wrote it.
    pub fn text(&self) -> &str {
        self.text_of(0, self.tokens.len())
    }

    /// The text from one token up to, not including, another.
    pub fn text_of(&self, from: usize, to: usize) -> &str {
        let (Some(first), Some(last)) =
            (self.tokens.get(from), to.checked_sub(1).and_then(|i| self.tokens.get(i)))
        else {
            return "";
        };
        &self.script.text[self.script.byte(first.span.start)..self.script.byte(last.span.end)]
    }

    /// The statement that begins at a later token.
    pub fn from(&self, index: usize) -> TokenSlice {
        self.range(index, self.tokens.len())
    }

    /// The tokens of a range.
    pub fn range(&self, from: usize, to: usize) -> TokenSlice {
        let to = to.min(self.tokens.len());
        TokenSlice { script: self.script.clone(), tokens: self.tokens[from.min(to)..to].into() }
    }

    /// The 1-based character position of a place that sqlparser or DataFusion reports.
    pub fn position(&self, place: Location) -> Option<usize> {
        (place.line > 0).then(|| self.script.position(place))
    }

    /// The position of a token.
    pub fn position_of(&self, index: usize) -> usize {
        match self.tokens.get(index) {
            Some(token) => self.script.position(token.span.start),
            None => self.script.text.trim_end().chars().count() + 1,
        }
    }

    /// PostgreSQL's syntax error at a token, or at the end of the input.
    pub fn syntax_error(&self, index: usize, expected: Option<&str>) -> Error {
        let message = match self.tokens.get(index) {
            Some(_) => format!("syntax error at or near \"{}\"", self.text_of(index, index + 1)),
            None => "syntax error at end of input".to_owned(),
        };
        Error::new(SqlState::SyntaxError, message)
            .position(self.position_of(index))
            .maybe_hint(expected.map(|e| format!("Expected {e}.")))
    }

    /// Runs one of sqlparser's own parsers over the statement, all of it.
    ///
    /// # Errors
    /// 42601 with the position, 54001 for too deep nesting.
    pub fn parse_all<T>(
        &self,
        parse: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
    ) -> Result<T> {
        let (tree, next) = self.parse_some(parse)?;
        if next < self.tokens.len() {
            return Err(self.syntax_error(next, None));
        }
        Ok(tree)
    }

    /// Runs one of sqlparser's parsers over the beginning of the statement and gives the index of
    /// the first token that it left.
    ///
    /// # Errors
    /// 42601 with the position, 54001 for too deep nesting.
    pub fn parse_some<T>(
        &self,
        parse: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
    ) -> Result<(T, usize)> {
        let (tokens, origins) = rewrite_tokens(self);
        let is_natural =
            |t: &TokenWithSpan| matches!(&t.token, Token::Word(w) if w.keyword == Keyword::NATURAL);
        let dialect = CenoteDialect { natural: tokens.iter().any(is_natural) };
        if longest_chain(&tokens) > MAX_CHAIN {
            return Err(Error::new(
                SqlState::StatementTooComplex,
                format!("more than {MAX_CHAIN} operators in a row"),
            )
            .hint("Use IN for many values, and several statements for many rows."));
        }
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(RECURSION_LIMIT)
            .with_tokens_with_locations(tokens);
        let tree = parse(&mut parser).map_err(|e| self.locate(&parser, e))?;
        let next = origins.get(parser.index()).copied().unwrap_or(self.tokens.len());
        Ok((tree, next))
    }

    fn locate(&self, parser: &Parser, error: ParserError) -> Error {
        let message = match error {
            ParserError::RecursionLimitExceeded => {
                return Error::new(SqlState::StatementTooComplex, "statement is nested too deeply");
            }
            ParserError::ParserError(m) | ParserError::TokenizerError(m) => m,
        };
        let (text, place) = split_place(&message);
        let index = match place {
            Some(place) => self.tokens.iter().position(|t| {
                (t.span.start.line, t.span.start.column) == (place.line, place.column)
            }),
            None if text.contains("found: EOF") => Some(self.tokens.len()),
            None => None,
        };
        let expected = text
            .strip_prefix("Expected: ")
            .and_then(|rest| rest.split(", found:").next())
            .map(str::to_owned);
        match (index, expected) {
            (Some(index), expected) => self.syntax_error(index, expected.as_deref()),
            (None, Some(expected)) => {
                self.syntax_error(parser.index().saturating_sub(1), Some(&expected))
            }
            (None, None) => Error::new(SqlState::SyntaxError, lower_first(text))
                .position(self.position_of(parser.index().min(self.tokens.len()))),
        }
    }
}

/// Takes ` at Line: n, Column: m` off the end of one of sqlparser's messages.
fn split_place(message: &str) -> (&str, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (text, Some(Location { line, column })),
        _ => (message, None),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().collect::<String>() + chars.as_str(),
        None => String::new(),
    }
}

/// Operators in a row make a tree as deep as they are many; this many fit the threads' stacks.
const MAX_CHAIN: usize = 1000;

/// The most operators in a row: a comma, or the end of the parentheses around, ends a row.
fn longest_chain(tokens: &[TokenWithSpan]) -> usize {
    let (mut longest, mut counts) = (0, vec![0]);
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => counts.push(0),
            Token::RParen | Token::RBracket if counts.len() > 1 => {
                counts.pop();
            }
            Token::Comma | Token::SemiColon => {
                if let Some(count) = counts.last_mut() {
                    *count = 0;
                }
            }
            Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Caret
            | Token::StringConcat => longest = longest.max(one_more(&mut counts)),
            Token::Word(w)
                if matches!(
                    w.keyword,
                    Keyword::AND
                        | Keyword::OR
                        | Keyword::UNION
                        | Keyword::EXCEPT
                        | Keyword::INTERSECT
                        | Keyword::JOIN
                        | Keyword::NOT
                ) =>
            {
                longest = longest.max(one_more(&mut counts));
            }
            _ => {}
        }
    }
    longest
}

fn one_more(counts: &mut [usize]) -> usize {
    let Some(count) = counts.last_mut() else { return 0 };
    *count += 1;
    *count
}
