//! Errors and notices as psql writes them.

use crate::error::{Error, Notice, Severity};
use std::fmt::Write;

/// Where a statement stands in a script.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The file.
    pub(super) file: String,
    /// The line that the statement begins on.
    pub(super) line: usize,
}

/// The text of an error, with the line of the statement that it is about.
pub(super) fn error_text(error: &Error, statement: &str, place: Option<&Place>) -> String {
    let found = error.get_position().and_then(|position| Found::new(statement, position));
    let mut text = String::new();
    if let Some(Place { file, line }) = place {
        let line = line + found.as_ref().map_or(0, |found| found.number - 1);
        let _ = write!(text, "{file}:{line}: ");
    }
    let _ = writeln!(text, "ERROR:  {}", error.message());
    if let Some(found) = found {
        let label = format!("LINE {}: ", found.number);
        let _ = writeln!(text, "{label}{}", found.line);
        let _ = writeln!(text, "{:1$}^", "", label.chars().count() + found.column);
    }
    let rest = [
        ("DETAIL", error.get_detail()),
        ("HINT", error.get_hint()),
        ("CONTEXT", error.get_context()),
    ];
    for (label, value) in rest {
        if let Some(value) = value {
            let _ = writeln!(text, "{label}:  {value}");
        }
    }
    text
}

/// The text of a notice.
pub(super) fn notice_text(notice: &Notice) -> String {
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
    };
    let mut text = format!("{severity}:  {}\n", notice.message);
    for (label, value) in [("DETAIL", &notice.detail), ("HINT", &notice.hint)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{label}:  {value}");
        }
    }
    text
}

/// The line that holds a position, cut to the screen.
struct Found {
    number: usize,
    line: String,
    column: usize,
}

/// How much of a long line is shown around the position.
const SHOWN: usize = 60;

impl Found {
    /// `position` counts characters from 1.
    fn new(statement: &str, position: usize) -> Option<Self> {
        let mut left = position.checked_sub(1)?;
        for (index, line) in statement.split('\n').enumerate() {
            let length = line.chars().count();
            if left <= length {
                return Some(Self::cut(index + 1, line.trim_end_matches('\r'), left));
            }
            left -= length + 1;
        }
        None
    }

    fn cut(number: usize, line: &str, column: usize) -> Self {
        let characters: Vec<char> = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let start = if characters.len() > SHOWN { column.saturating_sub(SHOWN / 2) } else { 0 };
        let end = characters.len().min(start + SHOWN);
        let (before, after) =
            (if start > 0 { "..." } else { "" }, if end < characters.len() { "..." } else { "" });
        let shown: String = characters[start.min(end)..end].iter().collect();
        Self {
            number,
            line: format!("{before}{shown}{after}"),
            column: column - start + before.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlstate::SqlState;

    #[test]
    fn the_caret_stands_under_the_position() {
        let error = Error::new(SqlState::UndefinedColumn, "column \"b\" does not exist")
            .position(20)
            .detail("Detail.")
            .hint("Hint.");
        let place = Place { file: "file.sql".into(), line: 12 };
        assert_eq!(
            error_text(&error, "select 'ü',\n       b\nfrom t", Some(&place)),
            "file.sql:13: ERROR:  column \"b\" does not exist\n\
             LINE 2:        b\n               ^\n\
             DETAIL:  Detail.\nHINT:  Hint.\n"
        );
        assert_eq!(
            error_text(&error.without_position(), "select b", None),
            "ERROR:  column \"b\" does not exist\nDETAIL:  Detail.\nHINT:  Hint.\n"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_position() {
        let statement = format!("select {}x", "1 + ".repeat(100));
        let error = Error::new(SqlState::SyntaxError, "no").position(statement.len());
        let text = error_text(&error, &statement, None);
        let lines: Vec<_> = text.lines().collect();
        let caret = lines[2].len() - 1;
        assert_eq!(lines[1].as_bytes()[caret], b'x');
        assert!(lines[1].len() < 90);
        // At the end of the input the caret stands behind the last character.
        let error = Error::new(SqlState::SyntaxError, "syntax error at end of input").position(9);
        assert!(
            error_text(&error, "select 1", None).contains("LINE 1: select 1\n                ^")
        );
    }
}
