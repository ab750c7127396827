//! The options of `WITH (…)`: one table of what exists, checked values, defaults.

use crate::error::{Error, Result};
use crate::ml::algorithm::{Algorithm, Goal};
use crate::sqlstate::SqlState;
use crate::suggest;
use std::collections::BTreeMap;
use std::fmt;

/// A value as given in `WITH (name = value)`.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, quoted or a bare word.
    Text(String),
    /// `[a, b]` or `(a, b)`.
    List(Vec<OptionValue>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Bool(v) => write!(f, "{v}"),
            OptionValue::Int(v) => write!(f, "{v}"),
            OptionValue::Float(v) => write!(f, "{v}"),
            OptionValue::Text(v) => f.write_str(v),
            OptionValue::List(values) => {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

/// What an option's value may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    /// A number in `[min, max]`, or in `(min, max)` where `open`.
    Float {
        min: f64,
        max: f64,
        open: bool,
    },
    Choice(&'static [&'static str]),
    Text,
    TextList,
    /// A number of rounds, or `false`; `true` is ten rounds.
    Patience,
}

/// The default of an option.
#[derive(Debug, Clone, Copy)]
enum Default {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'static str),
}

/// One row of the table of options.
struct Spec {
    name: &'static str,
    kind: Kind,
    default: Default,
    used_by: &'static [Algorithm],
}

const ALL: &[Algorithm] = Algorithm::ALL;
const LINEAR: &[Algorithm] = &[Algorithm::LinearRegression];
const LOGISTIC: &[Algorithm] = &[Algorithm::LogisticRegression];
const LINEAR_LOGISTIC: &[Algorithm] = &[Algorithm::LinearRegression, Algorithm::LogisticRegression];
const CLASSIFIERS: &[Algorithm] = &[Algorithm::LogisticRegression, Algorithm::GradientBoosting];
const BOOSTING: &[Algorithm] = &[Algorithm::GradientBoosting];
const NOT_NEGATIVE: Kind = Kind::Float { min: 0.0, max: f64::MAX, open: false };
const FRACTION: Kind = Kind::Float { min: 0.0, max: 0.95, open: false };

const fn spec(
    name: &'static str,
    kind: Kind,
    default: Default,
    used_by: &'static [Algorithm],
) -> Spec {
    Spec { name, kind, default, used_by }
}

/// Every option. A name may stand twice with different defaults for different algorithms.
const SPECS: &[Spec] = &[
    spec("alpha", NOT_NEGATIVE, Default::None, LINEAR),
    spec("class_weight", Kind::Choice(&["none", "balanced"]), Default::Text("none"), CLASSIFIERS),
    spec(
        "confidence",
        Kind::Float { min: 0.0, max: 1.0, open: true },
        Default::Float(0.95),
        LINEAR_LOGISTIC,
    ),
    spec("early_stopping", Kind::Patience, Default::Bool(false), BOOSTING),
    spec("encoding", Kind::Choice(&["dummy", "one_hot"]), Default::None, LINEAR_LOGISTIC),
    spec("experiment", Kind::Text, Default::None, ALL),
    spec("intercept", Kind::Bool, Default::Bool(true), LINEAR_LOGISTIC),
    spec("l1", NOT_NEGATIVE, Default::Float(0.0), ALL),
    spec("l1_ratio", Kind::Float { min: 0.0, max: 1.0, open: false }, Default::None, LINEAR),
    spec("l2", NOT_NEGATIVE, Default::Float(0.0), LINEAR_LOGISTIC),
    spec("l2", NOT_NEGATIVE, Default::Float(1.0), BOOSTING),
    spec(
        "learning_rate",
        Kind::Float { min: 0.0, max: 1.000_000_1, open: true },
        Default::Float(0.3),
        BOOSTING,
    ),
    spec("max_bins", Kind::Int { min: 2, max: 65_535 }, Default::Int(256), BOOSTING),
    spec("max_categories", Kind::Int { min: 2, max: 60_000 }, Default::Int(1000), ALL),
    spec("max_depth", Kind::Int { min: 1, max: 32 }, Default::Int(6), BOOSTING),
    spec("max_iterations", Kind::Int { min: 1, max: 1_000_000 }, Default::Int(100), LOGISTIC),
    spec("max_iterations", Kind::Int { min: 1, max: 1_000_000 }, Default::Int(10_000), LINEAR),
    spec("min_child_weight", NOT_NEGATIVE, Default::Float(1.0), BOOSTING),
    spec("nulls", Kind::Choice(&["impute", "error", "skip"]), Default::Text("impute"), ALL),
    spec("refit", Kind::Bool, Default::Bool(false), ALL),
    spec("retain_training_data", Kind::Bool, Default::Bool(true), ALL),
    spec("rounds", Kind::Int { min: 1, max: 100_000 }, Default::Int(100), BOOSTING),
    spec("seed", Kind::Int { min: 0, max: i64::MAX }, Default::Int(42), ALL),
    spec(
        "split",
        Kind::Choice(&["auto", "random", "stratified", "sequential", "column", "none"]),
        Default::Text("auto"),
        ALL,
    ),
    spec("split_column", Kind::Text, Default::None, ALL),
    spec("split_key", Kind::TextList, Default::None, ALL),
    spec("standardize", Kind::Bool, Default::Bool(false), LINEAR_LOGISTIC),
    spec(
        "subsample",
        Kind::Float { min: 0.0, max: 1.000_000_1, open: true },
        Default::Float(1.0),
        BOOSTING,
    ),
    spec("task", Kind::Choice(&["regression", "classification"]), Default::None, ALL),
    spec("test_fraction", FRACTION, Default::Float(0.2), ALL),
    spec(
        "tolerance",
        Kind::Float { min: 0.0, max: 1.0, open: true },
        Default::Float(1e-10),
        LOGISTIC,
    ),
    spec(
        "tolerance",
        Kind::Float { min: 0.0, max: 1.0, open: true },
        Default::Float(1e-12),
        LINEAR,
    ),
    spec("unseen", Kind::Choice(&["mean", "error"]), Default::Text("mean"), ALL),
    spec("validation_fraction", FRACTION, Default::Float(0.1), BOOSTING),
    spec("weight_column", Kind::Text, Default::None, ALL),
];

