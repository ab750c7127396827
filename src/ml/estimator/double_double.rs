//! Arithmetic with about 31 decimal digits: an unevaluated sum of two doubles.
//!
//! Algorithms: T. J. Dekker, "A floating-point technique for extending the available precision", 1971, and
//! D. E. Knuth, TAOCP 2, 4.2.2. No fused multiply-add is used, so that every machine gives the same bits.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `hi + lo`, where `lo` is at most half a unit in the last place of `hi`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct DoubleDouble {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

#[inline]
fn two_sum(a: f64, b: f64) -> DoubleDouble {
    let hi = a + b;
    let t = hi - a;
    DoubleDouble { hi, lo: (a - (hi - t)) + (b - t) }
}

#[inline]
fn quick_two_sum(a: f64, b: f64) -> DoubleDouble {
    let hi = a + b;
    DoubleDouble { hi, lo: b - (hi - a) }
}

#[inline]
fn split(a: f64) -> (f64, f64) {
    let t = 134_217_729.0 * a;
    let hi = t - (t - a);
    (hi, a - hi)
}

impl DoubleDouble {
    /// Zero.
    pub(crate) const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    /// The exact product of two doubles (of magnitude below 2^500).
    #[inline]
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let hi = a * b;
        let (ah, al) = split(a);
        let (bh, bl) = split(b);
        Self { hi, lo: ((ah * bh - hi) + ah * bl + al * bh) + al * bl }
    }

    /// The nearest double.
    pub(crate) fn to_f64(self) -> f64 {
        self.hi + self.lo
    }

    /// The square root of a positive number: one Newton step from the double's root.
    pub(crate) fn sqrt(self) -> Self {
        if self.hi <= 0.0 {
            return Self::ZERO;
        }
        let root = self.hi.sqrt();
        let rest = self - Self::product(root, root);
        quick_two_sum(root, rest.hi / (2.0 * root))
    }
}

impl From<f64> for DoubleDouble {
    fn from(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        let s = two_sum(self.hi, other.hi);
        let t = two_sum(self.lo, other.lo);
        let u = quick_two_sum(s.hi, s.lo + t.hi);
        quick_two_sum(u.hi, u.lo + t.lo)
    }
}

impl AddAssign for DoubleDouble {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for DoubleDouble {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        let p = Self::product(self.hi, other.hi);
        quick_two_sum(p.hi, p.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for DoubleDouble {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * Self::from(first);
        let second = rest.hi / other.hi;
        let rest = rest - other * Self::from(second);
        quick_two_sum(first, second) + Self::from(rest.hi / other.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_thirty_digits() {
        let third = DoubleDouble::from(1.0) / DoubleDouble::from(3.0);
        let rest = third * DoubleDouble::from(3.0) - DoubleDouble::from(1.0);
        assert!(rest.to_f64().abs() < 1e-31, "{rest:?}");
        let two = DoubleDouble::from(2.0);
        let rest = two.sqrt() * two.sqrt() - two;
        assert!(rest.to_f64().abs() < 1e-30, "{rest:?}");
    }
}
