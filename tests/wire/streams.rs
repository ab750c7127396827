//! Results of any length pass through memory of one size, in each protocol.
//!
//! `CENOTE_STREAM_ROWS=50000000` makes them as long as one likes.

use crate::harness::raw::{Raw, execute, extended, message, query};
use crate::harness::{Server, run};
use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

/// What the server may grow by, whatever the number of rows.
const GROWTH_MIB: u64 = 100;

/// How many rows a portal gives at a time.
const PORTAL_ROWS: u32 = 10_000;

fn rows() -> u64 {
    let given = std::env::var("CENOTE_STREAM_ROWS").ok().and_then(|rows| rows.parse().ok());
    given.unwrap_or(2_000_000)
}

fn statement(rows: u64) -> String {
    format!("SELECT n, 'text of row ' || n AS t FROM generate_series(1::bigint, {rows}) AS g(n)")
}

/// Counts rows and adds up their numbers; each row must be one of `statement`.
#[derive(Default)]
struct Checked {
    rows: u64,
    sum: u64,
}

impl Checked {
    fn row(&mut self, number: &[u8], text: &[u8]) {
        self.rows += 1;
        assert_eq!(text.strip_prefix(b"text of row "), Some(number));
        let number = std::str::from_utf8(number).expect("digits");
        self.sum += number.parse::<u64>().expect("a number");
    }

    fn data_row(&mut self, body: &[u8]) {
        let length = u32::from_be_bytes([body[2], body[3], body[4], body[5]]) as usize;
        let (number, rest) = body[6..].split_at(length);
        self.row(number, &rest[4..]);
    }

    fn copy_data(&mut self, body: &[u8]) {
        let tab = body.iter().position(|byte| *byte == b'\t').expect("two columns");
        assert_eq!(body.last(), Some(&b'\n'));
        self.row(&body[..tab], &body[tab + 1..body.len() - 1]);
    }

    /// All rows have come, each once.
    fn finish(self) -> u64 {
        assert_eq!(self.sum, self.rows * (self.rows + 1) / 2);
        self.rows
    }
}

/// Reads to ReadyForQuery; a portal is asked for more rows whenever it stops, and ended by a Sync.
async fn drain(raw: &mut Raw, is_portal: bool) -> u64 {
    let mut checked = Checked::default();
    let mut buffer = BytesMut::with_capacity(1 << 20);
    loop {
        while let Some(header) = buffer.first_chunk::<5>() {
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            if buffer.len() < length + 1 {
                break;
            }
            let body = &buffer[5..length + 1];
            match header[0] {
                b'D' => checked.data_row(body),
                b'd' => checked.copy_data(body),
                b's' => raw.send(&[execute(PORTAL_ROWS), message(b'H', b"")].concat()).await,
                b'C' if is_portal => raw.send(&message(b'S', b"")).await,
                b'E' => panic!("{}", String::from_utf8_lossy(body)),
                b'Z' => return checked.finish(),
                _ => {}
            }
            buffer.advance(length + 1);
        }
        let read = raw.socket.read_buf(&mut buffer).await.expect("more bytes");
        assert!(read > 0, "the server does not hang up");
    }
}

/// Runs messages for a few rows and then for all, and compares the memory.
fn flat(is_portal: bool, messages: impl Fn(&str) -> Vec<u8>) {
    let server = Server::fresh();
    run(async {
        let mut raw = Raw::open(&server).await;
        let rows = rows();
        raw.send(&messages(&statement(50_000))).await;
        assert_eq!(drain(&mut raw, is_portal).await, 50_000);
        let before = server.memory_mib("VmHWM");
        raw.send(&messages(&statement(rows))).await;
        assert_eq!(drain(&mut raw, is_portal).await, rows);
        let after = server.memory_mib("VmHWM");
        println!("{rows} rows: the peak went from {before} MiB to {after} MiB");
        assert!(after - before < GROWTH_MIB, "from {before} MiB to {after} MiB");
    });
    server.stop();
}

#[test]
fn simple_queries_stream() {
    flat(false, query);
}

#[test]
fn portals_without_a_limit_stream() {
    flat(true, |sql| [extended(sql, 0), message(b'H', b"")].concat());
}

#[test]
fn portals_with_a_limit_stream() {
    flat(true, |sql| [extended(sql, PORTAL_ROWS), message(b'H', b"")].concat());
}

#[test]
fn copies_stream() {
    flat(false, |sql| query(&format!("COPY ({sql}) TO STDOUT")));
}
