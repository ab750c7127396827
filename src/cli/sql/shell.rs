//! The interactive shell: a line editor with history around the runner.

use super::run::{Ended, Runner};
use super::script::{Piece, Script};
use crate::error::{Error, Result};
use crate::session::TransactionStatus;
use crate::sqlstate::SqlState;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};
use std::path::PathBuf;

/// Decides when the text that was typed is complete.
struct Complete;

impl Validator for Complete {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Completer for Complete {
    type Candidate = String;
}
impl Hinter for Complete {
    type Hint = String;
}
impl Highlighter for Complete {}
impl Helper for Complete {}

/// Whether the last statement has its semicolon; a command and an empty line need none.
fn is_complete(text: &str) -> bool {
    let mut script = Script::new(text);
    let mut last = None;
    while let Some(piece) = script.next_piece() {
        last = Some(piece);
    }
    !matches!(last, Some(Piece::Statement { ended: false, .. }))
}

/// Reads and runs statements until the user leaves.
pub(super) fn run(runner: &mut Runner) -> Result<()> {
    let fail = |error: ReadlineError| {
        Error::new(SqlState::IoError, format!("cannot read from the terminal: {error}"))
    };
    let mut editor = Editor::<Complete, FileHistory>::new().map_err(fail)?;
    editor.set_helper(Some(Complete));
    let history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    eprintln!("cenote {}. Type \\? for help.", env!("CARGO_PKG_VERSION"));
    loop {
        match editor.readline(prompt(runner.status())) {
            Ok(text) => {
                if !text.trim().is_empty() {
                    let _ = editor.add_history_entry(text.trim());
                }
                if runner.script(&text, None, true) == Ended::Quit {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(fail(error)),
        }
    }
    if let Some(file) = &history
        && let Err(error) = editor.save_history(file)
    {
        tracing::warn!(%error, "the history could not be saved");
    }
    Ok(())
}

fn prompt(status: TransactionStatus) -> &'static str {
    match status {
        TransactionStatus::Idle => "cenote=> ",
        TransactionStatus::Active => "cenote=*> ",
        TransactionStatus::Failed => "cenote=!> ",
    }
}

fn history_file() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cenote_history"))
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn a_statement_is_complete_with_its_semicolon() {
        for text in ["", "select 1;", "\\d t", "select 1; -- done", "select 1;\\q"] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["select 1", "select ';", "select 1; select 2", "select $$;"] {
            assert!(!is_complete(text), "{text}");
        }
    }
}