/// Options of algorithms that are not built.
const NOT_BUILT: &[&str] = &[
    "k",
    "tune",
    "family",
    "link",
    "hidden_layers",
    "epochs",
    "batch_size",
    "components",
    "trees",
];

/// Checked options of one algorithm, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    algorithm: Algorithm,
    values: BTreeMap<&'static str, OptionValue>,
}

impl Options {
    /// Whether the algorithm has this option.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The same with another number of boosting rounds.
    pub fn with_rounds(&self, rounds: usize) -> Self {
        let mut options = self.clone();
        options.values.insert("rounds", OptionValue::Int(rounds as i64));
        options
    }

    /// Checks what was given. 22023 for an unknown option or a value that does not fit, 0A000 for a known option
    /// that is not built.
    pub fn check(algorithm: Algorithm, given: &[(String, OptionValue)]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for spec in SPECS.iter().filter(|s| s.used_by.contains(&algorithm)) {
            if let Some(value) = spec.default.value() {
                values.insert(spec.name, value);
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in given {
            let spec = find(algorithm, name)?;
            if seen.contains(&spec.name) {
                return Err(Error::new(
                    SqlState::SyntaxError,
                    format!("option \"{}\" is given twice", spec.name),
                ));
            }
            seen.push(spec.name);
            values.insert(spec.name, spec.kind.check(spec.name, value)?);
        }
        let mut options = Self { algorithm, values };
        options.check_together(&seen)?;
        Ok(options)
    }

    /// The task asked for by the option `task` among unchecked options, for choosing the algorithm.
    pub fn goal_of(given: &[(String, OptionValue)]) -> Result<Option<Goal>> {
        let Some((name, value)) = given.iter().find(|(name, _)| name.eq_ignore_ascii_case("task"))
        else {
            return Ok(None);
        };
        let checked = Kind::Choice(&["regression", "classification"]).check(name, value)?;
        Ok(Some(if checked == OptionValue::Text("regression".into()) {
            Goal::Regression
        } else {
            Goal::Classification
        }))
    }

    fn check_together(&mut self, given: &[&str]) -> Result<()> {
        let both = |a: &str, b: &str| given.contains(&a) && given.contains(&b);
        for penalty in ["l1", "l2"] {
            if both("alpha", penalty) {
                return Err(invalid(format!("options alpha and {penalty} exclude each other"))
                    .hint("Give alpha (and l1_ratio) in scikit-learn's meaning, or l1 and l2."));
            }
        }
        if given.contains(&"l1_ratio") && !given.contains(&"alpha") {
            return Err(invalid("option l1_ratio needs option alpha"));
        }
        if self.algorithm == Algorithm::LogisticRegression && self.float("l1") > 0.0 {
            return Err(Error::unsupported(
                "option l1 of logistic_regression",
                "Use l2, which is 1/C.",
            ));
        }
        if self.float("test_fraction") + self.float("validation_fraction") > 0.95 {
            return Err(invalid("test_fraction and validation_fraction leave no rows to train on"));
        }
        // A column that says the parts is not given in order to be ignored.
        if given.contains(&"split_column") && !given.contains(&"split") {
            self.values.insert("split", OptionValue::Text("column".into()));
        }
        match self.text("split") {
            Some("sequential" | "column") if self.text("split_column").is_none() => {
                Err(invalid(format!("split = {} needs option split_column", self.choice("split"))))
            }
            Some("stratified") if !self.texts("split_key").is_empty() => {
                Err(invalid("split = stratified cannot keep the rows of one split_key together")
                    .hint("Use split = random with split_key."))
            }
            _ => {
                if !self.values.contains_key("encoding")
                    && self.algorithm != Algorithm::GradientBoosting
                {
                    let encoding = if self.is_penalised() { "one_hot" } else { "dummy" };
                    self.values.insert("encoding", OptionValue::Text(encoding.into()));
                }
                Ok(())
            }
        }
    }

    /// The algorithm that the options belong to.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a linear model's weights are penalised.
    pub fn is_penalised(&self) -> bool {
        ["l1", "l2", "alpha"].iter().any(|name| self.float(name) > 0.0)
    }

    /// A number, 0 where the option is not set.
    pub fn float(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(OptionValue::Float(v)) => *v,
            Some(OptionValue::Int(v)) => *v as f64,
            _ => 0.0,
        }
    }

    /// A whole number, 0 where the option is not set.
    pub fn int(&self, name: &str) -> usize {
        match self.values.get(name) {
            Some(OptionValue::Int(v)) => usize::try_from(*v).unwrap_or(0),
            _ => 0,
        }
    }

    /// A truth value, false where the option is not set.
    pub fn bool(&self, name: &str) -> bool {
        self.values.get(name) == Some(&OptionValue::Bool(true))
    }

    /// A text, if the option is set.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(OptionValue::Text(v)) => Some(v),
            _ => None,
        }
    }

    /// A choice, empty where the option is not set.
    pub fn choice(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    /// A list of texts, empty where the option is not set.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.values.get(name) {
            Some(OptionValue::List(values)) => values
                .iter()
                .filter_map(|v| if let OptionValue::Text(t) = v { Some(t.as_str()) } else { None })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The random seed.
    pub fn seed(&self) -> u64 {
        self.int("seed") as u64
    }

    /// Whether the option was given or has a default.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Every effective value, defaults included, in the order of the names: for `ml.run_params`.
    pub fn effective(&self) -> Vec<(String, String)> {
        self.values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }
}

