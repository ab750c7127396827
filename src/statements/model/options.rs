//! A model's options between SQL, the catalog and the algorithms.

use crate::error::{Error, Result};
use crate::ml::{Algorithm, Goal, OptionValue};
use crate::parser::{self, Options};
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::datatypes::{DataType, Schema};
use serde_json::Value;
use std::collections::BTreeMap;

/// Options as the catalog keeps them.
pub type Stored = BTreeMap<String, Value>;

/// Stored options as the algorithms take them.
pub fn given(stored: &Stored) -> Vec<(String, OptionValue)> {
    stored.iter().map(|(name, value)| (name.clone(), from_json(value))).collect()
}

fn from_json(value: &Value) -> OptionValue {
    match value {
        Value::Bool(b) => OptionValue::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(n) => OptionValue::Int(n),
            None => OptionValue::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(items) => OptionValue::List(items.iter().map(from_json).collect()),
        Value::String(s) => OptionValue::Text(s.clone()),
        other => OptionValue::Text(other.to_string()),
    }
}

/// Adds what an algorithm's name says beside the algorithm, such as `boosted_tree_classifier`.
///
/// # Errors
/// 42704 and 0A000 for the name, with its position.
pub fn algorithm(name: &str, position: usize, options: &mut Options) -> Result<Algorithm> {
    let (algorithm, goal) =
        Algorithm::from_name_with_goal(name).map_err(|e| e.position(position))?;
    let task = match goal {
        Some(Goal::Regression) => "regression",
        Some(Goal::Classification) => "classification",
        None => return Ok(algorithm),
    };
    if options.position("task").is_none() {
        options.insert("task".to_owned(), parser::OptionValue::Text(task.to_owned()), position)?;
    }
    Ok(algorithm)
}

/// Checks options before anything is read. The algorithm comes from its name, else from the label's
/// type; where neither is known, the options must suit some algorithm.
///
/// # Errors
/// 22023 with the nearest name and the option's position in `written`, 0A000.
pub fn check(
    algorithm: Option<Algorithm>,
    label: Option<&DataType>,
    stored: &Stored,
    written: &Options,
) -> Result<()> {
    let given = given(stored);
    let place = |e: Error| {
        let position = culprit(&e, algorithm, &given, written);
        e.position_or(position)
    };
    let goal = crate::ml::Options::goal_of(&given).map_err(place)?;
    let algorithm = match (algorithm, label) {
        (Some(algorithm), _) => algorithm,
        (None, Some(label)) => Algorithm::default_for(label, goal),
        (None, None) => {
            let fits = |a: &Algorithm| crate::ml::Options::check(*a, &given).is_ok();
            let some = Algorithm::ALL.iter().copied().find(|a| fits(a));
            some.unwrap_or(Algorithm::LinearRegression)
        }
    };
    crate::ml::Options::check(algorithm, &given).map_err(place)?;
    if let Some(label) = label {
        algorithm.goal(label, goal).map_err(|e| e.position_or(written.position("task")))?;
    }
    Ok(())
}

/// The position of the option that an error is about: the one that is refused by itself in the same
/// words, else the first that the message names.
fn culprit(
    error: &Error,
    algorithm: Option<Algorithm>,
    given: &[(String, OptionValue)],
    written: &Options,
) -> Option<usize> {
    let algorithms = algorithm.as_ref().map_or(Algorithm::ALL, std::slice::from_ref);
    let refused = |option: &(String, OptionValue)| {
        algorithms.iter().any(|a| {
            crate::ml::Options::check(*a, std::slice::from_ref(option))
                .is_err_and(|e| e.message() == error.message())
        })
    };
    let named = |name: &str| error.message().contains(name);
    let placed = |(name, _): &(String, OptionValue)| written.position(name);
    given
        .iter()
        .filter(|option| refused(option))
        .find_map(placed)
        .or_else(|| given.iter().filter(|(name, _)| named(name)).find_map(placed))
}

/// Refuses options that name columns which the query does not have.
///
/// # Errors
/// 42703 with the nearest name and the option's position.
pub fn check_columns(schema: &Schema, stored: &Stored, written: &Options) -> Result<()> {
    for option in ["weight_column", "split_column", "split_key"] {
        let names: Vec<&str> = match stored.get(option) {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        for name in names {
            if schema.index_of(name).is_err() {
                let what = format!("option {option}");
                return Err(
                    missing_column(schema, name, &what).position_or(written.position(option))
                );
            }
        }
    }
    Ok(())
}

/// 42703: the training query lacks a column.
pub fn missing_column(schema: &Schema, name: &str, what: &str) -> Error {
    let known: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
    Error::new(
        SqlState::UndefinedColumn,
        format!("the training query has no column \"{name}\" for the {what}"),
    )
    .column(name)
    .maybe_hint(suggest::hint("column", name, &known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{Cursor, Script};

    fn options(text: &str) -> Options {
        let slice = Script::split(text).expect("tokens").remove(0);
        Options::parse(&mut Cursor::new(&slice)).expect("options")
    }

    #[test]
    fn an_error_stands_at_its_option() {
        let written = options("(seed = 1, max_dept = 3)");
        let error = check(Some(Algorithm::GradientBoosting), None, &written.to_json(), &written)
            .expect_err("unknown");
        assert_eq!(error.get_position(), Some(12));
        assert!(error.get_hint().is_some_and(|h| h.contains("max_depth")));
        let written = options("(split = sequential)");
        let error = check(None, Some(&DataType::Float64), &written.to_json(), &written)
            .expect_err("incomplete");
        assert_eq!(error.get_position(), Some(2));
    }

    #[test]
    fn numbers_survive_the_catalog() {
        let stored = options("(l2 = 1.0, seed = 7)").to_json();
        let back = given(&stored);
        assert_eq!(back[0].1, OptionValue::Float(1.0));
        assert_eq!(back[1].1, OptionValue::Int(7));
    }

    #[test]
    fn a_name_may_say_the_task() {
        let mut written = options("()");
        let found = algorithm("boosted_tree_classifier", 5, &mut written).expect("known");
        assert_eq!(found, Algorithm::GradientBoosting);
        assert_eq!(written.to_json()["task"], "classification");
    }
}
