//! The interactive shell, typed at on a terminal of its own.

#![cfg(target_os = "linux")]

use crate::harness::temporary_folder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the shell may take to answer. It only bounds a hang; nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell and the terminal that it runs on.
struct Shell {
    child: Child,
    keys: File,
    screen: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Shell {
    /// Starts one with this folder as its home, and the warehouse in it.
    fn start(home: &Path) -> Self {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let end = || Stdio::from(terminal.slave.try_clone().expect("the shell's end"));
        let data = home.join("warehouse");
        let child = Command::new(env!("CARGO_BIN_EXE_cenote"))
            .args([OsStr::new("sql"), OsStr::new("--data"), data.as_os_str()])
            .env("HOME", home)
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the binary under test starts");
        let keys = File::from(terminal.master);
        let mut output = keys.try_clone().expect("the screen");
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, keys, screen, seen: String::new() };
        shell.expect("cenote=> ", 1);
        shell
    }

    /// Types all of it at once, as a terminal without bracketed paste does.
    fn paste(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).expect("a terminal takes keys");
    }

    /// Waits until a text has been shown so many times.
    #[track_caller]
    fn expect(&mut self, text: &str, times: usize) {
        while self.seen.matches(text).count() < times {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("no {text:?}, {times} times, in: {}", self.seen),
            }
        }
    }

    #[track_caller]
    fn ends(mut self) -> String {
        let status = self.child.wait().expect("the shell ends");
        assert_eq!(status.code(), Some(0), "{}", self.seen);
        self.seen
    }
}

#[test]
fn lines_that_come_together_all_run_and_are_remembered_at_once() {
    let home = temporary_folder();
    let mut shell = Shell::start(home.path());
    shell.paste("select 1;\nselect 2;\nselect\n 3;\n");
    shell.expect("(1 row)", 3);
    // A shell that is killed has saved what was typed.
    shell.child.kill().expect("killed");
    shell.child.wait().expect("gone");
    let history = std::fs::read_to_string(home.path().join(".cenote_history")).expect("history");
    assert!(history.contains("select 1;") && history.contains("select 2;"), "{history}");
    assert!(history.contains("select\\n 3;"), "one entry a statement: {history}");
}

#[test]
fn statements_of_several_lines_have_a_prompt_and_several_ends() {
    let home = temporary_folder();
    let mut shell = Shell::start(home.path());
    shell.paste("/* a\n b */ select 'x\ny';\nselect 2\n\\g\n");
    shell.expect("(1 row)", 2);
    for prompt in ["cenote*> ", "cenote'> ", "cenote-> "] {
        shell.expect(prompt, 1);
    }
    shell.paste("help\n");
    shell.expect("describe a table or view", 1);
    shell.paste("select\nexit\n");
    shell.expect("Use \\q to quit.", 1);
    shell.paste("\\q\n");
    shell.ends();

    let mut shell = Shell::start(home.path());
    shell.paste("exit\n");
    shell.ends();
}

#[test]
fn copy_takes_the_lines_that_are_typed() {
    let home = temporary_folder();
    let mut shell = Shell::start(home.path());
    shell.paste("create table t (id integer, word text);\ncopy t from stdin;\n");
    shell.expect("End with a backslash and a period", 1);
    shell.expect(">> ", 1);
    shell.paste("1\tone;\n2\ttwo\n\\.\nselect 'sum ' || sum(id) as s from t;\n");
    shell.expect("COPY 2", 1);
    shell.expect("sum 3", 1);
    // Data behind a line that is wrong are no statements.
    shell.paste(
        "copy t from stdin;\nx\ty\n3\tthree\n\\.\nselect 'still ' || count(*) as s from t;\n",
    );
    shell.expect("still 2", 1);
    assert_eq!(shell.seen.matches("ERROR:").count(), 1, "{}", shell.seen);
    shell.paste("quit\n");
    shell.ends();
}
