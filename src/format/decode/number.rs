//! Reading booleans, numbers, bytea and uuid as PostgreSQL's input functions do.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The spaces of C's `isspace`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c'))
}

/// 22P02 for text that is no value of the type.
pub(crate) fn invalid_syntax(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::InvalidTextRepresentation,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

/// true, yes, on and 1, and what begins them unmistakably.
pub(super) fn parse_bool(text: &str) -> Result<bool> {
    let word = trim(text).as_bytes();
    let begins = |full: &str, at_least: usize| {
        word.len() >= at_least
            && word.len() <= full.len()
            && word.eq_ignore_ascii_case(&full.as_bytes()[..word.len()])
    };
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == b"1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == b"0" {
        Ok(false)
    } else {
        Err(invalid_syntax("boolean", text))
    }
}

/// An integer within the bounds of the named type.
pub(super) fn parse_int(text: &str, min: i64, max: i64, type_name: &str) -> Result<i64> {
    let bytes = text.as_bytes();
    // Up to 18 digits cannot overflow: the common case, without a look at spaces.
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if !digits.is_empty() && digits.len() <= 18 {
        let mut value = 0_i64;
        let mut clean = true;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            clean &= digit <= 9;
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        if clean {
            let value = if negative { -value } else { value };
            if value >= min && value <= max {
                return Ok(value);
            }
            return Err(int_out_of_range(text, type_name));
        }
    }
    let word = trim(text);
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid_syntax(type_name, text));
    }
    match word.parse::<i64>() {
        Ok(value) if value >= min && value <= max => Ok(value),
        _ => Err(int_out_of_range(text, type_name)),
    }
}

fn int_out_of_range(text: &str, type_name: &str) -> Error {
    Error::new(
        SqlState::NumericValueOutOfRange,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// A float8.
pub(super) fn parse_f64(text: &str) -> Result<f64> {
    let word = trim(text);
    let value = word.parse().map_err(|_| invalid_syntax("double precision", text))?;
    check_float(word, value, text, "double precision")?;
    Ok(value)
}

/// A float4.
pub(super) fn parse_f32(text: &str) -> Result<f32> {
    let word = trim(text);
    let value: f32 = word.parse().map_err(|_| invalid_syntax("real", text))?;
    check_float(word, f64::from(value), text, "real")?;
    Ok(value)
}

/// Refuses what became infinite or zero only by rounding.
fn check_float(word: &str, value: f64, text: &str, type_name: &str) -> Result<()> {
    let mantissa = || word.bytes().take_while(|b| !matches!(b, b'e' | b'E'));
    let overflow = value.is_infinite() && word.bytes().any(|b| b.is_ascii_digit());
    let underflow = value == 0.0 && mantissa().any(|b| (b'1'..=b'9').contains(&b));
    if overflow || underflow {
        return Err(Error::new(
            SqlState::NumericValueOutOfRange,
            format!("\"{text}\" is out of range for type {type_name}"),
        ));
    }
    Ok(())
}

/// The parts of a decimal number in text.
struct DecimalText<'a> {
    negative: bool,
    /// Digits and at most one point.
    mantissa: &'a [u8],
    /// Digits before the point once the exponent is applied; may be negative.
    whole: i64,
    /// All digits, with leading zeros.
    count: i64,
    leading_zeros: i64,
}

impl<'a> DecimalText<'a> {
    /// None for text that is no number; NaN and Infinity are none either.
    fn new(text: &'a str) -> Option<Self> {
        let word = trim(text).as_bytes();
        let (negative, word) = match word {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (mantissa, exponent) = match word.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => {
                let exponent: i32 = std::str::from_utf8(&word[at + 1..]).ok()?.parse().ok()?;
                (&word[..at], i64::from(exponent))
            }
            None => (word, 0),
        };
        let (mut count, mut leading_zeros, mut whole) = (0, 0, None);
        for byte in mantissa {
            match byte {
                b'0'..=b'9' => {
                    if leading_zeros == count && *byte == b'0' {
                        leading_zeros += 1;
                    }
                    count += 1;
                }
                b'.' if whole.is_none() => whole = Some(count),
                _ => return None,
            }
        }
        (count > 0).then_some(Self {
            negative,
            mantissa,
            whole: whole.unwrap_or(count) + exponent,
            count,
            leading_zeros,
        })
    }

    /// The value times ten to the scale, rounded half away from zero; none if it has over 38 digits.
    fn at_scale(&self, scale: i64) -> Option<i128> {
        if self.leading_zeros == self.count {
            return Some(0);
        }
        let keep = self.whole + scale;
        if keep - self.leading_zeros > 38 {
            return None;
        }
        let mut value = 0_i128;
        let mut seen = 0;
        for byte in self.mantissa.iter().filter(|b| **b != b'.') {
            if seen >= keep {
                break;
            }
            value = value * 10 + i128::from(byte - b'0');
            seen += 1;
        }
        for _ in seen..keep {
            value *= 10;
        }
        // A keep below zero means that not even the first digit rounds up.
        let next = usize::try_from(keep)
            .ok()
            .and_then(|keep| self.mantissa.iter().filter(|b| **b != b'.').nth(keep));
        if next.is_some_and(|digit| *digit >= b'5') {
            value += 1;
        }
        Some(if self.negative { -value } else { value })
    }
}

/// A numeric of the given precision and scale, rounded half away from zero.
pub(super) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<i128> {
    let Some(number) = DecimalText::new(text) else {
        return Err(no_decimal(text, precision, scale));
    };
    let limit = 10_i128.pow(u32::from(precision.min(38)));
    number
        .at_scale(i64::from(scale))
        .filter(|value| value.abs() < limit)
        .ok_or_else(|| numeric_overflow(precision, scale))
}

/// A numeric with as many digits as the text has: value, precision and scale.
pub(super) fn parse_decimal_natural(text: &str) -> Result<(i128, u8, i8)> {
    let Some(number) = DecimalText::new(text) else {
        return Err(no_decimal(text, 38, 0));
    };
    let whole = (number.whole - number.leading_zeros).max(0);
    let scale = (number.count - number.whole).clamp(0, (38 - whole).max(0));
    let precision = (whole + scale).clamp(1, 38) as u8;
    let scale = scale as i8;
    let value = number.at_scale(i64::from(scale)).ok_or_else(|| numeric_overflow(38, scale))?;
    // Rounding may have brought one digit more.
    let precision = if value.abs() < 10_i128.pow(u32::from(precision)) {
        precision
    } else if precision < 38 {
        precision + 1
    } else {
        return Err(numeric_overflow(38, scale));
    };
    Ok((value, precision, scale))
}

/// PostgreSQL's numeric holds NaN, and an unconstrained one infinity; Arrow's decimals do not.
fn no_decimal(text: &str, precision: u8, scale: i8) -> Error {
    let word = trim(text);
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let unsupported = |what: &str| {
        Error::unsupported(format_args!("{what} of type numeric"), "Use double precision.")
    };
    match unsigned.to_ascii_lowercase().as_str() {
        "nan" if unsigned.len() == word.len() => unsupported("NaN"),
        "inf" | "infinity" if precision == 38 => unsupported("an infinite value"),
        "inf" | "infinity" => {
            Error::new(SqlState::NumericValueOutOfRange, "numeric field overflow").detail(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            ))
        }
        _ => invalid_syntax("numeric", text),
    }
}

