//! Numbers as text and as PostgreSQL's binary numeric, without an allocation per value.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};
use std::fmt::Write as _;

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Bytes that hold every 256-bit integer.
const WIDE: usize = 80;

/// Writes digits backwards from `end` and returns where they start.
fn digits_u64(buffer: &mut [u8], mut end: usize, mut value: u64) -> usize {
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        end -= 2;
        buffer[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        end -= 2;
        buffer[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        end -= 1;
        buffer[end] = b'0' + value as u8;
    }
    end
}

fn digits_u128(buffer: &mut [u8], mut end: usize, mut value: u128) -> usize {
    const CHUNK: u128 = 10_u128.pow(19);
    while value > u128::from(u64::MAX) {
        let low = (value % CHUNK) as u64;
        value /= CHUNK;
        let start = digits_u64(buffer, end, low);
        end -= 19;
        buffer[end..start].fill(b'0');
    }
    digits_u64(buffer, end, value as u64)
}

/// The two digits of a number below 100.
pub(crate) fn pair(value: u32) -> [u8; 2] {
    let at = value as usize % 100 * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// Writes an unsigned integer.
pub fn put_u64(out: &mut BytesMut, value: u64) {
    let mut buffer = [0_u8; 20];
    let start = digits_u64(&mut buffer, 20, value);
    out.put_slice(&buffer[start..]);
}

/// Writes an integer.
pub fn put_i64(out: &mut BytesMut, value: i64) {
    let mut buffer = [0_u8; 21];
    let mut start = digits_u64(&mut buffer, 21, value.unsigned_abs());
    if value < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    out.put_slice(&buffer[start..]);
}

/// A decimal's digits without sign and point, for every width.
struct Digits {
    buffer: [u8; WIDE],
    start: usize,
    negative: bool,
}

impl Digits {
    fn from_i128(value: i128) -> Self {
        let mut buffer = [0_u8; WIDE];
        let start = digits_u128(&mut buffer, WIDE, value.unsigned_abs());
        Self { buffer, start, negative: value < 0 }
    }

    fn from_i256(value: i256) -> Self {
        if let Some(value) = value.to_i128() {
            return Self::from_i128(value);
        }
        let text = value.to_string();
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let mut buffer = [0_u8; WIDE];
        let start = WIDE - digits.len();
        buffer[start..].copy_from_slice(digits.as_bytes());
        Self { buffer, start, negative: digits.len() < text.len() }
    }

    fn as_slice(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn is_zero(&self) -> bool {
        self.as_slice() == b"0"
    }

    fn put_text(&self, out: &mut BytesMut, scale: i8) {
        let digits = self.as_slice();
        if self.negative {
            out.put_u8(b'-');
        }
        match usize::try_from(scale) {
            Ok(0) => out.put_slice(digits),
            Ok(scale) if digits.len() > scale => {
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                out.put_slice(whole);
                out.put_u8(b'.');
                out.put_slice(fraction);
            }
            Ok(scale) => {
                out.put_slice(b"0.");
                out.put_bytes(b'0', scale - digits.len());
                out.put_slice(digits);
            }
            Err(_) => {
                out.put_slice(digits);
                if !self.is_zero() {
                    out.put_bytes(b'0', usize::from(scale.unsigned_abs()));
                }
            }
        }
    }

    /// Groups the digits by four around the point.
    fn put_binary(&self, out: &mut BytesMut, scale: i8) {
        let display_scale = scale.max(0) as u16;
        if self.is_zero() {
            return put_numeric_header(out, 0, 0, false, display_scale);
        }
        let digits = self.as_slice();
        // Digits before the point; negative when zeros follow the point.
        let whole = digits.len() as i32 - i32::from(scale);
        let mut groups = [0_u16; WIDE];
        let mut count = 0;
        let first_weight = (whole - 1).div_euclid(4);
        // Position in its group of the first digit.
        let mut slot = (first_weight + 1) * 4 - whole;
        let mut group = 0_u16;
        for digit in digits {
            group = group * 10 + u16::from(digit - b'0');
            slot += 1;
            if slot == 4 {
                groups[count] = group;
                (count, slot, group) = (count + 1, 0, 0);
            }
        }
        if slot > 0 {
            groups[count] = group * 10_u16.pow((4 - slot) as u32);
            count += 1;
        }
        while count > 0 && groups[count - 1] == 0 {
            count -= 1;
        }
        put_numeric_header(out, count as u16, first_weight as i16, self.negative, display_scale);
        for group in &groups[..count] {
            out.put_u16(*group);
        }
    }
}

fn put_numeric_header(out: &mut BytesMut, count: u16, weight: i16, negative: bool, scale: u16) {
    out.put_u16(count);
    out.put_i16(weight);
    out.put_u16(if negative { 0x4000 } else { 0 });
    out.put_u16(scale);
}

/// Writes a decimal with exactly `scale` digits after the point; a negative scale appends zeros.
pub fn put_decimal(out: &mut BytesMut, value: i128, scale: i8) {
    let Ok(small) = i64::try_from(value) else {
        return Digits::from_i128(value).put_text(out, scale);
    };
    match scale {
        0 => put_i64(out, small),
        1..=18 => {
            let unit = 10_u64.pow(scale as u32);
            let magnitude = small.unsigned_abs();
            let mut buffer = [b'0'; 40];
            digits_u64(&mut buffer, 40, magnitude % unit);
            let point = 39 - scale as usize;
            buffer[point] = b'.';
            let mut start = digits_u64(&mut buffer, point, magnitude / unit);
            if small < 0 {
                start -= 1;
                buffer[start] = b'-';
            }
            out.put_slice(&buffer[start..]);
        }
        _ => Digits::from_i128(value).put_text(out, scale),
    }
}

/// Writes a 256-bit decimal.
pub fn put_decimal256(out: &mut BytesMut, value: i256, scale: i8) {
    Digits::from_i256(value).put_text(out, scale);
}

/// Writes PostgreSQL's binary numeric: digits to the base 10000, weight, sign and display scale.
pub fn put_numeric_binary(out: &mut BytesMut, value: i128, scale: i8) {
    Digits::from_i128(value).put_binary(out, scale);
}

/// As [`put_numeric_binary`] for a 256-bit decimal.
pub fn put_numeric256_binary(out: &mut BytesMut, value: i256, scale: i8) {
    Digits::from_i256(value).put_binary(out, scale);
}

/// A line of text on the stack.
struct Line {
    bytes: [u8; 400],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; 400], len: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let target = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        target.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// What differs between float4 and float8.
struct FloatKind {
    /// FLT_DIG or DBL_DIG: exponents from here on are written out.
    digits: i32,
    mantissa_bits: u32,
}

static FLOAT4: FloatKind = FloatKind { digits: 6, mantissa_bits: 23 };
static FLOAT8: FloatKind = FloatKind { digits: 15, mantissa_bits: 52 };

/// Writes a float8 as PostgreSQL does.
pub fn put_f64(out: &mut BytesMut, value: f64, extra_float_digits: i32) {
    if put_special(out, value) {
        return;
    }
    if extra_float_digits <= 0 {
        return put_rounded(out, value, (FLOAT8.digits + extra_float_digits).max(1) as usize);
    }
    if put_short(out, value) {
        return;
    }
    let mut line = Line::new();
    let _fits = write!(line, "{:e}", value.abs());
    let bits = value.abs().to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
    let (mantissa, exponent) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let float = Binary { mantissa, exponent, kind: &FLOAT8 };
    let reads_back = |text: &str| text.parse() == Ok(value.abs());
    let rounded = |digits| {
        let mut line = Line::new();
        let _fits = write!(line, "{:.*e}", digits - 1, value.abs());
        std::str::from_utf8(line.as_bytes()).is_ok_and(reads_back).then_some(line)
    };
    put_shortest(out, value < 0.0, &line, &float, rounded, reads_back);
}

/// Writes a float4 as PostgreSQL does.
pub fn put_f32(out: &mut BytesMut, value: f32, extra_float_digits: i32) {
    if put_special(out, f64::from(value)) {
        return;
    }
    if extra_float_digits <= 0 {
        let digits = (FLOAT4.digits + extra_float_digits).max(1) as usize;
        return put_rounded(out, f64::from(value), digits);
    }
    let mut line = Line::new();
    let _fits = write!(line, "{:e}", value.abs());
    let bits = value.abs().to_bits();
    let (fraction, exponent) = (bits & ((1 << 23) - 1), (bits >> 23) as i32);
    let (mantissa, exponent) =
        if exponent == 0 { (fraction, -149) } else { (fraction | 1 << 23, exponent - 150) };
    let float = Binary { mantissa: u64::from(mantissa), exponent, kind: &FLOAT4 };
    let reads_back = |text: &str| text.parse() == Ok(value.abs());
    let rounded = |digits| {
        let mut line = Line::new();
        let _fits = write!(line, "{:.*e}", digits - 1, value.abs());
        std::str::from_utf8(line.as_bytes()).is_ok_and(reads_back).then_some(line)
    };
    put_shortest(out, value < 0.0, &line, &float, rounded, reads_back);
}

/// NaN, the infinities and the zeros.
fn put_special(out: &mut BytesMut, value: f64) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"Infinity"
    } else if value == f64::NEG_INFINITY {
        b"-Infinity"
    } else if value == 0.0 {
        if value.is_sign_negative() { b"-0" } else { b"0" }
    } else {
        return false;
    };
    out.put_slice(text);
    true
}

/// Writes the many float8 values that have at most six decimals and fifteen digits.
///
/// A decimal of at most 15 digits is the only one of its length that reads back as the same
/// float8, and an integer below 2^53 divided by a power of ten up to 10^22 rounds correctly; so
/// the first scale at which the division gives the value back is the shortest text.
fn put_short(out: &mut BytesMut, value: f64) -> bool {
    const UNITS: [f64; 7] = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0];
    let magnitude = value.abs();
    if !(1e-4..1e15).contains(&magnitude) {
        return false;
    }
    for (scale, unit) in UNITS.iter().enumerate() {
        let scaled = (magnitude * unit).round();
        if scaled >= 1e15 {
            return false;
        }
        if scaled / unit == magnitude {
            let scaled = if value < 0.0 { -(scaled as i64) } else { scaled as i64 };
            put_decimal(out, i128::from(scaled), scale as i8);
            return true;
        }
    }
    false
}

