//! `to_char` of a number, by PostgreSQL's own rules for its templates.

use super::node::{Case, ordinal_ending, quoted_text};
use crate::error::Error;
use crate::sqlstate::SqlState;

/// What stands for a part of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nine,
    Zero,
    Point,
    Comma,
    Currency,
    Sign,
    Minus,
    Plus,
    PlusMinus,
    Brackets,
    Fill,
    Blank,
    Ordinal(Case),
}

/// The parts by name, a longer name before its own beginning; those without a part are refused.
const PARTS: &[(&str, Option<Part>)] = &[
    (",", Some(Part::Comma)),
    (".", Some(Part::Point)),
    ("0", Some(Part::Zero)),
    ("9", Some(Part::Nine)),
    ("B", Some(Part::Blank)),
    ("C", Some(Part::Blank)),
    ("D", Some(Part::Point)),
    ("EEEE", None),
    ("FM", Some(Part::Fill)),
    ("G", Some(Part::Comma)),
    ("L", Some(Part::Currency)),
    ("MI", Some(Part::Minus)),
    ("PL", Some(Part::Plus)),
    ("PR", Some(Part::Brackets)),
    ("RN", None),
    ("SG", Some(Part::PlusMinus)),
    ("SP", Some(Part::Blank)),
    ("S", Some(Part::Sign)),
    ("TH", Some(Part::Ordinal(Case::Upper))),
    ("V", None),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Part(Part),
    Text(char),
}

/// Where the sign of `S` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Before,
    Behind,
}

/// A template, and what its parts say together.
#[derive(Debug, Clone, Default)]
pub(super) struct Template {
    nodes: Vec<Node>,
    /// Digits in front of the point.
    before: usize,
    /// Digits behind the point.
    pub(super) behind: usize,
    has_point: bool,
    fill: bool,
    minus: bool,
    plus: bool,
    brackets: bool,
    zero: bool,
    zero_start: usize,
    zero_end: usize,
    sign: Option<Anchor>,
    /// Digits in front of an `S` that stands in front of the point.
    before_sign: usize,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(SqlState::SyntaxError, message)
}

