//! What the client sends: frames cut from the byte stream, and the messages in them.
//!
//! pgwire decodes these too, but trusts the lengths inside a message; here a message that lies
//! about itself is an error like any other.

use crate::error::{Error, Result};
use crate::format::Format;
use crate::sqlstate::SqlState;
use bytes::{Buf, Bytes, BytesMut};

/// A message may be almost 1 GiB, as in PostgreSQL; kinds that hold only names much less.
const LARGE: usize = 0x3fff_ffff;
const SMALL: usize = 10_000;

/// One message as it came, its kind known and its length right.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) body: Bytes,
}

/// Cuts the next frame off the buffer; none if it is not complete yet.
///
/// # Errors
/// 08P01 if the stream makes no sense any more: the connection has to end.
pub(super) fn next_frame(buffer: &mut BytesMut) -> Result<Option<Frame>> {
    let Some((&kind, rest)) = buffer.split_first() else { return Ok(None) };
    let limit = match kind {
        b'Q' | b'P' | b'B' | b'F' | b'd' | b'p' => LARGE,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL,
        _ => return Err(violation(format!("invalid frontend message type {kind}"))),
    };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(4..=limit).contains(&length) {
        return Err(violation("invalid message length"));
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut body = buffer.split_to(length + 1).freeze();
    body.advance(5);
    Ok(Some(Frame { kind, body }))
}

/// A message of the client.
#[derive(Debug)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        query: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target, String),
    Close(Target, String),
    Execute {
        portal: String,
        max_rows: usize,
    },
    Flush,
    Sync,
    Terminate,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    /// The fast path of functions, and passwords that nobody asked for.
    Unsupported(&'static str),
}

/// The values for a prepared statement.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) parameter_formats: Vec<Format>,
    pub(super) parameters: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<Format>,
}

/// What Describe and Close are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

/// Reads the message in a frame.
///
/// # Errors
/// 08P01 for a body that contradicts itself, 22021 for text that is no UTF-8.
pub(super) fn decode(frame: Frame) -> Result<Message> {
    let mut body = Body(frame.body);
    let message = match frame.kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse {
            name: body.text()?,
            query: body.text()?,
            types: body.list(|body| Ok(body.i32()? as u32))?,
        },
        b'B' => Message::Bind(Bind {
            portal: body.text()?,
            statement: body.text()?,
            parameter_formats: body.list(Body::format)?,
            parameters: body.list(Body::value)?,
            result_formats: body.list(Body::format)?,
        }),
        b'D' => Message::Describe(body.target("DESCRIBE")?, body.text()?),
        b'C' => Message::Close(body.target("CLOSE")?, body.text()?),
        // Anything below 1 means that there is no limit.
        b'E' => Message::Execute {
            portal: body.text()?,
            max_rows: usize::try_from(body.i32()?).unwrap_or(0),
        },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'd' => return Ok(Message::CopyData(body.0)),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.text()?),
        b'F' => return Ok(Message::Unsupported("the function call protocol")),
        _ => return Ok(Message::Unsupported("a password message here")),
    };
    if body.0.has_remaining() {
        return Err(violation("invalid message format"));
    }
    Ok(message)
}

/// The rest of a message's body, read with its bounds checked.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    fn take(&mut self, length: usize) -> Result<Bytes> {
        if self.0.len() < length {
            return Err(violation("insufficient data left in message"));
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(self.take(4)?.get_i32())
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(self.take(2)?.get_i16())
    }

    /// Text up to a zero byte.
    pub(super) fn text(&mut self) -> Result<String> {
        let Some(end) = self.0.iter().position(|byte| *byte == 0) else {
            return Err(violation("invalid string in message"));
        };
        let text = self.0.split_to(end);
        self.0.advance(1);
        Ok(crate::format::decode::utf8(&text)?.to_owned())
    }

    /// A count of two bytes, without a sign, and as many items.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.i16()? as u16;
        let mut items = Vec::with_capacity(usize::from(count).min(self.0.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn format(&mut self) -> Result<Format> {
        match self.i16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("unsupported format code: {other}"),
            )),
        }
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length).map(Some),
                Err(_) => Err(violation("insufficient data left in message")),
            },
        }
    }

    fn target(&mut self, verb: &str) -> Result<Target> {
        match self.take(1)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(violation(format!("invalid {verb} message subtype {other}"))),
        }
    }
}

pub(super) fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::ProtocolViolation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Result<Option<Frame>> {
        next_frame(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_frame_is_cut_when_it_is_complete() {
        let mut buffer = BytesMut::from(&b"Q\0\0\0\x0dselect 1\0S\0\0"[..]);
        let query = next_frame(&mut buffer).unwrap().unwrap();
        assert!(matches!(decode(query).unwrap(), Message::Query(q) if q == "select 1"));
        assert!(next_frame(&mut buffer).unwrap().is_none());
        assert_eq!(&buffer[..], b"S\0\0");
    }

    #[test]
    fn nonsense_ends_the_connection() {
        assert_eq!(
            frame(b"GET / HTTP/1.1").unwrap_err().message(),
            "invalid frontend message type 71"
        );
        for bytes in [b"Q\0\0\0\x03", b"Q\x7f\xff\xff\xff", b"S\0\0\xff\xff", b"X\xff\xff\xff\xff"]
        {
            assert_eq!(frame(bytes).unwrap_err().message(), "invalid message length");
        }
    }

    #[test]
    fn bodies_that_lie_are_errors() {
        for (kind, body) in [
            (b'Q', &b"no end"[..]),
            (b'Q', b"two\0ends\0"),
            (b'P', b"s\0select 1\0\0\x02\0\0\0\0"),
            (b'B', b"\0\0\0\0\0\x01\x00\x00\x00\xffabc"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe"),
            (b'D', b"Zname\0"),
            (b'E', b"name\0\0\0"),
            (b'S', b"x"),
        ] {
            let frame = Frame { kind, body: Bytes::copy_from_slice(body) };
            let error = decode(frame).unwrap_err();
            assert_eq!(error.code(), SqlState::ProtocolViolation, "{}", kind as char);
        }
        let frame = Frame { kind: b'Q', body: Bytes::from_static(b"select '\xff'\0") };
        assert_eq!(decode(frame).unwrap_err().code(), SqlState::CharacterNotInRepertoire);
    }
}
