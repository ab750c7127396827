//! Linear regression: least squares with inference, ridge, lasso and elastic net.

use crate::error::{Error, Notice, Result};
use crate::ml::estimator::design::{Change, Design, Term};
use crate::ml::estimator::factor::{columns_of, reduce, triangular_factor};
use crate::ml::estimator::inference::{self, Reference, finite};
use crate::ml::estimator::{
    Body, Fit, STATISTICS, StreamedJob, Weight, coordinate_descent, least_squares,
};
use crate::ml::link::Link;
use crate::ml::options::Options;
use crate::ml::progress::Monitor;
use crate::sqlstate::SqlState;

/// The most columns of a design matrix: its square is held in memory, and solving takes its cube.
pub(crate) const MAX_TERMS: usize = 8000;

/// Trains.
pub(crate) fn fit(job: &StreamedJob<'_>) -> Result<Fit> {
    let penalised = job.options.is_penalised();
    let one_hot = penalised && job.options.choice("encoding") == "one_hot";
    let design = Design::new(job.preprocessor, job.options.bool("intercept"), one_hot);
    check_size(design.n_terms(), job.reserve)?;
    if penalised { fit_penalised(job, &design) } else { fit_least_squares(job, &design) }
}

/// Refuses designs without columns or with too many, and reserves the memory for their squares.
pub(crate) fn check_size(n: usize, reserve: &dyn Fn(usize, &str) -> Result<()>) -> Result<()> {
    if n == 0 {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "the model has neither features nor an intercept",
        ));
    }
    if n > MAX_TERMS {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("the features make {n} columns, more than {MAX_TERMS}"),
        )
        .hint(
            "Lower max_categories, leave columns of many categories out, or use gradient_boosting.",
        ));
    }
    reserve(8 * (n + 1) * (4 * n + 2 * crate::ml::preprocess::BLOCK_ROWS), "the design matrix")
}

fn fit_least_squares(job: &StreamedJob<'_>, design: &Design<'_>) -> Result<Fit> {
    let monitor = job.monitor.in_phase("fitting");
    monitor.enter()?;
    let solution = least_squares::solve(design, job.rows, &monitor)?;
    let n = job.rows.n_rows();
    let df = n - solution.rank.min(n);
    let variance = (df > 0).then(|| solution.residual / df as f64);
    let confidence = job.options.float("confidence");
    let mut weights = Vec::with_capacity(design.n_terms());
    let mut coefficients = Vec::with_capacity(design.n_terms());
    let mut dependent = Vec::new();
    for term in 0..design.n_terms() {
        let name = design.term_name(term, job.signature);
        match solution.coefficients[term] {
            None => {
                dependent.push(shown(&name));
                coefficients.push(0.0);
                weights.push(inference::aliased(name, None));
            }
            Some(estimate) => {
                let error =
                    variance.zip(solution.inverse_diagonal[term]).map(|(v, d)| (v * d).sqrt());
                let values =
                    inference::values(estimate, error, Reference::T(df as f64), confidence);
                coefficients.push(estimate);
                weights.push(Weight { term: name.0, category: name.1, class: None, values });
            }
        }
    }
    let mut notices = dependence_notice(&dependent);
    if solution.error > 1e-9 {
        let digits = (-solution.error.log10()).floor().max(0.0);
        notices.push(
            Notice::warning(format!(
                "the columns are almost dependent: about {digits} digits of the weights hold"
            ))
            .with_hint("Subtract a constant from large columns, or give l2 = a small number."),
        );
    }
    if df == 0 {
        notices.push(Notice::warning(format!(
            "{n} rows are too few for {} weights: there are no standard errors",
            solution.rank
        )));
    }
    let statistics = statistics(&solution, n as f64, design.has_intercept());
    Ok(Fit {
        body: body(design, coefficients)?,
        link: Link::Identity,
        weights,
        statistics,
        notices,
        measurements: Vec::new(),
    })
}

fn shown((term, category): &(String, Option<String>)) -> String {
    match category {
        Some(category) => format!("{term} = {category}"),
        None => term.clone(),
    }
}

/// The warning about columns that depend on others.
pub(crate) fn dependence_notice(dependent: &[String]) -> Vec<Notice> {
    if dependent.is_empty() {
        return Vec::new();
    }
    let some =
        dependent.iter().take(5).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let more = if dependent.len() > 5 {
        format!(" and {} more", dependent.len() - 5)
    } else {
        String::new()
    };
    vec![
        Notice::warning(format!(
            "{some}{more} can be computed from other columns and got no weight"
        ))
        .with_detail("The weights of these terms are NULL, as in R; predictions are not affected."),
    ]
}

