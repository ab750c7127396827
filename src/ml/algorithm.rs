//! The algorithms that can be trained, their names, and what a label's type asks for.

use crate::catalog::SqlType;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::datatypes::DataType;

/// An algorithm of `CREATE MODEL … USING …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Least squares, ridge, lasso and elastic net.
    LinearRegression,
    /// Binary and multinomial logistic regression.
    LogisticRegression,
    /// Gradient-boosted trees for numbers and classes.
    GradientBoosting,
}

/// What the label asks for, before its classes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Predict a number.
    Regression,
    /// Predict one of the label's values.
    Classification,
}

/// What a trained model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Predicts a number.
    Regression,
    /// Predicts one of two classes.
    BinaryClassification,
    /// Predicts one of three or more classes.
    Multiclass,
}

/// Every accepted spelling: own names first, then BigQuery ML's.
const NAMES: &[(&str, Algorithm, Option<Goal>)] = &[
    ("linear_regression", Algorithm::LinearRegression, None),
    ("logistic_regression", Algorithm::LogisticRegression, None),
    ("gradient_boosting", Algorithm::GradientBoosting, None),
    ("linear_reg", Algorithm::LinearRegression, Some(Goal::Regression)),
    ("logistic_reg", Algorithm::LogisticRegression, Some(Goal::Classification)),
    ("boosted_tree_classifier", Algorithm::GradientBoosting, Some(Goal::Classification)),
    ("boosted_tree_regressor", Algorithm::GradientBoosting, Some(Goal::Regression)),
];

/// Algorithms of the language that this version cannot train.
const NOT_BUILT: &[&str] = &[
    "glm",
    "random_forest",
    "mlp",
    "naive_bayes",
    "knn",
    "kmeans",
    "pca",
    "isolation_forest",
    "als",
    "ets",
    "arima",
    "theta",
    "auto",
];

impl Algorithm {
    /// Every algorithm that can be trained.
    pub const ALL: &'static [Algorithm] =
        &[Algorithm::LinearRegression, Algorithm::LogisticRegression, Algorithm::GradientBoosting];

    /// The algorithm of a name, in any case. 0A000 for one that is not built, 42704 for an unknown one.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::from_name_with_goal(name).map(|(algorithm, _)| algorithm)
    }

    /// The algorithm of a name, and the goal that a BigQuery ML name such as `boosted_tree_classifier` implies.
    pub fn from_name_with_goal(name: &str) -> Result<(Self, Option<Goal>)> {
        let wanted = name.to_lowercase();
        if let Some((_, algorithm, goal)) = NAMES.iter().find(|(n, _, _)| *n == wanted) {
            return Ok((*algorithm, *goal));
        }
        let built = Self::ALL.iter().map(|a| a.name()).collect::<Vec<_>>().join(", ");
        if NOT_BUILT.contains(&wanted.as_str()) {
            return Err(Error::unsupported(
                format!("algorithm \"{wanted}\""),
                format!("Use one of {built}."),
            ));
        }
        let known: Vec<&str> =
            NAMES.iter().map(|(n, _, _)| *n).chain(NOT_BUILT.iter().copied()).collect();
        let hint = suggest::hint("algorithm", &wanted, &known)
            .unwrap_or(format!("The algorithms are {built}."));
        Err(Error::new(SqlState::UndefinedObject, format!("algorithm \"{name}\" does not exist"))
            .hint(hint))
    }

    /// The name as written in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::LinearRegression => "linear_regression",
            Algorithm::LogisticRegression => "logistic_regression",
            Algorithm::GradientBoosting => "gradient_boosting",
        }
    }

    /// The algorithm that a label's type asks for where none is named: numbers a regression, others classes.
    pub fn default_for(label: &DataType, goal: Option<Goal>) -> Self {
        match goal.unwrap_or(Goal::of_type(label)) {
            Goal::Regression => Algorithm::LinearRegression,
            Goal::Classification => Algorithm::LogisticRegression,
        }
    }

    /// What to predict for a label of this type: `task` wins, then the algorithm, then the type.
    pub fn goal(self, label: &DataType, task: Option<Goal>) -> Result<Goal> {
        let goal = match self {
            Algorithm::LinearRegression => Goal::Regression,
            Algorithm::LogisticRegression => Goal::Classification,
            Algorithm::GradientBoosting => task.unwrap_or(Goal::of_type(label)),
        };
        if task.is_some_and(|wanted| wanted != goal) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!(
                    "{} cannot be trained for {}",
                    self.name(),
                    if goal == Goal::Regression { "classes" } else { "numbers" }
                ),
            )
            .hint("Leave the option task out, or choose another algorithm."));
        }
        if goal == Goal::Regression && Goal::of_type(label) == Goal::Classification {
            return Err(Error::new(
                SqlState::DatatypeMismatch,
                format!(
                    "{} needs a numeric label, but the label is of type {}",
                    self.name(),
                    SqlType::shown(label)
                ),
            )
            .hint("Cast the label to a number, or use logistic_regression or gradient_boosting."));
        }
        Ok(goal)
    }
}

impl Goal {
    /// Numbers mean a regression, everything else classes.
    pub fn of_type(label: &DataType) -> Self {
        if label.is_numeric() { Goal::Regression } else { Goal::Classification }
    }
}

impl Task {
    /// The task for a goal and a number of classes.
    pub fn new(goal: Goal, n_classes: usize) -> Self {
        match (goal, n_classes) {
            (Goal::Regression, _) => Task::Regression,
            (Goal::Classification, 0..=2) => Task::BinaryClassification,
            (Goal::Classification, _) => Task::Multiclass,
        }
    }

    /// The name as shown in `ml.models`.
    pub fn name(self) -> &'static str {
        match self {
            Task::Regression => "regression",
            Task::BinaryClassification => "binary_classification",
            Task::Multiclass => "multiclass",
        }
    }

    /// The task of a name written by [`Task::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Task::Regression, Task::BinaryClassification, Task::Multiclass]
            .into_iter()
            .find(|t| t.name() == name)
    }

    /// Whether the model predicts classes.
    pub fn is_classification(self) -> bool {
        self != Task::Regression
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_mistakes() {
        assert_eq!(Algorithm::from_name("Linear_Reg").unwrap(), Algorithm::LinearRegression);
        let (algorithm, goal) = Algorithm::from_name_with_goal("boosted_tree_classifier").unwrap();
        assert_eq!((algorithm, goal), (Algorithm::GradientBoosting, Some(Goal::Classification)));
        let error = Algorithm::from_name("kmeans").unwrap_err();
        assert_eq!(error.code(), SqlState::FeatureNotSupported);
        let error = Algorithm::from_name("logistic_regresion").unwrap_err();
        assert_eq!(error.code(), SqlState::UndefinedObject);
        assert_eq!(
            error.get_hint(),
            Some("Perhaps you meant the algorithm \"logistic_regression\".")
        );
    }

    #[test]
    fn the_label_decides() {
        assert_eq!(Algorithm::default_for(&DataType::Int64, None), Algorithm::LinearRegression);
        assert_eq!(Algorithm::default_for(&DataType::Utf8, None), Algorithm::LogisticRegression);
        let error = Algorithm::LinearRegression.goal(&DataType::Utf8, None).unwrap_err();
        assert_eq!(error.code(), SqlState::DatatypeMismatch);
        assert_eq!(
            Algorithm::LogisticRegression.goal(&DataType::Int32, None).unwrap(),
            Goal::Classification
        );
    }
}