fn find(algorithm: Algorithm, name: &str) -> Result<&'static Spec> {
    let wanted = name.to_lowercase();
    if let Some(spec) = SPECS.iter().find(|s| s.name == wanted && s.used_by.contains(&algorithm)) {
        return Ok(spec);
    }
    let mut known: Vec<&str> =
        SPECS.iter().filter(|s| s.used_by.contains(&algorithm)).map(|s| s.name).collect();
    known.dedup();
    let all = format!("The options of {} are {}.", algorithm.name(), known.join(", "));
    if NOT_BUILT.contains(&wanted.as_str()) {
        return Err(Error::unsupported(
            format!("option \"{wanted}\" of {}", algorithm.name()),
            all,
        ));
    }
    if SPECS.iter().any(|s| s.name == wanted) {
        return Err(invalid(format!("option \"{wanted}\" does not apply to {}", algorithm.name()))
            .hint(all));
    }
    let hint = match suggest::hint("option", &wanted, &known) {
        Some(near) => format!("{near} {all}"),
        None => all,
    };
    Err(invalid(format!("unknown option \"{name}\"")).hint(hint))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

impl Default {
    fn value(self) -> Option<OptionValue> {
        Some(match self {
            Default::None => return None,
            Default::Bool(v) => OptionValue::Bool(v),
            Default::Int(v) => OptionValue::Int(v),
            Default::Float(v) => OptionValue::Float(v),
            Default::Text(v) => OptionValue::Text(v.to_string()),
        })
    }
}

