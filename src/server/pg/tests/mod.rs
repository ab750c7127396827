//! The server against real clients and raw sockets.

mod decoders;
mod extended;
mod hostile;
mod simple;
mod stop;

use super::{Limits, listen_with};
use crate::session::Engine;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
    /// The warehouse, gone with the server.
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::limited(Limits::default()).await
    }

    async fn limited(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path()).await.unwrap();
        let shutdown = CancellationToken::new();
        let address = "127.0.0.1:0".parse().unwrap();
        let (address, ended) =
            listen_with(engine, address, limits, shutdown.clone()).await.unwrap();
        Self { address, shutdown, ended, _folder: folder }
    }

    async fn connect(&self) -> tokio_postgres::Client {
        self.try_connect().await.unwrap()
    }

    async fn try_connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let config = format!("host=127.0.0.1 port={} user=cenote", self.address.port());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A message of the server: its kind and its body.
type Reply = (u8, Vec<u8>);

/// A client that sends bytes as they are.
struct Raw(TcpStream);

impl Raw {
    /// Connects and reads up to the first ReadyForQuery.
    async fn open(server: &Server) -> (Self, Vec<Reply>) {
        Self::open_with(server, 3 << 16, "").await
    }

    async fn open_with(server: &Server, version: i32, more: &str) -> (Self, Vec<Reply>) {
        let mut raw = Self::socket(server).await;
        let mut packet = version.to_be_bytes().to_vec();
        packet.extend_from_slice(format!("user\0cenote\0{more}\0").as_bytes());
        raw.send(&[&(packet.len() as i32 + 4).to_be_bytes()[..], &packet].concat()).await;
        let replies = raw.until_ready().await;
        (raw, replies)
    }

    async fn socket(server: &Server) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next message; none when the server has hung up.
    async fn next(&mut self) -> Option<Reply> {
        tokio::time::timeout(PATIENCE, async {
            let kind = self.0.read_u8().await.ok()?;
            let length = self.0.read_i32().await.ok()?;
            let mut body = vec![0; length as usize - 4];
            self.0.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        })
        .await
        .expect("the server answers")
    }

    /// Makes the table that rows are copied to.
    async fn create_table(&mut self) {
        self.send(&query("CREATE TABLE t (a text, b int)")).await;
        assert_eq!(kinds(&self.until_ready().await), "CZ");
    }

    async fn until_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            replies.push(self.next().await.expect("the server does not hang up"));
            if replies.last().unwrap().0 == b'Z' {
                return replies;
            }
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Binds without parameters, all results as text.
fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str, max_rows: u8) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, max_rows]].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// The kinds of replies as text, notices left out.
fn kinds(replies: &[Reply]) -> String {
    replies.iter().map(|(kind, _)| *kind as char).filter(|kind| *kind != 'N').collect()
}

/// A field of the first error.
fn error_field(replies: &[Reply], key: u8) -> String {
    let (_, body) = replies.iter().find(|(kind, _)| *kind == b'E').expect("an error");
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&key))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}

/// The memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
