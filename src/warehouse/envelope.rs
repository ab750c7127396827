//! JSON that says its own checksum: what records and checkpoints are wrapped in.
//!
//! The text is an ordinary JSON object whose first field is `checksum`: the BLAKE3, in hexadecimal, of
//! every byte behind that field's comma. So the bytes that were read are verified, not a re-encoding
//! of them, and any JSON tool can read the file.

use serde::Serialize;

const OPENING: &[u8] = b"{\"checksum\":\"";
const CLOSING: &[u8] = b"\",";
const HEX: usize = 64;

/// Encodes a value that serialises as a non-empty JSON object; returns the text and its checksum.
pub(super) fn seal(value: &impl Serialize) -> (Vec<u8>, String) {
    let json = serde_json::to_vec(value).expect("records and checkpoints hold only JSON values");
    let rest = &json[1..];
    let checksum = blake3::hash(rest).to_hex().to_string();
    let mut out = Vec::with_capacity(OPENING.len() + HEX + CLOSING.len() + rest.len());
    out.extend_from_slice(OPENING);
    out.extend_from_slice(checksum.as_bytes());
    out.extend_from_slice(CLOSING);
    out.extend_from_slice(rest);
    (out, checksum)
}

/// Verifies a text; returns the JSON object without the checksum, and the checksum.
///
/// None if the text is empty, cut short, or not what was written.
pub(super) fn open(bytes: &[u8]) -> Option<(Vec<u8>, String)> {
    let sum = bytes.strip_prefix(OPENING)?;
    let (sum, rest) = sum.split_at_checked(HEX)?;
    let rest = rest.strip_prefix(CLOSING)?;
    let checksum = blake3::hash(rest).to_hex().to_string();
    if checksum.as_bytes() != sum {
        return None;
    }
    let mut json = Vec::with_capacity(rest.len() + 1);
    json.push(b'{');
    json.extend_from_slice(rest);
    Some((json, checksum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let (bytes, checksum) = seal(&serde_json::json!({"a": 1, "b": "two"}));
        let (json, found) = open(&bytes).expect("whole");
        assert_eq!(json, br#"{"a":1,"b":"two"}"#);
        assert_eq!(found, checksum);
        for cut in 0..bytes.len() {
            assert!(open(&bytes[..cut]).is_none(), "cut at {cut}");
            let mut changed = bytes.clone();
            changed[cut] ^= 1;
            assert!(open(&changed).is_none(), "byte {cut} changed");
        }
    }
}
