//! A template for times, taken apart as PostgreSQL takes it apart.

/// What stands in a template for a part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `FX`: the text that is read has the template's widths.
    Exact,
    /// `AM`; with dots or without.
    HalfDay(bool),
    /// `BC`; with dots or without.
    Era(bool),
    Hour12,
    Hour24,
    Minute,
    Second,
    /// So many digits of the second's fraction: `FF1` to `FF6`, `MS`, `US`.
    Fraction(usize),
    Millisecond,
    SecondOfDay,
    ZoneName,
    ZoneHour,
    ZoneMinute,
    Offset,
    MonthName,
    MonthShort,
    Month,
    DayName,
    DayShort,
    DayOfYear,
    Day,
    DayOfWeek,
    WeekOfYear,
    WeekOfMonth,
    Quarter,
    Century,
    /// `Y,YYY`
    YearWithComma,
    /// The last so many digits of the year, four being all of them.
    Year(usize),
    Roman,
    Julian,
    IsoDayOfYear,
    IsoDay,
    IsoWeek,
    IsoYear(usize),
}

impl Field {
    /// How the field takes part in one of the two calendars, which must not be mixed: true for ISO's.
    pub(super) fn is_iso(self) -> Option<bool> {
        use Field::{
            Day, DayOfWeek, DayOfYear, IsoDay, IsoDayOfYear, IsoWeek, IsoYear, Month, MonthName,
            MonthShort, Roman, WeekOfMonth, WeekOfYear, Year, YearWithComma,
        };
        match self {
            IsoDayOfYear | IsoDay | IsoWeek | IsoYear(_) => Some(true),
            Day | DayOfWeek | DayOfYear | Month | MonthName | MonthShort | Roman | WeekOfMonth
            | WeekOfYear | Year(_) | YearWithComma => Some(false),
            _ => None,
        }
    }

    /// True for what is written in digits.
    fn is_digits(self) -> bool {
        !matches!(
            self,
            Field::Exact
                | Field::HalfDay(_)
                | Field::Era(_)
                | Field::ZoneName
                | Field::Offset
                | Field::MonthName
                | Field::MonthShort
                | Field::DayName
                | Field::DayShort
                | Field::Roman
        )
    }
}

/// The fields by name, a longer name before its own beginning.
const FIELDS: &[(&str, Field)] = &[
    ("A.D.", Field::Era(true)),
    ("A.M.", Field::HalfDay(true)),
    ("AD", Field::Era(false)),
    ("AM", Field::HalfDay(false)),
    ("B.C.", Field::Era(true)),
    ("BC", Field::Era(false)),
    ("CC", Field::Century),
    ("DAY", Field::DayName),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("DY", Field::DayShort),
    ("D", Field::DayOfWeek),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("FX", Field::Exact),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDay),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MS", Field::Millisecond),
    ("OF", Field::Offset),
    ("P.M.", Field::HalfDay(true)),
    ("PM", Field::HalfDay(false)),
    ("Q", Field::Quarter),
    ("RM", Field::Roman),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("TZH", Field::ZoneHour),
    ("TZM", Field::ZoneMinute),
    ("TZ", Field::ZoneName),
    ("US", Field::Fraction(6)),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::YearWithComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];

/// How a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

impl Case {
    /// A field's name as it stands in the template.
    pub(super) fn as_written(self, name: &str) -> String {
        match self {
            Case::Upper => name.to_owned(),
            Case::Capital => name[..1].to_owned() + &name[1..].to_lowercase(),
            Case::Lower => name.to_lowercase(),
        }
    }

    /// A capitalised word in this case.
    pub(super) fn of(self, word: &str) -> String {
        match self {
            Case::Upper => word.to_uppercase(),
            Case::Capital => word.to_owned(),
            Case::Lower => word.to_lowercase(),
        }
    }
}

/// What a character that stands for itself is, when text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Separator,
    Space,
    Other,
}

/// One part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Field {
        field: Field,
        /// In capitals.
        name: &'static str,
        case: Case,
        /// `FM` in front: no padding.
        fill: bool,
        /// `TH` behind.
        ordinal: Option<Case>,
    },
    Text(char, Kind),
}

/// The field that a text begins with.
fn field(text: &str) -> Option<(&'static str, Field, Case)> {
    let named = |name: &str| {
        let start = text.get(..name.len())?;
        if start == name {
            return Some(Case::Upper);
        }
        let capital = matches!(name, "MONTH" | "MON" | "DAY" | "DY")
            && start.eq_ignore_ascii_case(name)
            && start.starts_with(|c: char| c.is_ascii_uppercase())
            && start[1..].bytes().all(|b| b.is_ascii_lowercase());
        if capital {
            return Some(Case::Capital);
        }
        (start == name.to_ascii_lowercase()).then_some(Case::Lower)
    };
    FIELDS.iter().find_map(|(name, field)| named(name).map(|case| (*name, *field, case)))
}

/// Takes a template apart.
pub(super) fn parse(template: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let mut fill = false;
        for prefix in ["FM", "fm", "TM", "tm"] {
            if let Some(behind) = rest.strip_prefix(prefix) {
                fill = true;
                rest = behind;
                break;
            }
        }
        if let Some((name, field, case)) = field(rest) {
            rest = &rest[name.len()..];
            let mut ordinal = None;
            for (suffix, case) in
                [("TH", Some(Case::Upper)), ("th", Some(Case::Lower)), ("SP", None)]
            {
                if let Some(behind) = rest.strip_prefix(suffix) {
                    ordinal = case;
                    rest = behind;
                    break;
                }
            }
            nodes.push(Node::Field { field, name, case, fill, ordinal });
        } else if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted_text(quoted, &mut |c| nodes.push(Node::Text(c, Kind::Other)));
        } else {
            if rest.starts_with("\\\"") {
                rest = &rest[1..];
            }
            let mut characters = rest.chars();
            if let Some(c) = characters.next() {
                let kind = if c.is_ascii_punctuation() {
                    Kind::Separator
                } else if is_space(c) {
                    Kind::Space
                } else {
                    Kind::Other
                };
                nodes.push(Node::Text(c, kind));
            }
            rest = characters.as_str();
        }
    }
    nodes
}

/// Gives the characters of a text up to its closing quote, and what stands behind that.
pub(super) fn quoted_text<'a>(text: &'a str, found: &mut dyn FnMut(char)) -> &'a str {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => found(characters.next().unwrap_or('\\')),
            c => found(c),
        }
    }
    characters.as_str()
}

/// C's `isspace`.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// True if a number at `at` ends by itself: what follows in the template is no digit.
pub(super) fn ends_by_itself(nodes: &[Node], at: usize) -> bool {
    if let Some(Node::Field { ordinal: Some(_), .. }) = nodes.get(at) {
        return true;
    }
    match nodes.get(at + 1) {
        Some(Node::Field { field, .. }) => !field.is_digits(),
        Some(Node::Text(c, _)) => !c.is_ascii_digit(),
        None => true,
    }
}

/// The English ending of an ordinal number.
pub(super) fn ordinal_ending(digits: &str, case: Case) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    let upper = case == Case::Upper;
    match bytes.last() {
        Some(b'1') if !teen => ["st", "ST"][usize::from(upper)],
        Some(b'2') if !teen => ["nd", "ND"][usize::from(upper)],
        Some(b'3') if !teen => ["rd", "RD"][usize::from(upper)],
        _ => ["th", "TH"][usize::from(upper)],
    }
}

/// The months, capitalised.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The days of a week that begins on Sunday.
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The months in Roman numerals.
pub(super) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
