//! Amounts of memory as users write them: `512MiB`, `4GB`, `1500kB`, or a number of bytes.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The least that queries can work with: a sort that spills keeps 10 MiB to merge with.
const MIN_BYTES: usize = 32 << 20;

/// Units in bytes; as in PostgreSQL's settings, kB, MB, GB and TB count in 1024s too.
const UNITS: [(&str, u32); 9] = [
    ("", 0),
    ("kB", 10),
    ("KiB", 10),
    ("MB", 20),
    ("MiB", 20),
    ("GB", 30),
    ("GiB", 30),
    ("TB", 40),
    ("TiB", 40),
];

/// Reads an amount of memory.
///
/// # Errors
/// 22023 for what is no amount, or less than 32 MiB.
pub fn parse_memory(text: &str) -> Result<usize> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
    let bytes = number
        .parse::<usize>()
        .ok()
        .zip(shift)
        .and_then(|(number, (_, shift))| number.checked_mul(1 << shift));
    let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
    match bytes {
        None => Err(invalid(format!("invalid amount of memory \"{text}\""))
            .hint("Write a number with a unit, such as 512MiB or 4GB.")),
        Some(bytes) if bytes < MIN_BYTES => {
            Err(invalid(format!("a memory limit of {text} is too small"))
                .hint("At least 32MiB are needed."))
        }
        Some(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_memory;

    #[test]
    fn amounts_have_units() {
        assert_eq!(parse_memory("512MiB").unwrap(), 536_870_912);
        assert_eq!(parse_memory("512 mb").unwrap(), 536_870_912);
        assert_eq!(parse_memory("4GB").unwrap(), 4_294_967_296);
        assert_eq!(parse_memory("40000000").unwrap(), 40_000_000);
        for wrong in ["", "GB", "4 apples", "-1GB", "1.5GB", "1MiB", "99999999999999TB"] {
            assert!(parse_memory(wrong).is_err(), "{wrong}");
        }
    }
}
