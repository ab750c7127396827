//! Reading PostgreSQL's binary formats (the `typreceive` functions).

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// 22P03 for bytes that are no value of the type.
pub(super) fn bad_binary(type_name: &str) -> Error {
    Error::new(
        SqlState::InvalidBinaryRepresentation,
        format!("incorrect binary data format for type {type_name}"),
    )
}

/// Reads big-endian numbers from the front of a slice.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    type_name: &'static str,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8], type_name: &'static str) -> Self {
        Self { rest: bytes, type_name }
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| bad_binary(self.type_name))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| bad_binary(self.type_name))?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(bad_binary(self.type_name)) }
    }
}

/// All of a slice as one number.
pub(super) fn whole<const N: usize>(bytes: &[u8], type_name: &'static str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| bad_binary(type_name))
}

/// Digits before and after the point that PostgreSQL itself can hold are far more than 38.
const NUMERIC_GROUPS_MAX: i32 = 64;

/// A binary numeric as text.
pub(super) fn numeric_text(bytes: &[u8]) -> Result<String> {
    let mut reader = Bytes::new(bytes, "numeric");
    let count = reader.i16()?;
    let weight = i32::from(reader.i16()?);
    let sign = reader.i16()? as u16;
    let scale = reader.i16()?;
    let mut groups = Vec::new();
    for _ in 0..u16::try_from(count).map_err(|_| bad_binary("numeric"))? {
        let group = reader.i16()?;
        if !(0..10_000).contains(&group) {
            return Err(bad_binary("numeric"));
        }
        groups.push(group);
    }
    reader.end()?;
    let mut text = String::new();
    match sign {
        0 => {}
        0x4000 => text.push('-'),
        0xc000 => return Ok("NaN".into()),
        0xd000 => return Ok("Infinity".into()),
        0xf000 => return Ok("-Infinity".into()),
        _ => return Err(bad_binary("numeric")),
    }
    if !groups.is_empty() && weight > NUMERIC_GROUPS_MAX {
        return Err(super::number::numeric_overflow(38, 0));
    }
    let scale = usize::try_from(scale).map_err(|_| bad_binary("numeric"))?;
    let group = |index: i32| {
        usize::try_from(index).ok().and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    text.push('0');
    if !groups.is_empty() {
        for index in 0..=weight {
            text.push_str(&format!("{:04}", group(index)));
        }
    }
    if scale > 0 {
        text.push('.');
        let start = text.len();
        let mut index = weight + 1;
        while text.len() - start < scale {
            text.push_str(&format!("{:04}", if index < 0 { 0 } else { group(index) }));
            index += 1;
        }
        text.truncate(start + scale);
    }
    Ok(text)
}

/// A binary array: the OID of its elements, its dimensions, and the elements row by row.
pub(super) struct BinaryArray<'a> {
    pub(super) element: u32,
    pub(super) sizes: Vec<usize>,
    pub(super) items: Vec<Option<&'a [u8]>>,
}

impl<'a> BinaryArray<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Bytes::new(bytes, "array");
        let dimensions = reader.i32()?;
        let _has_null = reader.i32()?;
        let element = reader.i32()? as u32;
        if !(0..=6).contains(&dimensions) {
            return Err(bad_binary("array"));
        }
        let mut sizes = Vec::new();
        for _ in 0..dimensions {
            let size = reader.i32()?;
            let _lower_bound = reader.i32()?;
            sizes.push(usize::try_from(size).map_err(|_| bad_binary("array"))?);
        }
        let count = match sizes.is_empty() {
            true => 0,
            false => sizes
                .iter()
                .try_fold(1_usize, |product, size| product.checked_mul(*size))
                .ok_or_else(|| bad_binary("array"))?,
        };
        let mut items = Vec::new();
        for _ in 0..count {
            let length = reader.i32()?;
            items.push(match usize::try_from(length) {
                Ok(length) => Some(reader.take(length)?),
                Err(_) if length == -1 => None,
                Err(_) => return Err(bad_binary("array")),
            });
        }
        reader.end()?;
        Ok(Self { element, sizes, items })
    }
}