fn body(design: &Design<'_>, mut coefficients: Vec<f64>) -> Result<Body> {
    if coefficients.iter().any(|b| !b.is_finite()) {
        return Err(Error::new(SqlState::NumericValueOutOfRange, "the weights are out of range")
            .hint("Divide the label or the features by a constant."));
    }
    let intercept = if design.has_intercept() { std::mem::take(&mut coefficients[0]) } else { 0.0 };
    Ok(Body::Linear(design.model(vec![intercept], &[coefficients])))
}

/// After R's `summary.lm`, `logLik` and `AIC` (which counts sigma); BIC uses log(n).
fn statistics(
    solution: &least_squares::Solution,
    n: f64,
    has_intercept: bool,
) -> Vec<(&'static str, Option<f64>)> {
    let rank = solution.rank as f64;
    let df = n - rank;
    let own = rank - f64::from(u8::from(has_intercept));
    let explained = (solution.total > 0.0).then(|| 1.0 - solution.residual / solution.total);
    let adjusted = explained
        .filter(|_| df > 0.0)
        .map(|r2| 1.0 - (1.0 - r2) * (n - f64::from(u8::from(has_intercept))) / df);
    let f = (df > 0.0 && own > 0.0)
        .then(|| (solution.total - solution.residual).max(0.0) / own / (solution.residual / df))
        .and_then(finite);
    let log_likelihood = (solution.residual > 0.0).then(|| {
        0.5 * (solution.log_weights
            - n * ((2.0 * std::f64::consts::PI).ln() + 1.0 - n.ln() + solution.residual.ln()))
    });
    let values = [
        Some(n),
        Some(df),
        (df > 0.0).then(|| (solution.residual / df).sqrt()),
        explained,
        adjusted,
        f,
        f.and_then(|f| inference::f_p_value(f, own, df)),
        log_likelihood,
        Some(solution.residual),
        Some(solution.total),
        log_likelihood.map(|l| 2.0 * (rank + 1.0) - 2.0 * l),
        log_likelihood.map(|l| n.ln() * (rank + 1.0) - 2.0 * l),
        solution.condition,
    ];
    STATISTICS.into_iter().zip(values.map(|v| v.and_then(finite))).collect()
}

/// A penalty: `‖y − Xb‖² + l1·Σ|b| + l2·Σb²` is minimised.
struct Penalty {
    l1: f64,
    l2: f64,
}

/// `alpha` alone is Ridge's; with `l1_ratio` it is ElasticNet's, whose squared error is divided by twice the sum of
/// weights (scikit-learn).
fn penalty(options: &Options, total_weight: f64) -> Penalty {
    let alpha = options.float("alpha");
    if !options.is_set("alpha") {
        Penalty { l1: options.float("l1"), l2: options.float("l2") }
    } else if options.is_set("l1_ratio") {
        let ratio = options.float("l1_ratio");
        Penalty { l1: 2.0 * total_weight * alpha * ratio, l2: total_weight * alpha * (1.0 - ratio) }
    } else {
        Penalty { l1: 0.0, l2: alpha }
    }
}

