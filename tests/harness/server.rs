//! A `cenote serve` process under test.

use super::{data_folder, temporary_folder};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// How long a server may take until it listens. It only bounds a hang; nothing waits for it.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running server. Dropping it ends it with SIGTERM.
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: tempfile::NamedTempFile,
    _own_data: Option<tempfile::TempDir>,
    data: PathBuf,
    stopped: bool,
}

impl Server {
    /// Starts on a fresh warehouse that goes away with the server.
    pub fn fresh() -> Self {
        let folder = temporary_folder();
        let data = folder.path().join("warehouse");
        let mut server = Self::start(&data);
        server._own_data = Some(folder);
        server
    }

    /// Starts on a given data folder, which may hold a warehouse already.
    pub fn start(data: &Path) -> Self {
        Self::try_start(data).unwrap_or_else(|said| panic!("the server did not start: {said}"))
    }

    /// Starts on a given data folder with further arguments.
    pub fn start_with(data: &Path, arguments: &[&str]) -> Self {
        Self::try_start_with(data, arguments)
            .unwrap_or_else(|said| panic!("the server did not start: {said}"))
    }

    /// Starts on a given data folder; the standard error of a server that gave up is the error.
    pub fn try_start(data: &Path) -> Result<Self, String> {
        Self::try_start_with(data, &[])
    }

    fn try_start_with(data: &Path, arguments: &[&str]) -> Result<Self, String> {
        let log = tempfile::NamedTempFile::new().expect("a file for the server's log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_cenote"))
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(data_folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen().expect("the log file opens again"))
            .spawn()
            .expect("the binary under test starts");

        let stdout = child.stdout.take().expect("standard output is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = sender.send(line);
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        let line = receiver.recv_timeout(START_LIMIT).unwrap_or_default();
        let said =
            line.strip_prefix("listening on ").and_then(|rest| rest.split_whitespace().next());
        let Some(address) = said.and_then(|text| text.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(log.path()).unwrap_or_default();
            return Err(format!("{line}{log}"));
        };
        let data = data.to_path_buf();
        Ok(Self { child, address, log, _own_data: None, data, stopped: false })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its warehouse folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// A line of its `/proc/…/status`, such as `VmRSS`, in MiB.
    pub fn memory_mib(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let kib = status
            .lines()
            .find_map(|l| l.strip_prefix(line))
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|n| n.parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("no {line} in {status}")) / 1024
    }

    /// A connection string for tokio-postgres.
    pub fn url(&self) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        format!("host={host} port={port} user=cenote dbname=cenote")
    }

    /// A new session.
    pub async fn connect(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.expect("the server takes a session");
        tokio::spawn(connection);
        client
    }

    /// Ends it the orderly way, which must succeed.
    pub fn stop(mut self) {
        let status = self.terminate();
        assert!(status.success(), "SIGTERM should end the server cleanly, not with {status}");
    }

    /// Ends it as a power cut would: with SIGKILL, in whatever it is doing.
    pub fn kill(mut self) {
        self.stopped = true;
        self.child.kill().expect("the server is ours to kill");
        self.child.wait().expect("the server ends");
    }

    fn terminate(&mut self) -> ExitStatus {
        self.stopped = true;
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "the server is ours to stop");
        self.child.wait().expect("the server ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            if self.child.try_wait().ok().flatten().is_none() && !std::thread::panicking() {
                self.terminate();
            } else {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the server's log, last {} lines\n{}", tail.len(), tail.join("\n"));
        }
    }
}

/// Runs a test's future to its end.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
