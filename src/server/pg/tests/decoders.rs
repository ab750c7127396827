//! What reads the client's first packets and its messages, given bytes that are no such thing.

use super::super::message::{Frame, decode, next_frame};
use super::super::startup::{Opening, negotiate};
use super::*;
use crate::sqlstate::SqlState;
use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// A generator from CENOTE_TEST_SEED, else from the clock; the seed shows when the test fails.
pub(super) fn generator() -> StdRng {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CENOTE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// One of each message, well formed.
pub(super) fn messages() -> Vec<Vec<u8>> {
    let two = b"\0\x02\0\0\0\x01\0\x02\0\0\0\x011\xff\xff\xff\xff\0\x01\0\0";
    vec![
        query("SELECT 1"),
        message(b'P', b"s\0SELECT $1::int, $2\0\0\x02\0\0\0\x17\0\0\0\0"),
        message(b'B', &[&b"p\0s\0"[..], two].concat()),
        bind("", ""),
        message(b'D', b"Ss\0"),
        message(b'D', b"Pp\0"),
        execute("p", 1),
        message(b'C', b"Pp\0"),
        message(b'd', b"1\t2\n"),
        message(b'c', b""),
        message(b'f', b"no\0"),
        message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
        message(b'p', b"secret\0"),
        message(b'H', b""),
        sync(),
        message(b'X', b""),
    ]
}

fn decoded(kind: u8, body: &[u8]) -> Option<SqlState> {
    decode(Frame { kind, body: Bytes::copy_from_slice(body) }).err().map(|error| error.code())
}

#[test]
fn a_message_cut_anywhere_waits_and_a_body_cut_anywhere_is_refused() {
    for bytes in messages() {
        for end in 0..bytes.len() {
            let mut buffer = BytesMut::from(&bytes[..end]);
            assert!(next_frame(&mut buffer).unwrap().is_none(), "{bytes:?} up to {end}");
            assert_eq!(buffer.len(), end, "nothing is taken");
        }
        let (kind, body) = (bytes[0], &bytes[5..]);
        // What is not looked into cannot be wrong.
        if matches!(kind, b'd' | b'F' | b'p') {
            continue;
        }
        assert_eq!(decoded(kind, body), None, "{bytes:?}");
        for end in 0..body.len() {
            let code = decoded(kind, &body[..end]);
            assert_eq!(code, Some(SqlState::ProtocolViolation), "{bytes:?} up to {end}");
        }
        let longer = [body, b"\0"].concat();
        assert_eq!(decoded(kind, &longer), Some(SqlState::ProtocolViolation), "{bytes:?}");
    }
}

#[test]
fn wrong_bytes_are_an_error_or_another_message() {
    let mut random = generator();
    let valid = messages();
    for _ in 0..200_000 {
        let mut bytes = valid[random.random_range(0..valid.len())].clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        if random.random_bool(0.1) {
            random.fill_bytes(&mut bytes);
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        let code = match next_frame(&mut buffer) {
            Ok(None) => continue,
            Ok(Some(frame)) => decode(frame).err().map(|error| error.code()),
            Err(error) => Some(error.code()),
        };
        let known = [
            SqlState::ProtocolViolation,
            SqlState::CharacterNotInRepertoire,
            SqlState::InvalidParameterValue,
        ];
        assert!(code.is_none_or(|code| known.contains(&code)), "{code:?} for {bytes:?}");
    }
}

/// A count or a length is believed only as far as there are bytes.
#[test]
fn counts_that_lie_take_no_memory() {
    let text = b"s\0select 1\0";
    for _ in 0..2000 {
        // 65,535 parameter types, formats and values that are not there.
        assert!(decoded(b'P', &[&text[..], b"\xff\xff"].concat()).is_some());
        assert!(decoded(b'B', b"\0\0\xff\xff").is_some());
        assert!(decoded(b'B', b"\0\0\0\0\xff\xff").is_some());
        // One value of 2 GiB.
        assert!(decoded(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff").is_some());
    }
    // A frame of nearly 1 GiB, of which five bytes are there.
    let mut buffer = BytesMut::from(&b"d\x3f\xff\xff\xff"[..]);
    assert!(next_frame(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 1 << 16, "{}", buffer.capacity());
}

/// What negotiation makes of these bytes when nothing follows them.
async fn opening(bytes: &[u8]) -> Result<Opening, SqlState> {
    let (mut client, mut server) = tokio::io::duplex(1 << 16);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    negotiate(&mut server, &mut BytesMut::new()).await.map_err(|error| error.code())
}

#[tokio::test]
async fn a_start_cut_anywhere_or_wrong_anywhere_is_no_session() {
    let mut random = generator();
    let hello = b"\0\0\0\x2b\0\x03\0\0user\0cenote\0options\0-c a=b\\ c\0\0";
    let hello = [&(hello.len() as u32).to_be_bytes()[..], &hello[4..]].concat();
    let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\x03\xe8\x01\x02\x03\x04";
    let ssl = b"\0\0\0\x08\x04\xd2\x16\x2f";
    for bytes in [&hello[..], cancel, &[&ssl[..], &hello].concat(), &[&ssl[..], ssl].concat()] {
        for end in 0..bytes.len() {
            let opened = opening(&bytes[..end]).await;
            assert!(matches!(opened, Ok(Opening::Closed)), "{opened:?} up to {end}");
        }
        for _ in 0..3000 {
            let mut bytes = bytes.to_vec();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            let known = [
                SqlState::ProtocolViolation,
                SqlState::CharacterNotInRepertoire,
                SqlState::FeatureNotSupported,
                SqlState::InvalidAuthorizationSpecification,
                SqlState::SyntaxError,
            ];
            if let Err(code) = opening(&bytes).await {
                assert!(known.contains(&code), "{code:?} for {bytes:?}");
            }
        }
    }
    for length in [0, 1, 7, 10_001, i32::MAX, i32::MIN, -1] {
        let opened = opening(&length.to_be_bytes()).await;
        assert_eq!(opened.err(), Some(SqlState::ProtocolViolation), "{length}");
    }
}
