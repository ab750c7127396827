//! DataFusion's functions of numbers with PostgreSQL's results and errors.

use super::math::{
    Domain, Rounding, check_abs, check_domain, check_exp, check_logarithm, check_power,
    check_square_root, rescale,
};
use super::plain::over_arrays;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::{math, regex, string};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// What is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Difference {
    /// Floats round half to even; one-argument results of numerics have no fraction.
    Rounds(Rounding),
    Logarithm,
    SquareRoot,
    Power,
    Exp,
    Abs,
    /// The values that a function has an answer for.
    Domain(Domain),
    /// A pattern in PostgreSQL's meaning.
    Pattern,
    /// A pattern, and a replacement in PostgreSQL's spelling.
    Replacement,
}

/// Before a pattern of the library underneath: `.` matches the ends of lines too, as in PostgreSQL.
pub(super) const ACROSS_LINES: &str = "(?s)";

/// A function of DataFusion's with a difference.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Override {
    inner: Arc<ScalarUDF>,
    difference: Difference,
}

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [
        (math::round(), Difference::Rounds(Rounding::Nearest)),
        (math::trunc(), Difference::Rounds(Rounding::Cut)),
        (math::ceil(), Difference::Rounds(Rounding::Up)),
        (math::floor(), Difference::Rounds(Rounding::Down)),
        (math::ln(), Difference::Logarithm),
        (math::log(), Difference::Logarithm),
        (math::log2(), Difference::Logarithm),
        (math::log10(), Difference::Logarithm),
        (math::sqrt(), Difference::SquareRoot),
        (math::power(), Difference::Power),
        (math::exp(), Difference::Exp),
        (math::abs(), Difference::Abs),
        (math::acos(), Difference::Domain(Domain::Unit)),
        (math::asin(), Difference::Domain(Domain::Unit)),
        (math::atanh(), Difference::Domain(Domain::Unit)),
        (math::acosh(), Difference::Domain(Domain::FromOne)),
        (string::chr(), Difference::Domain(Domain::Characters)),
        (regex::regexp_replace(), Difference::Replacement),
        (regex::regexp_match(), Difference::Pattern),
        (regex::regexp_like(), Difference::Pattern),
        (regex::regexp_count(), Difference::Pattern),
        (regex::regexp_instr(), Difference::Pattern),
    ]
    .into_iter()
    .map(|(inner, difference)| Arc::new(ScalarUDF::new_from_impl(Override { inner, difference })))
    .collect()
}

/// The number of digits that a second argument names, if it is a constant.
fn digits(constant: Option<&ScalarValue>) -> Option<i64> {
    match constant?.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(n) => n,
        _ => None,
    }
}

/// The type of a rounded numeric.
fn rounded_type(precision: u8, scale: i8, digits: i64) -> Option<(u8, i8)> {
    if scale < 0 {
        return None;
    }
    let scale_after = i8::try_from(digits.clamp(0, 38)).ok()?;
    // One more digit in front, for 9.9 that becomes 10.
    let front = i16::from(precision) - i16::from(scale) + 1;
    let precision = u8::try_from((front + i16::from(scale_after)).clamp(1, 38)).ok()?;
    (scale_after <= precision.cast_signed()).then_some((precision, scale_after))
}

impl Override {
    /// What a numeric argument becomes, where it is rounded here.
    fn numeric(&self, types: &[&DataType], constants: &[Option<&ScalarValue>]) -> Option<DataType> {
        let Difference::Rounds(_) = self.difference else { return None };
        let DataType::Decimal128(precision, scale) = types.first()? else { return None };
        let digits = match types.len() {
            1 => 0,
            _ => digits(*constants.get(1)?)?,
        };
        rounded_type(*precision, *scale, digits).map(|(p, s)| DataType::Decimal128(p, s))
    }
}