/// 22003 for a numeric that has too many digits before the point.
pub(crate) fn numeric_overflow(precision: u8, scale: i8) -> Error {
    let digits = i32::from(precision) - i32::from(scale);
    let bound = if digits == 0 { "1".to_string() } else { format!("10^{digits}") };
    Error::new(SqlState::NumericValueOutOfRange, "numeric field overflow").detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less \
         than {bound}."
    ))
}

/// Appends the bytes of a bytea in hex or escape format.
pub(super) fn parse_bytea(text: &str, out: &mut Vec<u8>) -> Result<()> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex, out),
        None => parse_escaped(text.as_bytes(), out),
    }
}

fn parse_hex(hex: &str, out: &mut Vec<u8>) -> Result<()> {
    let digit = |c: char| {
        c.to_digit(16).ok_or_else(|| {
            Error::new(
                SqlState::InvalidParameterValue,
                format!("invalid hexadecimal digit: \"{c}\""),
            )
        })
    };
    let mut chars = hex.chars();
    while let Some(first) = chars.next() {
        if matches!(first, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(first)?;
        let low = match chars.next() {
            Some(second) => digit(second)?,
            None => {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    "invalid hexadecimal data: odd number of digits",
                ));
            }
        };
        out.push((high << 4 | low) as u8);
    }
    Ok(())
}

fn parse_escaped(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                return Err(Error::new(
                    SqlState::InvalidTextRepresentation,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}

/// The sixteen bytes of a uuid in any spelling that PostgreSQL takes.
pub(super) fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let invalid = || invalid_syntax("uuid", text);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(invalid)?,
        None => text,
    };
    let mut out = [0; 16];
    let mut digits = 0;
    let mut last_was_hyphen = true;
    for c in inner.chars() {
        if c == '-' {
            // A hyphen may follow each group of four digits.
            if last_was_hyphen || digits % 4 != 0 || digits == 32 {
                return Err(invalid());
            }
            last_was_hyphen = true;
            continue;
        }
        last_was_hyphen = false;
        let digit = c.to_digit(16).filter(|_| digits < 32).ok_or_else(invalid)? as u8;
        out[digits / 2] |= digit << if digits % 2 == 0 { 4 } else { 0 };
        digits += 1;
    }
    if digits == 32 { Ok(out) } else { Err(invalid()) }
}
