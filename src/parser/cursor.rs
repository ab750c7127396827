//! A cursor over a statement's tokens, for the statements that sqlparser does not know.

use super::{TokenSlice, fold_ident, is_reserved};
use crate::error::{Error, Result};
use sqlparser::tokenizer::Token;

/// Reads tokens from left to right; every failure is a syntax error at its token.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    slice: &'a TokenSlice,
    next: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first token.
    pub fn new(slice: &'a TokenSlice) -> Self {
        Self { slice, next: 0 }
    }

    /// The statement under the cursor.
    pub fn slice(&self) -> &'a TokenSlice {
        self.slice
    }

    /// The index of the next token.
    pub fn index(&self) -> usize {
        self.next
    }

    /// The next token, unless the statement is at its end.
    pub fn peek(&self) -> Option<&'a Token> {
        self.slice.tokens().get(self.next).map(|t| &t.token)
    }

    /// The token after the next ones.
    pub fn peek_nth(&self, n: usize) -> Option<&'a Token> {
        self.slice.tokens().get(self.next + n).map(|t| &t.token)
    }

    /// True at the end of the statement.
    pub fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// Steps over one token.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// True if the next words are these (upper case), whatever their own case; quoted ones are not.
    pub fn peek_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| match self.peek_nth(i) {
            Some(Token::Word(w)) => w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word),
            _ => false,
        })
    }

    /// Steps over these words if they come next.
    pub fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.peek_words(words);
        if found {
            self.next += words.len();
        }
        found
    }

    /// Steps over these words.
    ///
    /// # Errors
    /// 42601 at the first word that differs.
    pub fn expect(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.error(Some(word)));
            }
        }
        Ok(())
    }

    /// Steps over this token if it comes next.
    pub fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.next += 1;
        }
        found
    }

    /// Steps over this token.
    ///
    /// # Errors
    /// 42601 at the token that stands there instead.
    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) {
            return Ok(());
        }
        Err(self.error(Some(&format!("\"{token}\""))))
    }

    /// Says that the statement ends here.
    ///
    /// # Errors
    /// 42601 at the first token too many.
    pub fn expect_end(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.error(None)) }
    }

    /// A syntax error at the next token.
    pub fn error(&self, expected: Option<&str>) -> Error {
        self.slice.syntax_error(self.next, expected)
    }

    /// The position of the next token.
    pub fn position(&self) -> usize {
        self.slice.position_of(self.next)
    }

    /// An identifier, folded.
    ///
    /// # Errors
    /// 42601 if the next token is none.
    pub fn identifier(&mut self, what: &str) -> Result<String> {
        match self.peek() {
            Some(Token::Word(w)) => {
                self.next += 1;
                Ok(fold_ident(&w.value, w.quote_style))
            }
            _ => Err(self.error(Some(what))),
        }
    }

    /// A dotted name of identifiers, folded. A reserved word that is not quoted begins none.
    ///
    /// # Errors
    /// 42601 if there is none.
    pub fn name(&mut self, what: &str) -> Result<Vec<String>> {
        if let Some(Token::Word(w)) = self.peek()
            && is_reserved(&w.value, w.quote_style)
        {
            return Err(self.error(Some(what)));
        }
        let mut parts = vec![self.identifier(what)?];
        while self.accept_token(&Token::Period) {
            parts.push(self.identifier(what)?);
        }
        Ok(parts)
    }

    /// A string literal.
    ///
    /// # Errors
    /// 42601 if the next token is none.
    pub fn string(&mut self, what: &str) -> Result<String> {
        match self.peek() {
            Some(Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s)) => {
                self.next += 1;
                Ok(s.clone())
            }
            Some(Token::DollarQuotedString(s)) => {
                self.next += 1;
                Ok(s.value.clone())
            }
            _ => Err(self.error(Some(what))),
        }
    }

    /// A whole number of at least 0.
    ///
    /// # Errors
    /// 42601 if the next token is none.
    pub fn integer(&mut self, what: &str) -> Result<u64> {
        if let Some(Token::Number(digits, _)) = self.peek()
            && let Ok(number) = digits.parse()
        {
            self.next += 1;
            return Ok(number);
        }
        Err(self.error(Some(what)))
    }

    /// `IF EXISTS`
    pub fn if_exists(&mut self) -> bool {
        self.accept(&["IF", "EXISTS"])
    }

    /// `IF NOT EXISTS`
    pub fn if_not_exists(&mut self) -> bool {
        self.accept(&["IF", "NOT", "EXISTS"])
    }

    /// The index just behind the parenthesis that closes the one at the cursor.
    ///
    /// # Errors
    /// 42601 if there is none.
    pub fn closing_parenthesis(&self) -> Result<usize> {
        let mut depth = 0usize;
        for (i, token) in self.slice.tokens().iter().enumerate().skip(self.next) {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(i + 1);
                    }
                }
                _ => {}
            }
        }
        Err(self.slice.syntax_error(self.slice.tokens().len(), Some("\")\"")))
    }

    /// Moves to a token by its index.
    pub fn seek(&mut self, index: usize) {
        self.next = index;
    }
}