fn fit_penalised(job: &StreamedJob<'_>, design: &Design<'_>) -> Result<Fit> {
    let n = job.rows.n_rows();
    let monitor = job.monitor.in_phase("fitting");
    monitor.enter()?;
    let label = least_squares::label(job.rows)?;
    let (means, deviations) = design.moments(job.rows)?;
    let first = usize::from(design.has_intercept());
    let n_columns = design.n_terms() - first;
    let y_mean =
        if first == 1 { least_squares::label_sum(job.rows, 1.0, 0.0)? / label.weight } else { 0.0 };
    let change = Change {
        shift: if first == 1 { means } else { vec![0.0; design.n_terms()] },
        scale: scales(design, &deviations, job.options.bool("standardize")),
    };
    let factor = triangular_factor(job.rows, n_columns + 1, &monitor, |block, column, out| {
        if column < n_columns {
            design.fill_changed(&block.frame, column + first, 0, &change, out);
        } else if let Ok(y) = block.target.numbers() {
            out.iter_mut().zip(y).for_each(|(out, y)| *out = y - y_mean);
        }
        if let Some(weights) = block.weights {
            out.iter_mut().zip(weights).for_each(|(out, w)| *out *= w.sqrt());
        }
    })?;
    let columns = columns_of(&factor);
    let penalty = penalty(job.options, label.weight);
    let (scaled, notices) = solve_penalised(&columns, &penalty, job, &monitor)?;
    let mut coefficients: Vec<f64> = vec![0.0; first];
    coefficients.extend(scaled.iter().zip(&change.scale[first..]).map(|(b, scale)| b * scale));
    if first == 1 {
        coefficients[0] = y_mean
            - coefficients[1..].iter().zip(&change.shift[1..]).map(|(b, m)| b * m).sum::<f64>();
    }
    let weights = (0..design.n_terms())
        .map(|term| {
            let (name, category) = design.term_name(term, job.signature);
            Weight {
                term: name,
                category,
                class: None,
                values: [Some(coefficients[term]), None, None, None, None, None],
            }
        })
        .collect();
    let statistics = penalised_statistics(&columns, &scaled, n);
    Ok(Fit {
        body: body(design, coefficients)?,
        link: Link::Identity,
        weights,
        statistics,
        notices,
        measurements: Vec::new(),
    })
}

fn scales(design: &Design<'_>, deviations: &[f64], standardize: bool) -> Vec<f64> {
    design
        .terms
        .iter()
        .zip(deviations)
        .map(|(term, deviation)| match term {
            Term::Number { .. } if standardize && *deviation > 0.0 => 1.0 / deviation,
            _ => 1.0,
        })
        .collect()
}

fn solve_penalised(
    columns: &[Vec<f64>],
    penalty: &Penalty,
    job: &StreamedJob<'_>,
    monitor: &Monitor,
) -> Result<(Vec<f64>, Vec<Notice>)> {
    let n = columns.len() - 1;
    if penalty.l1 == 0.0 {
        // Ridge is least squares with one more row for each column.
        let stacked: Vec<Vec<f64>> = columns
            .iter()
            .enumerate()
            .map(|(j, column)| {
                let mut stacked = column.clone();
                stacked.resize(column.len() + n, 0.0);
                if j < n {
                    stacked[column.len() + j] = penalty.l2.sqrt();
                }
                stacked
            })
            .collect();
        let reduced = reduce(&stacked, monitor)?;
        let mut coefficients = vec![0.0; n];
        for (column, b) in reduced.kept.iter().zip(reduced.solve()) {
            coefficients[*column] = b;
        }
        return Ok((coefficients, Vec::new()));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gram: Vec<Vec<f64>> =
        (0..n).map(|j| (0..n).map(|k| dot(&columns[j], &columns[k])).collect()).collect();
    let moments: Vec<f64> = (0..n).map(|j| dot(&columns[j], &columns[n])).collect();
    let y_norm = dot(&columns[n], &columns[n]).sqrt();
    let limits = (job.options.int("max_iterations"), job.options.float("tolerance"), y_norm);
    let (b, converged) = coordinate_descent::solve(
        &gram,
        &moments,
        (penalty.l1, &vec![penalty.l2; n]),
        limits,
        monitor,
    )?;
    let mut notices = Vec::new();
    if !converged {
        notices.push(
            Notice::warning(format!("the weights still change after {} iterations", limits.0))
                .with_hint("Give a larger max_iterations or tolerance, or standardize = true."),
        );
    }
    Ok((b, notices))
}

/// Under a penalty only what needs no degrees of freedom is known.
fn penalised_statistics(
    columns: &[Vec<f64>],
    b: &[f64],
    n_rows: usize,
) -> Vec<(&'static str, Option<f64>)> {
    let n = columns.len() - 1;
    let mut rest = columns[n].clone();
    for (column, b) in columns[..n].iter().zip(b) {
        rest.iter_mut().zip(column).for_each(|(r, c)| *r -= c * b);
    }
    let squares = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
    let (residual, total) = (squares(&rest), squares(&columns[n]));
    STATISTICS
        .into_iter()
        .map(|name| {
            let value = match name {
                "n" => Some(n_rows as f64),
                "r2" if total > 0.0 => finite(1.0 - residual / total),
                "deviance" => finite(residual),
                "null_deviance" => finite(total),
                _ => None,
            };
            (name, value)
        })
        .collect()
}
