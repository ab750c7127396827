//! The token rewrite: spellings that sqlparser does not parse become ones that it does.
//!
//! | written | becomes |
//! |---|---|
//! | `t@v5` | `t VERSION AS OF 5` |
//! | `'a'`, and on a later line `'b'` | `'ab'` |
//! | `f(…, TABLE s.t)` | `f(…, (SELECT * FROM s.t))` |
//! | `INSERT INTO t TABLE u`, `… UNION TABLE u` | `… SELECT * FROM u` |
//! | `UPDATE ONLY t`, `FROM ONLY t` | `UPDATE t`, `FROM t`: no table inherits |
//! | `ML.F(MODEL s.m@x, …)` | `ML.F('s.m@x', …)` |
//! | `DO NOTHING` in MERGE | an assignment to, a value of, [`NOTHING_MARKER`] |
//! | `INSERT DEFAULT VALUES` in MERGE | a value of [`DEFAULTS_MARKER`] |
//! | `UPDATE SET *`, `INSERT *` in MERGE | an assignment to, a value of, [`STAR_MARKER`] |
//!
//! New tokens take the place of the token that they replace, so errors still point at it.

use super::TokenSlice;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// The column name that stands for `*` in MERGE's `UPDATE SET *` and `INSERT *`; no user can write
/// it, since a column name holds no control character.
pub const STAR_MARKER: &str = "\u{1}*";

/// The column name that stands for MERGE's `DO NOTHING`, as [`STAR_MARKER`] does for `*`.
pub const NOTHING_MARKER: &str = "\u{1}nothing";

/// The column name that stands for MERGE's `DEFAULT VALUES`, as [`STAR_MARKER`] does for `*`.
pub const DEFAULTS_MARKER: &str = "\u{1}defaults";

/// Rewrites a statement's tokens. The second list says, for each token and for the end, which of
/// the statement's own tokens it came from.
pub fn rewrite_tokens(slice: &TokenSlice) -> (Vec<TokenWithSpan>, Vec<usize>) {
    let mut rewriter = Rewriter {
        slice,
        source: slice.tokens(),
        out: Vec::with_capacity(slice.tokens().len() + 8),
        origins: Vec::with_capacity(slice.tokens().len() + 9),
    };
    let mut next = 0;
    while next < rewriter.source.len() {
        next += rewriter.step(next);
    }
    rewriter.origins.push(next);
    (rewriter.out, rewriter.origins)
}

struct Rewriter<'a> {
    slice: &'a TokenSlice,
    source: &'a [TokenWithSpan],
    out: Vec<TokenWithSpan>,
    origins: Vec<usize>,
}

