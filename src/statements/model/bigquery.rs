//! BigQuery ML's `OPTIONS (…)`: its names for what we have, where the meaning is the same.

use crate::error::{Error, Result};
use crate::parser::{OptionValue, Options};
use crate::sqlstate::SqlState;

/// What OPTIONS says of a model.
#[derive(Debug, Default)]
pub struct Translated {
    /// `model_type`, and where it stands.
    pub algorithm: Option<(String, usize)>,
    /// `input_label_cols`, and where it stands.
    pub label: Option<(String, usize)>,
    /// Everything else under our names.
    pub options: Options,
}

/// Names that mean the same for every algorithm.
const RENAMED: &[(&str, &str)] = &[
    ("data_split_col", "split_column"),
    ("data_split_eval_fraction", "test_fraction"),
    ("fit_intercept", "intercept"),
    ("learn_rate", "learning_rate"),
    ("max_tree_depth", "max_depth"),
    ("min_tree_child_weight", "min_child_weight"),
];

/// Names that mean the same for boosted trees only.
const RENAMED_FOR_TREES: &[(&str, &str)] =
    &[("l1_reg", "l1"), ("l2_reg", "l2"), ("max_iterations", "rounds")];

/// Options whose values have other names.
const VALUES: &[(&str, &str, &str, &str)] = &[
    ("data_split_method", "auto_split", "split", "auto"),
    ("data_split_method", "random", "split", "random"),
    ("data_split_method", "no_split", "split", "none"),
    ("category_encoding_method", "one_hot_encoding", "encoding", "one_hot"),
    ("category_encoding_method", "dummy_encoding", "encoding", "dummy"),
    ("auto_class_weights", "true", "class_weight", "balanced"),
    ("auto_class_weights", "false", "class_weight", "none"),
];

/// Options of BigQuery ML that have no counterpart here.
const REFUSED: &[&str] = &[
    "approx_global_feature_contrib",
    "auto_class_weights",
    "booster_type",
    "calculate_p_values",
    "category_encoding_method",
    "class_weights",
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "data_split_method",
    "early_stop",
    "enable_global_explain",
    "kms_key_name",
    "l1_reg",
    "l2_reg",
    "learn_rate_strategy",
    "ls_init_learn_rate",
    "max_iterations",
    "max_parallel_trials",
    "min_rel_progress",
    "min_split_loss",
    "model_registry",
    "num_parallel_tree",
    "num_trials",
    "optimize_strategy",
    "tree_method",
    "warm_start",
    "xgboost_version",
];

/// Translates the options of a `CREATE MODEL … OPTIONS (…) AS query`.
///
/// # Errors
/// 0A000 for what has no counterpart, 22023 for a bad value, 42601 for an option given twice.
pub fn translate(given: &Options) -> Result<Translated> {
    let mut out = Translated::default();
    if let Some((name, value, position)) = given.iter().find(|(name, _, _)| *name == "model_type") {
        out.algorithm = Some((text(name, value, position)?, position));
    }
    let is_trees = out
        .algorithm
        .as_ref()
        .is_some_and(|(name, _)| name.to_lowercase().contains("boosted_tree"));
    for (name, value, position) in given.iter() {
        match name {
            "model_type" => {}
            "input_label_cols" => out.label = Some((label(value, position)?, position)),
            _ => {
                let (name, value) = option(name, value, is_trees, position)?;
                out.options.insert(name, value, position)?;
            }
        }
    }
    Ok(out)
}

fn option(
    name: &str,
    value: &OptionValue,
    is_trees: bool,
    position: usize,
) -> Result<(String, OptionValue)> {
    let tables = [RENAMED, if is_trees { RENAMED_FOR_TREES } else { &[] }];
    if let Some((_, ours)) = tables.iter().copied().flatten().find(|(theirs, _)| *theirs == name) {
        return Ok(((*ours).to_owned(), value.clone()));
    }
    let shown = match value {
        OptionValue::Text(text) => text.to_lowercase(),
        other => other.to_string(),
    };
    if let Some((_, _, ours, value)) =
        VALUES.iter().find(|(theirs, v, _, _)| *theirs == name && *v == shown)
    {
        return Ok(((*ours).to_owned(), OptionValue::Text((*value).to_owned())));
    }
    if REFUSED.contains(&name) {
        return Err(Error::unsupported(
            format_args!("{name} = {value}"),
            "It has no equal here: leave it out, or use the options of WITH (…).",
        )
        .position(position));
    }
    Ok((name.to_owned(), value.clone()))
}

fn label(value: &OptionValue, position: usize) -> Result<String> {
    match value {
        OptionValue::Text(name) => Ok(name.clone()),
        OptionValue::List(names) => match names.as_slice() {
            [OptionValue::Text(name)] => Ok(name.clone()),
            _ => Err(several_labels(position)),
        },
        _ => Err(Error::new(
            SqlState::InvalidParameterValue,
            "input_label_cols must be a list with a column's name",
        )
        .position(position)),
    }
}

/// 0A000: one model predicts one column.
pub fn several_labels(position: usize) -> Error {
    Error::unsupported("a model with several labels", "Make one model for each label.")
        .position(position)
}

fn text(name: &str, value: &OptionValue, position: usize) -> Result<String> {
    match value {
        OptionValue::Text(text) => Ok(text.clone()),
        _ => Err(Error::new(SqlState::InvalidParameterValue, format!("{name} must be a text"))
            .position(position)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{Cursor, Script};

    fn translated(text: &str) -> Result<Translated> {
        let slice = Script::split(text).expect("tokens").remove(0);
        translate(&Options::parse(&mut Cursor::new(&slice)).expect("options"))
    }

    #[test]
    fn what_means_the_same_is_renamed() {
        let out = translated(
            "(model_type='boosted_tree_regressor', input_label_cols=['y'], max_iterations=50, \
             data_split_method='NO_SPLIT', l2_reg=0.5)",
        )
        .expect("known");
        assert_eq!(out.algorithm.map(|(a, _)| a).as_deref(), Some("boosted_tree_regressor"));
        assert_eq!(out.label.map(|(l, _)| l).as_deref(), Some("y"));
        let names: Vec<String> = out.options.iter().map(|(n, v, _)| format!("{n}={v}")).collect();
        assert_eq!(names, ["l2=0.5", "rounds=50", "split='none'"]);
    }

    #[test]
    fn what_means_something_else_is_refused() {
        for text in [
            "(model_type='linear_reg', data_split_method='custom')",
            "(model_type='linear_reg', l2_reg=1)",
            "(model_type='linear_reg', input_label_cols=['a', 'b'])",
        ] {
            let error = translated(text).expect_err("refused");
            assert_eq!(error.code(), SqlState::FeatureNotSupported, "{text}");
            assert!(error.get_position().is_some());
        }
    }
}
