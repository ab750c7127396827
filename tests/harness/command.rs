//! Runs of the program that end by themselves: `cenote sql`, `cenote demo` and starts that fail.

use super::data_folder;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a run ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Standard output of a run that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Standard error of a run that must have failed by itself.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{self:#?}");
        self.stderr
    }
}

/// Runs the binary with these arguments, `input` as its standard input, beside the test data.
pub fn cenote<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>, input: &str) -> Outcome {
    cenote_in(&data_folder(), arguments, input)
}

/// Runs the binary in a given working directory.
fn cenote_in<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = S>,
    input: &str,
) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cenote"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary under test starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // A program that refuses its arguments does not read its input: a broken pipe is no failure here.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the binary under test ends");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

/// `cenote sql -c` on a warehouse.
pub fn sql(data: &Path, statement: &str) -> Outcome {
    cenote(
        [OsStr::new("sql"), "--data".as_ref(), data.as_ref(), "-c".as_ref(), statement.as_ref()],
        "",
    )
}

/// `cenote sql -f` on a warehouse, run in the folder that holds the script's data.
pub fn sql_script(data: &Path, script: &Path, folder: &Path) -> Outcome {
    cenote_in(
        folder,
        [OsStr::new("sql"), "--data".as_ref(), data.as_ref(), "-f".as_ref(), script.as_ref()],
        "",
    )
}