impl Rewriter<'_> {
    /// Handles the token at `i` and says how many tokens were read.
    fn step(&mut self, i: usize) -> usize {
        self.version(i)
            .or_else(|| self.continued_text(i))
            .or_else(|| self.table_argument(i))
            .or_else(|| self.table_query(i))
            .or_else(|| self.only(i))
            .or_else(|| self.trim(i))
            .or_else(|| self.model_argument(i))
            .or_else(|| self.merge_star(i))
            .or_else(|| self.merge_nothing(i))
            .or_else(|| self.merge_defaults(i))
            .unwrap_or_else(|| {
                self.push(i, self.source[i].token.clone());
                1
            })
    }

    fn push(&mut self, origin: usize, token: Token) {
        self.out.push(TokenWithSpan::new(token, self.source[origin].span));
        self.origins.push(origin);
    }

    fn push_words(&mut self, origin: usize, words: &[&str]) {
        for word in words {
            self.push(origin, Token::make_keyword(word));
        }
    }

    fn token(&self, i: usize) -> Option<&Token> {
        self.source.get(i).map(|t| &t.token)
    }

    fn word(&self, i: usize) -> Option<&Word> {
        match self.token(i) {
            Some(Token::Word(w)) => Some(w),
            _ => None,
        }
    }

    fn is_word(&self, i: usize, wanted: &str) -> bool {
        self.word(i)
            .is_some_and(|w| w.quote_style.is_none() && w.value.eq_ignore_ascii_case(wanted))
    }

    fn adjacent(&self, i: usize) -> bool {
        match (self.source.get(i), self.source.get(i + 1)) {
            (Some(a), Some(b)) => a.span.end == b.span.start,
            _ => false,
        }
    }

    /// A text that goes on in another literal on a later line, as SQL has it.
    fn continued_text(&mut self, i: usize) -> Option<usize> {
        let text = |i: usize| match self.token(i) {
            Some(Token::SingleQuotedString(text)) => Some(text.as_str()),
            _ => None,
        };
        let line = |i: usize| (self.source[i].span.start.line, self.source[i].span.end.line);
        let mut whole = text(i)?.to_owned();
        let mut next = i + 1;
        while let Some(more) = text(next).filter(|_| line(next - 1).1 < line(next).0) {
            whole.push_str(more);
            next += 1;
        }
        if next == i + 1 {
            return None;
        }
        self.push(i, Token::SingleQuotedString(whole));
        Some(next - i)
    }

    /// `@v5` right behind a name.
    fn version(&mut self, i: usize) -> Option<usize> {
        let behind_name = i > 0 && self.word(i - 1).is_some() && self.adjacent(i - 1);
        if self.token(i) != Some(&Token::AtSign) || !behind_name || !self.adjacent(i) {
            return None;
        }
        let word = self.word(i + 1)?;
        let digits = word.value.strip_prefix(['v', 'V'])?.to_owned();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.push_words(i, &["VERSION", "AS", "OF"]);
        self.push(i + 1, Token::Number(digits, false));
        Some(2)
    }

    /// `TABLE name` where an argument begins.
    fn table_argument(&mut self, i: usize) -> Option<usize> {
        let starts = i > 1
            && matches!(
                self.token(i - 1),
                Some(Token::LParen | Token::Comma | Token::RArrow | Token::Assignment)
            );
        if !starts || !self.is_word(i, "TABLE") || self.word(i + 1).is_none() {
            return None;
        }
        let mut end = i + 2;
        while self.token(end) == Some(&Token::Period) && self.word(end + 1).is_some() {
            end += 2;
        }
        if !matches!(self.token(end), Some(Token::RParen | Token::Comma)) {
            return None;
        }
        self.push(i, Token::LParen);
        self.push_words(i, &["SELECT"]);
        self.push(i, Token::Mul);
        self.push_words(i, &["FROM"]);
        for j in i + 1..end {
            self.push(j, self.source[j].token.clone());
        }
        self.push(end - 1, Token::RParen);
        Some(end - i)
    }

    /// `TABLE name` as a query: the source of INSERT, or a part of a set operation.
    fn table_query(&mut self, i: usize) -> Option<usize> {
        if i < 3 || !self.is_word(i, "TABLE") || self.word(i + 1).is_none() {
            return None;
        }
        let behind_set =
            ["UNION", "EXCEPT", "INTERSECT", "ALL"].iter().any(|w| self.is_word(i - 1, w));
        let insert = self.is_word(0, "INSERT")
            && (self.token(i - 1) == Some(&Token::RParen) || self.word(i - 1).is_some());
        if !behind_set && !insert {
            return None;
        }
        self.push_words(i, &["SELECT"]);
        self.push(i, Token::Mul);
        self.push_words(i, &["FROM"]);
        Some(1)
    }

    /// `ONLY` in front of a table's name.
    fn only(&mut self, i: usize) -> Option<usize> {
        let before = i > 0 && ["UPDATE", "FROM", "JOIN"].iter().any(|w| self.is_word(i - 1, w));
        (before && self.is_word(i, "ONLY") && self.word(i + 1).is_some()).then_some(1)
    }

    /// `TRIM(BOTH FROM x)` trims spaces.
    fn trim(&mut self, i: usize) -> Option<usize> {
        let side = ["BOTH", "LEADING", "TRAILING"].iter().any(|w| self.is_word(i, w));
        let inside = i >= 2 && self.is_word(i - 2, "TRIM");
        if !side || !inside || !self.is_word(i + 1, "FROM") {
            return None;
        }
        self.push(i, self.source[i].token.clone());
        self.push(i, Token::SingleQuotedString(" ".to_owned()));
        Some(1)
    }

    /// `MODEL name[@version]` as the first argument of a function of schema `ml`.
    fn model_argument(&mut self, i: usize) -> Option<usize> {
        let in_ml_call = i >= 4
            && self.token(i - 1) == Some(&Token::LParen)
            && self.word(i - 2).is_some()
            && self.token(i - 3) == Some(&Token::Period)
            && self.is_word(i - 4, "ML");
        if !in_ml_call || !self.is_word(i, "MODEL") {
            return None;
        }
        self.word(i + 1)?;
        let mut end = i + 2;
        while self.adjacent(end - 1)
            && matches!(
                self.token(end),
                Some(Token::Period | Token::AtSign | Token::Word(_) | Token::Number(..))
            )
        {
            end += 1;
        }
        let reference = self.slice.text_of(i + 1, end).to_owned();
        self.push(i, Token::SingleQuotedString(reference));
        Some(end - i)
    }

    /// `THEN DO NOTHING`: an INSERT where the clause takes one, else an UPDATE.
    fn merge_nothing(&mut self, i: usize) -> Option<usize> {
        let follows = i > 0 && self.is_word(i - 1, "THEN");
        if !follows || !self.is_word(i, "DO") || !self.is_word(i + 1, "NOTHING") {
            return None;
        }
        let when = (0..i).rev().find(|j| self.is_word(*j, "WHEN"))?;
        let by_source = self.is_word(when + 3, "BY") && self.is_word(when + 4, "SOURCE");
        let marker = Token::Word(Word {
            value: NOTHING_MARKER.to_owned(),
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        });
        if self.is_word(when + 1, "NOT") && !by_source {
            self.push_words(i, &["INSERT", "VALUES"]);
            self.push(i, Token::LParen);
            self.push(i, marker);
            self.push(i, Token::RParen);
        } else {
            self.push_words(i, &["UPDATE", "SET"]);
            self.push(i, marker);
            self.push(i, Token::Eq);
            self.push_words(i, &["NULL"]);
        }
        Some(2)
    }

    /// `THEN INSERT DEFAULT VALUES`.
    fn merge_defaults(&mut self, i: usize) -> Option<usize> {
        let follows = i >= 2 && self.is_word(i - 1, "INSERT") && self.is_word(i - 2, "THEN");
        if !follows || !self.is_word(i, "DEFAULT") || !self.is_word(i + 1, "VALUES") {
            return None;
        }
        self.push_words(i, &["VALUES"]);
        self.push(i, Token::LParen);
        let marker = Word {
            value: DEFAULTS_MARKER.to_owned(),
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        };
        self.push(i, Token::Word(marker));
        self.push(i, Token::RParen);
        Some(2)
    }

    /// `UPDATE SET *` and `INSERT *`.
    fn merge_star(&mut self, i: usize) -> Option<usize> {
        if self.token(i) != Some(&Token::Mul) || i == 0 {
            return None;
        }
        let marker = || {
            Token::Word(Word {
                value: STAR_MARKER.to_owned(),
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            })
        };
        if self.is_word(i - 1, "SET") && i >= 2 && self.is_word(i - 2, "UPDATE") {
            self.push(i, marker());
            self.push(i, Token::Eq);
            self.push_words(i, &["NULL"]);
            return Some(1);
        }
        let follows_then = i >= 2 && self.is_word(i - 2, "THEN");
        if self.is_word(i - 1, "INSERT") && follows_then {
            self.push_words(i, &["VALUES"]);
            self.push(i, Token::LParen);
            self.push(i, marker());
            self.push(i, Token::RParen);
            return Some(1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Script;

    fn rewritten(sql: &str) -> String {
        let slice = Script::split(sql).expect("tokens").remove(0);
        let (tokens, origins) = rewrite_tokens(&slice);
        assert_eq!(origins.len(), tokens.len() + 1);
        tokens.iter().map(|t| t.token.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn spellings_become_what_sqlparser_reads() {
        assert_eq!(rewritten("select * from s.t@v12 x"), "select * from s . t VERSION AS OF 12 x");
        assert_eq!(
            rewritten("select * from ml.predict('m', TABLE a.b)"),
            "select * from ml . predict ( 'm' , ( SELECT * FROM a . b ) )"
        );
        assert_eq!(
            rewritten("select * from ML.EVALUATE(MODEL a.m@champion)"),
            "select * from ML . EVALUATE ( 'a.m@champion' )"
        );
        assert_eq!(rewritten("select a @v5"), "select a @ v5");
        assert_eq!(rewritten("create table t (a int)"), "create table t ( a int )");
    }

    #[test]
    fn merge_stars_are_marked() {
        let text = rewritten(
            "merge into t using s on a = b when matched then update set * when not matched then insert *",
        );
        assert_eq!(text.matches(STAR_MARKER).count(), 2);
    }
}