impl Template {
    /// Takes a template apart.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut template = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let named = |name: &str| {
                rest.get(..name.len())
                    .is_some_and(|start| start == name || start == name.to_ascii_lowercase())
            };
            if let Some((name, part)) = PARTS.iter().find(|(name, _)| named(name)) {
                let Some(part) = part else {
                    return Err(Error::unsupported(
                        format_args!("\"{name}\" in a template for numbers"),
                        "Templates for numbers know 9, 0, the point and comma, D, G, S, MI, PL, SG, PR, L, TH and FM.",
                    ));
                };
                let part = match part {
                    Part::Ordinal(_) if rest.starts_with("th") => Part::Ordinal(Case::Lower),
                    part => *part,
                };
                rest = &rest[name.len()..];
                template.add(part)?;
                template.nodes.push(Node::Part(part));
            } else if let Some(quoted) = rest.strip_prefix('"') {
                rest = quoted_text(quoted, &mut |c| template.nodes.push(Node::Text(c)));
            } else {
                if rest.starts_with("\\\"") {
                    rest = &rest[1..];
                }
                let mut characters = rest.chars();
                template.nodes.extend(characters.next().map(Node::Text));
                rest = characters.as_str();
            }
        }
        Ok(template)
    }

    fn add(&mut self, part: Part) -> Result<(), Error> {
        let signs = self.plus || self.minus || self.brackets;
        match part {
            Part::Nine | Part::Zero => {
                let digit = if part == Part::Nine { '9' } else { '0' };
                if self.brackets {
                    return Err(wrong(format!("\"{digit}\" must be ahead of \"PR\"")));
                }
                if part == Part::Zero && !self.zero && !self.has_point {
                    self.zero = true;
                    self.zero_start = self.before;
                }
                *(if self.has_point { &mut self.behind } else { &mut self.before }) += 1;
                if part == Part::Zero {
                    self.zero_end = self.before + self.behind;
                }
            }
            Part::Point if self.has_point => return Err(wrong("multiple decimal points")),
            Part::Point => self.has_point = true,
            Part::Fill => self.fill = true,
            Part::Sign if self.sign.is_some() => return Err(wrong("cannot use \"S\" twice")),
            Part::Sign if signs => {
                return Err(wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
            }
            Part::Sign if self.has_point => self.sign = Some(Anchor::Behind),
            Part::Sign => {
                self.sign = Some(Anchor::Before);
                self.before_sign = self.before;
            }
            Part::Minus | Part::Plus | Part::PlusMinus => {
                if self.sign.is_some() {
                    let name = match part {
                        Part::Minus => "MI",
                        Part::Plus => "PL",
                        _ => "SG",
                    };
                    return Err(wrong(format!("cannot use \"S\" and \"{name}\" together")));
                }
                self.minus |= part != Part::Plus;
                self.plus |= part != Part::Minus;
            }
            Part::Brackets if self.sign.is_some() || self.plus || self.minus => {
                return Err(wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            Part::Brackets => self.brackets = true,
            Part::Comma | Part::Currency | Part::Blank | Part::Ordinal(_) => {}
        }
        Ok(())
    }

    /// The template with another number of digits behind the point.
    pub(super) fn with_behind(&self, behind: usize) -> Self {
        Self { behind, ..self.clone() }
    }

    /// Writes a number whose digits are rounded to the template's.
    pub(super) fn write(&self, number: &str) -> String {
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let before = digits.find('.').unwrap_or(digits.len());
        let spaces = self.before.saturating_sub(before);
        let too_long = before > self.before;
        let digits = if too_long {
            format!("{}.{}", "#".repeat(self.before), "#".repeat(self.behind))
        } else {
            digits.to_owned()
        };
        let number: Vec<char> = digits.chars().collect();
        let mut writer = Writer {
            template: self,
            negative,
            brackets: self.brackets && (negative || !self.fill),
            anchor: match self.sign {
                Some(Anchor::Before) if self.before == self.before_sign => Some(Anchor::Behind),
                anchor => anchor,
            },
            sign_written: match self.plus || self.minus {
                true => self.minus,
                false => !negative && self.fill && self.sign.is_none(),
            },
            last_relevant: self.last_relevant(&number, spaces),
            number,
            spaces,
            at: 0,
            place: 0,
            inside: false,
            end: 0,
            out: String::new(),
        };
        writer.run()
    }

    /// The place of the last digit that `FM` keeps.
    fn last_relevant(&self, number: &[char], spaces: usize) -> Option<usize> {
        if !self.fill || !self.has_point {
            return None;
        }
        let point = number.iter().position(|c| *c == '.')?;
        let last = number[point + 1..].iter().rposition(|c| *c != '0');
        let last = last.map_or(point, |i| point + 1 + i);
        if self.zero_end > spaces {
            return Some(last.max((number.len() - 1).min(self.zero_end - spaces)));
        }
        Some(last)
    }
}

/// A number on its way out.
struct Writer<'a> {
    template: &'a Template,
    negative: bool,
    brackets: bool,
    anchor: Option<Anchor>,
    sign_written: bool,
    last_relevant: Option<usize>,
    number: Vec<char>,
    /// Places of the template in front of the first digit.
    spaces: usize,
    /// The next digit.
    at: usize,
    /// The next place of the template.
    place: usize,
    /// A digit was just written.
    inside: bool,
    end: usize,
    out: String,
}

impl Writer<'_> {
    fn run(&mut self) -> String {
        let t = self.template;
        let mut count = (t.behind + t.before).wrapping_sub(1);
        if !self.sign_written && self.spaces == 0 {
            count = count.wrapping_add(1);
        }
        self.end =
            count.wrapping_add(usize::from(self.spaces > 0)).wrapping_add(usize::from(t.has_point));
        for node in &t.nodes {
            match node {
                Node::Text(c) => self.out.push(*c),
                Node::Part(part) => self.part(*part),
            }
        }
        std::mem::take(&mut self.out)
    }

    fn part(&mut self, part: Part) {
        let fill = self.template.fill;
        match part {
            Part::Nine | Part::Zero | Part::Point => self.digit(part),
            Part::Comma if self.inside => self.out.push(','),
            Part::Comma if fill => {}
            Part::Comma | Part::Currency => self.out.push(' '),
            Part::Minus if self.negative => self.out.push('-'),
            Part::Plus if !self.negative => self.out.push('+'),
            Part::Minus | Part::Plus if fill => {}
            Part::Minus | Part::Plus => self.out.push(' '),
            Part::PlusMinus => self.out.push(if self.negative { '-' } else { '+' }),
            Part::Ordinal(case)
                if !self.negative
                    && !self.template.has_point
                    && self.number.first() != Some(&'#') =>
            {
                let digits: String = self.number.iter().collect();
                self.out.push_str(ordinal_ending(&digits, case));
            }
            Part::Ordinal(_) | Part::Sign | Part::Brackets | Part::Fill | Part::Blank => {}
        }
    }

    fn digit(&mut self, part: Part) {
        let t = self.template;
        self.inside = false;
        let point_is_last =
            self.last_relevant.is_some_and(|last| self.number.get(last) == Some(&'.'));
        // "0.1" in 9.9 has no zero in front of its point.
        let bare_zero =
            !t.zero && self.at == 0 && self.number.first() == Some(&'0') && t.behind != 0;
        let reached = self.place >= self.spaces || (t.zero && t.zero_start == self.place);
        if !self.sign_written && reached && (!bare_zero || point_is_last) {
            self.sign_in_front();
        }
        if self.place < self.spaces && (!t.zero || t.zero_start > self.place) {
            if !t.fill {
                self.out.push(' ');
            }
        } else if self.place < self.spaces {
            self.out.push('0');
            self.inside = true;
        } else {
            match self.number.get(self.at) {
                Some('.') if !point_is_last || t.fill => self.out.push('.'),
                Some('.') => {}
                _ if part != Part::Zero && self.last_relevant.is_some_and(|l| self.at > l) => {}
                _ if bare_zero => {
                    if !t.fill {
                        self.out.push(' ');
                    } else if point_is_last {
                        self.out.push('0');
                    }
                }
                Some(digit) => {
                    self.out.push(*digit);
                    self.inside = true;
                }
                None => {}
            }
            self.at = (self.at + 1).min(self.number.len());
        }
        let end = match self.last_relevant {
            Some(last) if last == self.at => self.place,
            _ => self.end,
        };
        if self.place.wrapping_add(1) == end {
            if self.sign_written && self.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.anchor == Some(Anchor::Behind) {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.place += 1;
    }

    fn sign_in_front(&mut self) {
        let sign = match (self.anchor, self.brackets) {
            (Some(Anchor::Behind), _) => return,
            (Some(Anchor::Before), _) => {
                if self.negative {
                    '-'
                } else {
                    '+'
                }
            }
            (None, true) => {
                if self.negative {
                    '<'
                } else {
                    ' '
                }
            }
            (None, false) if self.negative => '-',
            (None, false) => ' ',
        };
        self.sign_written = true;
        if sign != ' ' || self.brackets || !self.template.fill {
            self.out.push(sign);
        }
    }
}

/// The text of a decimal number rounded half away from zero to `digits` behind its point.
pub(super) fn rounded(text: &str, digits: usize) -> String {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(digits).collect();
    let mut number: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    if fraction.as_bytes().get(digits).is_some_and(|d| *d >= b'5') {
        let mut carry = true;
        for digit in number.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                carry = false;
                break;
            }
            *digit = b'0';
        }
        if carry {
            number.insert(0, b'1');
        }
    }
    // Nothing that is left has no sign.
    let sign = if number.iter().all(|d| *d == b'0') { "" } else { sign };
    let mut out = String::from(sign);
    let point = number.len() - digits;
    out.extend(number[..point].iter().map(|d| char::from(*d)));
    if digits > 0 {
        out.push('.');
        out.extend(number[point..].iter().map(|d| char::from(*d)));
    }
    out
}