impl ScalarUDFImpl for Override {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
        match self.numeric(&types, args.scalar_arguments) {
            Some(rounded) => Ok(Arc::new(Field::new(self.name(), rounded, true))),
            None => self.inner.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.arg_fields[0].data_type().clone();
        match self.difference {
            Difference::Rounds(rounding) => {
                if let (DataType::Decimal128(..), DataType::Decimal128(p, s)) =
                    (&first, args.return_field.data_type().clone())
                    && self.rounds_here(&args)
                {
                    return over_arrays(&args, |arrays, args| {
                        let digits = match args.args.get(1) {
                            Some(ColumnarValue::Scalar(n)) => digits(Some(n)).unwrap_or(0),
                            _ => 0,
                        };
                        rounded(&arrays[0], digits, rounding, p, s)
                    });
                }
                if rounding == Rounding::Nearest && first.is_floating() && args.args.len() == 1 {
                    return over_arrays(&args, |arrays, _| Ok(half_to_even(&arrays[0])));
                }
            }
            Difference::Logarithm => check_logarithm(&args)?,
            Difference::SquareRoot => check_square_root(&args)?,
            Difference::Power => check_power(&args)?,
            Difference::Abs => check_abs(&args)?,
            Difference::Domain(domain) => check_domain(&args, domain)?,
            Difference::Pattern => respell(&mut args, 1, across_lines)?,
            Difference::Replacement => {
                respell(&mut args, 1, across_lines)?;
                respell(&mut args, 2, replacement)?;
            }
            Difference::Exp => return check_exp(&args, self.inner.invoke_with_args(args.clone())?),
        }
        self.inner.invoke_with_args(args)
    }
}

impl Override {
    fn rounds_here(&self, args: &ScalarFunctionArgs) -> bool {
        let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
        let constants: Vec<Option<&ScalarValue>> = args
            .args
            .iter()
            .map(|a| match a {
                ColumnarValue::Scalar(s) => Some(s),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        self.numeric(&types, &constants).as_ref() == Some(args.return_field.data_type())
    }
}

/// Gives an argument the spelling of the library underneath.
fn respell(
    args: &mut ScalarFunctionArgs,
    place: usize,
    spelling: fn(&str) -> String,
) -> Result<()> {
    let Some(argument) = args.args.get_mut(place) else { return Ok(()) };
    let wanted = argument.data_type();
    let is_scalar = matches!(argument, ColumnarValue::Scalar(_));
    let texts = argument.to_array(if is_scalar { 1 } else { args.number_rows })?;
    let texts = cast(&texts, &DataType::Utf8View)?;
    let translated = texts.as_string_view().iter().map(|text| text.map(spelling));
    let translated: StringViewArray = translated.collect();
    let translated = cast(&translated, &wanted)?;
    *argument = match is_scalar {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&translated, 0)?),
        false => ColumnarValue::Array(translated),
    };
    Ok(())
}

/// A pattern with that before it; behind its anchor, which DataFusion looks for at the very start.
pub(super) fn across_lines(pattern: &str) -> String {
    match pattern.strip_prefix('^') {
        Some(rest) => format!("^{ACROSS_LINES}{rest}"),
        None => format!("{ACROSS_LINES}{pattern}"),
    }
}

/// PostgreSQL: `\1` to `\9` are groups, `\&` is the whole match, `\\` a backslash, and `$` itself.
fn replacement(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('$', _) => out.push_str("$$"),
            ('\\', Some(digit @ '1'..='9')) => {
                out.push_str(&format!("${{{digit}}}"));
                rest.next();
            }
            ('\\', Some('&')) => {
                out.push_str("${0}");
                rest.next();
            }
            ('\\', next) => {
                if next == Some(&'\\') {
                    rest.next();
                }
                // DataFusion takes a backslash before digits for a group: a group that no pattern
                // has stands between them, and becomes nothing.
                out.push_str("\\${__none}");
            }
            _ => out.push(c),
        }
    }
    out
}

fn half_to_even(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => Arc::new(
            array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even),
        ),
        DataType::Float64 => Arc::new(
            array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even),
        ),
        _ => array.clone(),
    }
}

fn rounded(
    array: &ArrayRef,
    digits: i64,
    rounding: Rounding,
    precision: u8,
    scale_after: i8,
) -> Result<ArrayRef> {
    let DataType::Decimal128(_, scale) = array.data_type() else { return Ok(array.clone()) };
    let scale = *scale;
    let values: Decimal128Array = array
        .as_primitive::<Decimal128Type>()
        .try_unary(|v| rescale(v, scale, digits, scale_after, rounding))?;
    Ok(Arc::new(values.with_precision_and_scale(precision, scale_after)?))
}
