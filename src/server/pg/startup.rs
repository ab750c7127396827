//! The first packets of a connection: encryption requests, a cancel request, or who the client is.

use super::message::{Body, violation};
use crate::error::{Error, Result};
use crate::session::Startup;
use crate::sqlstate::SqlState;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// As in PostgreSQL, the longest packet before it is known who speaks.
const LONGEST: usize = 10_000;

const CANCEL: i32 = 80_877_102;
const SSL: i32 = 80_877_103;
const GSSENC: i32 = 80_877_104;

/// The newest minor version of protocol 3 that is spoken here.
pub(super) const NEWEST_MINOR: u16 = 2;

/// What the client wants.
#[derive(Debug)]
pub(super) enum Opening {
    Startup(Hello),
    Cancel {
        pid: i32,
        secret: Bytes,
    },
    /// It hung up.
    Closed,
}

/// A startup packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The minor version that the client asked for.
    pub(super) minor: u16,
    pub(super) user: String,
    pub(super) database: String,
    /// The settings, those of `options` among them.
    pub(super) settings: Vec<(String, String)>,
    /// Protocol extensions that are not known here.
    pub(super) unknown_options: Vec<String>,
}

impl Hello {
    pub(super) fn into_session(self) -> Startup {
        Startup { user: self.user, database: self.database, settings: self.settings }
    }

    /// Cancel keys have 4 bytes up to 3.1, and 32 from 3.2 on.
    pub(super) fn secret_bytes(&self) -> usize {
        if self.minor >= 2 { 32 } else { 4 }
    }
}

/// Reads until the client has said what it wants. Encryption is declined for now.
///
/// # Errors
/// 08P01 for packets that are none, 0A000 for another protocol, 28000 without a role.
pub(super) async fn negotiate<S>(stream: &mut S, buffer: &mut BytesMut) -> Result<Opening>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked_ssl, mut asked_gss) = (false, false);
    loop {
        let Some(mut packet) = next_packet(stream, buffer).await? else {
            return Ok(Opening::Closed);
        };
        let code = packet.i32()?;
        let again = match code {
            SSL => std::mem::replace(&mut asked_ssl, true),
            GSSENC => std::mem::replace(&mut asked_gss, true),
            CANCEL => {
                let pid = packet.i32()?;
                return Ok(Opening::Cancel { pid, secret: packet.0 });
            }
            version => return hello(version, packet).map(Opening::Startup),
        };
        if again {
            return Err(violation("encryption was asked for twice"));
        }
        if stream.write_all(b"N").await.is_err() {
            return Ok(Opening::Closed);
        }
    }
}

/// A packet without its length; none if the client hung up first.
async fn next_packet<S>(stream: &mut S, buffer: &mut BytesMut) -> Result<Option<Body>>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(length) = buffer.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if !(8..=LONGEST).contains(&length) {
                return Err(violation("invalid length of startup packet"));
            }
            if buffer.len() >= length {
                let mut packet = buffer.split_to(length).freeze();
                packet.advance(4);
                return Ok(Some(Body(packet)));
            }
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

fn hello(version: i32, mut packet: Body) -> Result<Hello> {
    let (major, minor) = ((version >> 16) as u16, version as u16);
    if major != 3 {
        return Err(Error::new(
            SqlState::FeatureNotSupported,
            format!(
                "unsupported frontend protocol {major}.{minor}: \
                 server supports 3.0 to 3.{NEWEST_MINOR}"
            ),
        ));
    }
    let mut hello = Hello {
        minor,
        user: String::new(),
        database: String::new(),
        settings: Vec::new(),
        unknown_options: Vec::new(),
    };
    loop {
        let name = packet.text()?;
        if name.is_empty() {
            break;
        }
        let value = packet.text()?;
        match name.as_str() {
            "user" => hello.user = value,
            "database" => hello.database = value,
            "options" => hello.settings.extend(options(&value)?),
            "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                return Err(Error::new(
                    SqlState::FeatureNotSupported,
                    "replication connections are not supported",
                ));
            }
            "replication" => {}
            _ if name.starts_with("_pq_.") => hello.unknown_options.push(name),
            _ => hello.settings.push((name, value)),
        }
    }
    if packet.0.has_remaining() {
        return Err(violation("invalid startup packet layout: expected terminator as last byte"));
    }
    if hello.user.is_empty() {
        return Err(Error::new(
            SqlState::InvalidAuthorizationSpecification,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if hello.database.is_empty() {
        hello.database.clone_from(&hello.user);
    }
    Ok(hello)
}

/// Takes `-c name=value --name=value` apart; a backslash keeps a space or backslash in a value.
fn options(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = words(text).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") => words.next().unwrap_or_default(),
            Some(setting) => setting.to_owned(),
            None => {
                return Err(Error::new(
                    SqlState::SyntaxError,
                    format!("invalid command-line argument for server process: {word}"),
                )
                .hint("Only -c name=value and --name=value can be used in \"options\"."));
            }
        };
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Error::new(
                SqlState::SyntaxError,
                format!("-c {setting} requires a value"),
            ));
        };
        // Dashes stand for underscores in names, as on PostgreSQL's command line.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c.is_ascii_whitespace() {
            if std::mem::take(&mut inside) {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        inside = true;
        match c {
            '\\' => word.extend(characters.next()),
            c => word.push(c),
        }
    }
    if inside {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: i32, parameters: &[(&str, &str)]) -> Result<Hello> {
        let mut body = Vec::new();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        hello(version, Body(Bytes::from(body)))
    }

    #[test]
    fn parameters_and_options_are_taken_apart() {
        let hello = packet(
            0x0003_0002,
            &[
                ("user", "ada"),
                ("options", r"-c search_path=a\ b,c  -cgeqo=off --work-mem=4MB"),
                ("_pq_.x", "1"),
                ("application_name", "t"),
            ],
        )
        .unwrap();
        assert_eq!(hello.database, "ada");
        assert_eq!(hello.unknown_options, ["_pq_.x"]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            hello.settings,
            [
                pair("search_path", "a b,c"),
                pair("geqo", "off"),
                pair("work_mem", "4MB"),
                pair("application_name", "t")
            ]
        );
        assert_eq!(hello.secret_bytes(), 32);
    }

    #[test]
    fn strangers_are_refused() {
        let code = |result: Result<Hello>| result.unwrap_err().code();
        assert_eq!(code(packet(0x0002_0000, &[("user", "a")])), SqlState::FeatureNotSupported);
        assert_eq!(
            code(packet(0x0003_0000, &[("database", "a")])),
            SqlState::InvalidAuthorizationSpecification
        );
        assert_eq!(
            code(packet(0x0003_0000, &[("user", "a"), ("options", "-x")])),
            SqlState::SyntaxError
        );
        assert_eq!(
            code(hello(0x0003_0000, Body(Bytes::from_static(b"user\0a")))),
            SqlState::ProtocolViolation
        );
    }
}
