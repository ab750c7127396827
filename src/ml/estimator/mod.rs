//! What training needs and gives, and the table of algorithms. An algorithm is one file here and one line in
//! [`training`].

pub(crate) mod coordinate_descent;
pub(crate) mod design;
pub(crate) mod double_double;
pub(crate) mod factor;
pub(crate) mod gradient_boosting;
pub(crate) mod inference;
pub(crate) mod least_squares;
pub(crate) mod linear_regression;
pub(crate) mod logistic_regression;
pub(crate) mod newton;

use crate::error::{Error, Notice, Result};
use crate::ml::algorithm::Algorithm;
use crate::ml::forest::Forest;
use crate::ml::linear::Linear;
use crate::ml::link::Link;
use crate::ml::options::Options;
use crate::ml::preprocess::{BLOCK_ROWS, Frame, Preprocessor};
use crate::ml::progress::Monitor;
use crate::ml::signature::Signature;

/// The label of a part's rows.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// Numbers.
    Number(&'a [f64]),
    /// Codes of classes.
    Class(&'a [u32]),
}

/// One part of the encoded rows.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) target: Target<'a>,
    pub(crate) weights: Option<&'a [f64]>,
}

/// Rows that can be passed over again and again, block by block: in memory, or in a file.
pub(crate) trait RowBlocks {
    /// Rows in all blocks.
    fn n_rows(&self) -> usize;

    /// Hands over blocks of [`BLOCK_ROWS`] rows in their order; the last one may be shorter.
    fn for_each(&self, visit: &mut dyn FnMut(&Rows<'_>) -> Result<()>) -> Result<()>;
}

/// A training to do over rows that stay where they are.
pub(crate) struct StreamedJob<'a> {
    pub(crate) rows: &'a dyn RowBlocks,
    pub(crate) signature: &'a Signature,
    pub(crate) preprocessor: &'a Preprocessor,
    pub(crate) options: &'a Options,
    pub(crate) monitor: &'a Monitor,
    /// Reserves bytes until the training ends.
    pub(crate) reserve: &'a dyn Fn(usize, &str) -> Result<()>,
}

/// A training to do over rows in memory.
pub(crate) struct Job<'a> {
    pub(crate) train: Rows<'a>,
    /// Rows that early stopping watches.
    pub(crate) validation: Option<Rows<'a>>,
    /// How the classes are shown, none for a regression.
    pub(crate) class_names: &'a [String],
    pub(crate) signature: &'a Signature,
    pub(crate) preprocessor: &'a Preprocessor,
    pub(crate) options: &'a Options,
    pub(crate) monitor: &'a Monitor,
    /// Threads that training may use; they never change its result.
    pub(crate) threads: usize,
    /// Reserves bytes for as long as the rows are held.
    pub(crate) reserve: &'a dyn Fn(usize, &str) -> Result<()>,
}

/// What predicts: scores for encoded rows.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A linear model.
    Linear(Linear),
    /// An ensemble of trees.
    Forest(Box<Forest>),
}

/// One row of `ml.weights`: `estimate, std_error, statistic, p_value, conf_low, conf_high`, NULL where unknown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weight {
    pub(crate) term: String,
    pub(crate) category: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) values: [Option<f64>; 6],
}

/// The statistics of `ml.fit_statistics`, in its order.
pub(crate) const STATISTICS: [&str; 13] = [
    "n",
    "df_residual",
    "sigma",
    "r2",
    "adj_r2",
    "f_statistic",
    "f_p_value",
    "log_likelihood",
    "deviance",
    "null_deviance",
    "aic",
    "bic",
    "condition_number",
];

/// A measurement during training, for `ml.run_metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What was measured, such as `validation_loss`.
    pub key: String,
    /// Its value.
    pub value: f64,
    /// The round or iteration, 0 for the finished model.
    pub step: u64,
}

/// A fitted estimator.
pub(crate) struct Fit {
    pub(crate) body: Body,
    pub(crate) link: Link,
    pub(crate) weights: Vec<Weight>,
    pub(crate) statistics: Vec<(&'static str, Option<f64>)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) measurements: Vec<Measurement>,
}

/// What an algorithm trains on.
pub(crate) enum Training {
    /// Blocks of rows that pass by: memory does not grow with their number.
    Streamed(fn(&StreamedJob<'_>) -> Result<Fit>),
    /// All rows in memory.
    Held(fn(&Job<'_>) -> Result<Fit>),
}

/// How an algorithm trains.
pub(crate) fn training(algorithm: Algorithm) -> Training {
    match algorithm {
        Algorithm::LinearRegression => Training::Streamed(linear_regression::fit),
        Algorithm::LogisticRegression => Training::Held(logistic_regression::fit),
        Algorithm::GradientBoosting => Training::Held(gradient_boosting::fit),
    }
}

impl Body {
    /// Scores, output by output: score `k` of row `i` is at `k * n_rows + i`. `None` where a value does not fit the
    /// precision that the model computes in.
    pub(crate) fn scores(&self, frame: &Frame<'_>) -> Option<Vec<f64>> {
        match self {
            Body::Linear(linear) => Some(linear.scores(frame)),
            Body::Forest(forest) => forest.scores(frame),
        }
    }
}

impl<'a> Target<'a> {
    /// The numbers of a regression's label.
    pub(crate) fn numbers(&self) -> Result<&'a [f64]> {
        match self {
            Target::Number(values) => Ok(values),
            Target::Class(_) => Err(Error::internal("classes where numbers were expected")),
        }
    }

    /// The codes of a classification's label.
    pub(crate) fn classes(&self) -> Result<&'a [u32]> {
        match self {
            Target::Class(codes) => Ok(codes),
            Target::Number(_) => Err(Error::internal("numbers where classes were expected")),
        }
    }

    fn slice(self, from: usize, n: usize) -> Self {
        match self {
            Target::Number(values) => Target::Number(&values[from..from + n]),
            Target::Class(codes) => Target::Class(&codes[from..from + n]),
        }
    }
}

impl RowBlocks for Rows<'_> {
    fn n_rows(&self) -> usize {
        self.frame.n_rows
    }

    fn for_each(&self, visit: &mut dyn FnMut(&Rows<'_>) -> Result<()>) -> Result<()> {
        for from in (0..self.frame.n_rows).step_by(BLOCK_ROWS) {
            let n = BLOCK_ROWS.min(self.frame.n_rows - from);
            visit(&Rows {
                frame: self.frame.slice(from, n),
                target: self.target.slice(from, n),
                weights: self.weights.map(|w| &w[from..from + n]),
            })?;
        }
        Ok(())
    }
}

impl Rows<'_> {
    /// The weight of a row, 1 without weights.
    #[inline]
    pub(crate) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[row])
    }
}