impl Kind {
    fn check(self, name: &str, value: &OptionValue) -> Result<OptionValue> {
        let checked = match self {
            Kind::Bool => as_bool(value).map(OptionValue::Bool),
            Kind::Int { min, max } => {
                as_int(value).filter(|v| (min..=max).contains(v)).map(OptionValue::Int)
            }
            Kind::Float { min, max, open } => as_float(value)
                .filter(|v| {
                    v.is_finite()
                        && if open { *v > min && *v < max } else { *v >= min && *v <= max }
                })
                .map(OptionValue::Float),
            Kind::Choice(choices) => match value {
                OptionValue::Text(text) => Some(text.to_lowercase())
                    .filter(|t| choices.contains(&t.as_str()))
                    .map(OptionValue::Text),
                _ => None,
            },
            Kind::Text => match value {
                OptionValue::Text(text) if !text.is_empty() => Some(value.clone()),
                _ => None,
            },
            Kind::TextList => as_texts(value),
            Kind::Patience => match as_bool(value) {
                Some(true) => Some(OptionValue::Int(10)),
                Some(false) => Some(OptionValue::Bool(false)),
                None => as_int(value).filter(|v| (1..=100_000).contains(v)).map(OptionValue::Int),
            },
        };
        checked.ok_or_else(|| {
            invalid(format!("invalid value for option \"{name}\": {value}"))
                .hint(format!("It takes {}.", self.allowed()))
        })
    }

    fn allowed(self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Int { min, max: i64::MAX } => format!("a whole number from {min}"),
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Float { min, max: f64::MAX, .. } => format!("a number from {min}"),
            Kind::Float { min, max, open: false } => format!("a number from {min} to {max}"),
            Kind::Float { min, max, open: true } => format!("a number above {min} and below {max}"),
            Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
            Kind::Text => "a text".into(),
            Kind::TextList => "a column name or a list of them".into(),
            Kind::Patience => "a number of rounds without improvement, or false".into(),
        }
    }
}

fn as_bool(value: &OptionValue) -> Option<bool> {
    match value {
        OptionValue::Bool(v) => Some(*v),
        OptionValue::Text(text) => match text.to_lowercase().as_str() {
            "true" | "on" | "yes" => Some(true),
            "false" | "off" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn as_int(value: &OptionValue) -> Option<i64> {
    match value {
        OptionValue::Int(v) => Some(*v),
        OptionValue::Float(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
        OptionValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn as_float(value: &OptionValue) -> Option<f64> {
    match value {
        OptionValue::Int(v) => Some(*v as f64),
        OptionValue::Float(v) => Some(*v),
        OptionValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn as_texts(value: &OptionValue) -> Option<OptionValue> {
    match value {
        OptionValue::Text(text) if !text.is_empty() => Some(OptionValue::List(vec![value.clone()])),
        OptionValue::List(values) if !values.is_empty() => values
            .iter()
            .all(|v| matches!(v, OptionValue::Text(t) if !t.is_empty()))
            .then(|| value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algorithm: Algorithm, name: &str, value: OptionValue) -> Result<Options> {
        Options::check(algorithm, &[(name.to_string(), value)])
    }

    #[test]
    fn unknown_options_name_the_nearest_and_the_list() {
        let error =
            check(Algorithm::GradientBoosting, "max_dept", OptionValue::Int(3)).unwrap_err();
        assert_eq!(error.code(), SqlState::InvalidParameterValue);
        let hint = error.get_hint().unwrap();
        assert!(hint.contains("Perhaps you meant the option \"max_depth\"."), "{hint}");
        assert!(hint.contains("learning_rate"), "{hint}");
        let error = check(Algorithm::LinearRegression, "rounds", OptionValue::Int(3)).unwrap_err();
        assert_eq!(error.code(), SqlState::InvalidParameterValue);
        let error = check(Algorithm::LinearRegression, "k", OptionValue::Int(3)).unwrap_err();
        assert_eq!(error.code(), SqlState::FeatureNotSupported);
    }

    #[test]
    fn values_are_checked() {
        for (name, value) in [
            ("rounds", OptionValue::Int(0)),
            ("rounds", OptionValue::Text("many".into())),
            ("learning_rate", OptionValue::Float(0.0)),
            ("nulls", OptionValue::Text("drop".into())),
            ("seed", OptionValue::Int(-1)),
            ("test_fraction", OptionValue::Float(f64::NAN)),
        ] {
            let error = check(Algorithm::GradientBoosting, name, value).unwrap_err();
            assert_eq!(error.code(), SqlState::InvalidParameterValue, "{name}");
            assert!(error.get_hint().is_some());
        }
        assert!(
            check(Algorithm::LinearRegression, "split", OptionValue::Text("sequential".into()))
                .is_err()
        );
    }

    #[test]
    fn defaults_are_listed_in_order() {
        let options =
            Options::check(Algorithm::LinearRegression, &[("l2".into(), OptionValue::Int(1))])
                .unwrap();
        assert_eq!(options.choice("encoding"), "one_hot");
        assert_eq!(options.seed(), 42);
        let names: Vec<String> = options.effective().into_iter().map(|(name, _)| name).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(names, sorted);
        let plain = Options::check(Algorithm::LinearRegression, &[]).unwrap();
        assert_eq!(plain.choice("encoding"), "dummy");
    }
}
