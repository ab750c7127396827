//! A client that sends bytes as they are, and reads messages one by one or not at all.

use super::Server;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take. It only bounds a hang; nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A message of the server: its kind and its body.
pub type Reply = (u8, Vec<u8>);

/// A connection.
pub struct Raw {
    /// The socket.
    pub socket: TcpStream,
    /// Process number and secret, as a cancel request has them.
    key: Vec<u8>,
}

impl Raw {
    /// A socket on which nothing has been said.
    pub async fn silent(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).await.expect("the server listens");
        Self { socket, key: Vec::new() }
    }

    /// A session, up to its first ReadyForQuery.
    pub async fn open(server: &Server) -> Self {
        let mut raw = Self::silent(server).await;
        raw.send(&startup()).await;
        let replies = raw.until_ready().await;
        let key = replies.into_iter().find(|(kind, _)| *kind == b'K').expect("a cancel key");
        raw.key = key.1;
        raw
    }

    /// Sends bytes; the server may have hung up.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next message; none when the server has hung up.
    pub async fn next(&mut self) -> Option<Reply> {
        let message = async {
            let kind = self.socket.read_u8().await.ok()?;
            let length = self.socket.read_i32().await.ok()?;
            let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
            self.socket.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        };
        tokio::time::timeout(PATIENCE, message).await.expect("the server answers or hangs up")
    }

    /// All messages up to ReadyForQuery, rows left out.
    pub async fn until_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            let reply = self.next().await.expect("the server does not hang up");
            let last = reply.0 == b'Z';
            if !matches!(reply.0, b'D' | b'd') {
                replies.push(reply);
            }
            if last {
                return replies;
            }
        }
    }

    /// Runs a simple query to its end: the last tag, or the SQLSTATE of the error.
    pub async fn run(&mut self, sql: &str) -> Result<String, String> {
        self.send(&query(sql)).await;
        outcome(&self.until_ready().await)
    }

    /// The first value of a query's first row.
    pub async fn value(&mut self, sql: &str) -> String {
        self.send(&query(sql)).await;
        let mut value = None;
        loop {
            let (kind, body) = self.next().await.expect("the server does not hang up");
            match kind {
                b'D' if value.is_none() => {
                    value = Some(String::from_utf8(body[6..].to_vec()).expect("UTF-8"));
                }
                b'E' => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
                b'Z' => return value.unwrap_or_else(|| panic!("{sql}: no row")),
                _ => {}
            }
        }
    }

    /// Asks for the running statement to be cancelled, on a connection of its own; returns when the
    /// server has done so.
    pub async fn cancel(&self, server: &Server) {
        cancel(server, &self.key).await;
    }

    /// What cancels this session's statement, to be kept elsewhere.
    pub fn key(&self) -> Vec<u8> {
        self.key.clone()
    }
}

/// Sends a cancel request and waits until the server has hung up on it.
pub async fn cancel(server: &Server, key: &[u8]) {
    let mut raw = Raw::silent(server).await;
    let length = u32::try_from(key.len() + 8).expect("a short key");
    raw.send(&[&length.to_be_bytes()[..], &80_877_102_i32.to_be_bytes(), key].concat()).await;
    assert!(raw.next().await.is_none(), "a cancel request has no answer");
}

/// A startup packet.
pub fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0cenote\0database\0cenote\0\0";
    let length = u32::try_from(body.len() + 4).expect("a short packet");
    [&length.to_be_bytes()[..], body].concat()
}

/// A message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// A simple query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse, Bind and Execute of a statement without parameters, with a row limit; 0 for none.
pub fn extended(sql: &str, rows: u32) -> Vec<u8> {
    [
        message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat()),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        execute(rows),
    ]
    .concat()
}

/// Execute of the portal without a name.
pub fn execute(rows: u32) -> Vec<u8> {
    message(b'E', &[&b"\0"[..], &rows.to_be_bytes()].concat())
}

/// The last tag, or the SQLSTATE of the error.
pub fn outcome(replies: &[Reply]) -> Result<String, String> {
    if let Some((_, body)) = replies.iter().find(|(kind, _)| *kind == b'E') {
        return Err(field(body, b'C'));
    }
    let tag = replies.iter().rev().find(|(kind, _)| *kind == b'C');
    let tag = tag.map(|(_, body)| String::from_utf8_lossy(body).trim_end_matches('\0').to_owned());
    Ok(tag.unwrap_or_default())
}

/// A field of an error.
pub fn field(body: &[u8], key: u8) -> String {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&key))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}
