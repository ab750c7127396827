//! The interactive shell: a line editor with history around the runner.

use super::run::{Ended, Origin, Runner, cancelled};
use super::script::awaited;
use crate::error::{Error, Result};
use crate::session::TransactionStatus;
use crate::sqlstate::SqlState;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::collections::VecDeque;
use std::path::PathBuf;

/// The prompt for a line of COPY data, as psql's.
const DATA_PROMPT: &str = ">> ";

/// Has the tab key write a tab: there is nothing to complete, and COPY data need tabs.
struct Tabs;

impl Completer for Tabs {
    type Candidate = String;

    fn complete(
        &self,
        _line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((position, vec!["\t".to_owned()]))
    }
}
impl Hinter for Tabs {
    type Hint = String;
}
impl Highlighter for Tabs {}
impl Validator for Tabs {}
impl Helper for Tabs {}

/// Lines from the terminal.
struct Lines {
    editor: Editor<Tabs, FileHistory>,
    history: Option<PathBuf>,
    /// Lines that were pasted behind the one that was read last.
    pasted: VecDeque<String>,
}

/// Reads and runs statements until the user leaves.
pub(super) fn run(runner: &mut Runner) -> Result<()> {
    let mut lines = Lines::new().map_err(terminal_error)?;
    eprintln!("cenote {}. Type \\? for help.", env!("CARGO_PKG_VERSION"));
    let (mut text, mut waits_for) = (String::new(), None);
    loop {
        let line = match lines.next(&prompt(runner.status(), waits_for)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                (text, waits_for) = (String::new(), None);
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal_error(error)),
        };
        let word = Word::of(&line, waits_for);
        match word {
            Some(Word::Leave) => return Ok(()),
            Some(Word::Help) => text.push_str("\\?"),
            Some(Word::LeaveHint) | None => text.push_str(&line),
        }
        if word == Some(Word::LeaveHint) {
            eprintln!("Use \\q to quit.");
        }
        waits_for = awaited(&text);
        if waits_for.is_some() {
            text.push('\n');
            continue;
        }
        lines.remember(text.trim());
        let ended = runner.script(&text, Origin::Typed(&mut || lines.data()), true);
        text.clear();
        if matches!(ended, Ended::Quit | Ended::Unread) {
            return Ok(());
        }
    }
}

impl Lines {
    fn new() -> rustyline::Result<Self> {
        // With the list of one candidate, a completion is there at the first tab.
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor = Editor::<Tabs, FileHistory>::with_config(config)?;
        editor.set_helper(Some(Tabs));
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let history = home.map(|home| home.join(".cenote_history"));
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history, pasted: VecDeque::new() })
    }

    /// The next line. A text that was pasted, or comes from the history, can have several.
    fn next(&mut self, prompt: &str) -> rustyline::Result<String> {
        if let Some(line) = self.pasted.pop_front() {
            return Ok(line);
        }
        let text = self.editor.readline(prompt)?;
        let mut lines = text.lines().map(str::to_owned);
        let first = lines.next().unwrap_or_default();
        self.pasted.extend(lines);
        Ok(first)
    }

    /// A line of COPY data; none at the end of the input.
    fn data(&mut self) -> Result<Option<String>> {
        match self.next(DATA_PROMPT) {
            Ok(line) => Ok(Some(line)),
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Interrupted) => Err(cancelled()),
            Err(error) => Err(terminal_error(error)),
        }
    }

    /// Puts a statement into the history, and the history's file: not every session ends well.
    fn remember(&mut self, text: &str) {
        if text.is_empty() || !self.editor.add_history_entry(text).unwrap_or(false) {
            return;
        }
        if let Some(file) = &self.history
            && let Err(error) = self.editor.append_history(file)
        {
            tracing::warn!(%error, "the history could not be saved");
            // Once is enough.
            self.history = None;
        }
    }
}

/// What a line can say to the shell itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Leave,
    /// A word that would leave if no statement had begun; it is a part of that.
    LeaveHint,
    Help,
}

impl Word {
    /// The word on a line, if it is one; `awaited` is what the text before it waits for.
    fn of(line: &str, awaited: Option<char>) -> Option<Self> {
        let word = line.trim().trim_end_matches(';').trim_end();
        let leaves = ["exit", "quit"].iter().any(|leave| word.eq_ignore_ascii_case(leave));
        match awaited {
            None if leaves => Some(Word::Leave),
            None if word.eq_ignore_ascii_case("help") => Some(Word::Help),
            // A quote or a comment can hold these words.
            Some('-') if leaves => Some(Word::LeaveHint),
            Some('-') if matches!(word, "\\q" | "\\quit") => Some(Word::Leave),
            _ => None,
        }
    }
}

fn terminal_error(error: ReadlineError) -> Error {
    Error::new(SqlState::IoError, format!("cannot read from the terminal: {error}"))
}

/// psql's prompt: what is waited for, `=` for a statement, and the state of the transaction.
fn prompt(status: TransactionStatus, awaited: Option<char>) -> String {
    let state = match status {
        TransactionStatus::Idle => "",
        TransactionStatus::Active => "*",
        TransactionStatus::Failed => "!",
    };
    format!("cenote{}{state}> ", awaited.unwrap_or('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_leave_stand_alone_on_their_line() {
        for line in ["exit", " quit ;", "QUIT"] {
            assert_eq!(Word::of(line, None), Some(Word::Leave), "{line}");
            assert_eq!(Word::of(line, Some('-')), Some(Word::LeaveHint), "{line}");
            assert_eq!(Word::of(line, Some('\'')), None, "{line}");
        }
        assert_eq!(Word::of("help", None), Some(Word::Help));
        assert_eq!(Word::of("help", Some('-')), None);
        assert_eq!(Word::of("\\q", Some('-')), Some(Word::Leave));
        for line in ["", "exit now", "select 1;", "\\q"] {
            assert_eq!(Word::of(line, None), None, "{line}");
        }
    }

    #[test]
    fn the_prompt_shows_what_is_waited_for() {
        assert_eq!(prompt(TransactionStatus::Idle, None), "cenote=> ");
        assert_eq!(prompt(TransactionStatus::Active, Some('-')), "cenote-*> ");
        assert_eq!(prompt(TransactionStatus::Failed, Some('\'')), "cenote'!> ");
    }
}