/// The digits and the exponent of the first in a text such as `1.25e-7`.
fn split_scientific(text: &[u8]) -> ([u8; 24], usize, i32) {
    let mut digits = [0_u8; 24];
    let (mut count, mut exponent, mut negative) = (0, 0_i32, false);
    let mut in_exponent = false;
    for byte in text {
        match byte {
            b'e' => in_exponent = true,
            b'-' => negative = true,
            b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
            b'0'..=b'9' if count < digits.len() => {
                digits[count] = *byte;
                count += 1;
            }
            _ => {}
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    (digits, count, if negative { -exponent } else { exponent })
}

/// A float as PostgreSQL's Ryu looks at it: an integer times a power of two.
struct Binary {
    mantissa: u64,
    exponent: i32,
    kind: &'static FloatKind,
}

impl Binary {
    /// Whether a decimal is exactly an odd integer times a power of two.
    fn equals(number: u128, power: i32, odd: u128, two: i32) -> bool {
        // Five to any other power does not divide, or is not divided by, an odd number of 55 bits.
        if !(-25..=23).contains(&power) {
            return false;
        }
        let (left, right) = if power >= 0 {
            (number * 5_u128.pow(power as u32), odd)
        } else {
            (number, odd * 5_u128.pow(power.unsigned_abs()))
        };
        let zeros = left.trailing_zeros();
        left >> zeros == right && zeros as i32 + power == two
    }

    /// Whether the decimal lies exactly half way between the float and a neighbour.
    fn has_boundary(&self, number: u128, power: i32) -> bool {
        // Reading rounds to even, so that only an even float can lie at such a text.
        if !self.mantissa.is_multiple_of(2) {
            return false;
        }
        let mantissa = u128::from(self.mantissa);
        let below = if self.mantissa == 1 << self.kind.mantissa_bits {
            (mantissa * 4 - 1, self.exponent - 2)
        } else {
            (mantissa * 2 - 1, self.exponent - 1)
        };
        let above = (mantissa * 2 + 1, self.exponent - 1);
        [below, above].iter().any(|(odd, two)| Self::equals(number, power, *odd, *two))
    }

    /// Whether the float is exactly half a decimal unit above or below the decimal.
    fn is_tie(&self, twice: u128, power: i32) -> bool {
        let zeros = self.mantissa.trailing_zeros();
        let odd = u128::from(self.mantissa >> zeros);
        Self::equals(twice, power, odd, self.exponent + 1 + zeros as i32)
    }
}

/// Writes Rust's shortest digits, but for two cases in which PostgreSQL's Ryu takes others.
///
/// A text exactly between two floats is not short enough for it (`acceptBounds = false`), so that
/// 1e23 is written `9.999999999999999e+22`. And where two texts are equally near, it takes the
/// even one: 2^-12 is `0.00024414062`, not `0.00024414063`.
fn put_shortest(
    out: &mut BytesMut,
    negative: bool,
    line: &Line,
    float: &Binary,
    rounded: impl Fn(usize) -> Option<Line>,
    reads_back: impl Fn(&str) -> bool,
) {
    let (mut digits, mut count, mut exp10) = split_scientific(line.as_bytes());
    let decimal = |digits: &[u8], exp10: i32| {
        let number = digits.iter().fold(0_u128, |n, d| n * 10 + u128::from(d - b'0'));
        (number, exp10 - (digits.len() as i32 - 1))
    };
    let (number, power) = decimal(&digits[..count], exp10);
    if float.has_boundary(number, power) {
        let longer = (count..=17).filter_map(rounded).find_map(|line| {
            let (d, c, e) = split_scientific(line.as_bytes());
            let (number, power) = decimal(&d[..c], e);
            (!float.has_boundary(number, power)).then_some((d, c, e))
        });
        (digits, count, exp10) = longer.unwrap_or((digits, count, exp10));
    } else if !number.is_multiple_of(2) {
        let even = [(number * 2 - 1, number - 1), (number * 2 + 1, number + 1)]
            .into_iter()
            .find(|(twice, _)| float.is_tie(*twice, power))
            .map(|(_, even)| even);
        if let Some(even) = even
            && !float.has_boundary(even, power)
            && reads_back(&format!("{even}e{power}"))
        {
            // Odd and even differ in the last digit only.
            digits[count - 1] = b'0' + (even % 10) as u8;
        }
    }
    if negative {
        out.put_u8(b'-');
    }
    put_digits(out, &digits[..count], exp10, float.kind.digits);
}

/// Writes digits in fixed notation for exponents from -4 up to `limit`, else with an exponent.
fn put_digits(out: &mut BytesMut, digits: &[u8], exp10: i32, limit: i32) {
    if exp10 < -4 || exp10 >= limit {
        out.put_u8(digits[0]);
        if digits.len() > 1 {
            out.put_u8(b'.');
            out.put_slice(&digits[1..]);
        }
        out.put_slice(if exp10 < 0 { b"e-" } else { b"e+" });
        let exponent = exp10.unsigned_abs();
        if exponent < 100 {
            out.put_slice(&pair(exponent));
        } else {
            put_u64(out, u64::from(exponent));
        }
    } else if exp10 < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exp10 - 1) as usize);
        out.put_slice(digits);
    } else {
        let whole = exp10 as usize + 1;
        if digits.len() <= whole {
            out.put_slice(digits);
            out.put_bytes(b'0', whole - digits.len());
        } else {
            out.put_slice(&digits[..whole]);
            out.put_u8(b'.');
            out.put_slice(&digits[whole..]);
        }
    }
}

/// C's `%.{digits}g`.
fn put_rounded(out: &mut BytesMut, value: f64, digits: usize) {
    let mut line = Line::new();
    let _fits = write!(line, "{:.*e}", digits - 1, value.abs());
    let (text, count, exp10) = split_scientific(line.as_bytes());
    if value < 0.0 {
        out.put_u8(b'-');
    }
    put_digits(out, &text[..count], exp10, digits as i32);
}
