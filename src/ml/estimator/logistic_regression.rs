//! Logistic regression of two or more classes, with inference, or with a squared penalty.
//!
//! Without a penalty the first class is the reference and has no weights; two classes have one row of weights, those
//! of the last class. Under a penalty three or more classes are treated alike (scikit-learn): each has weights, and
//! the intercepts, which the penalty leaves free, add up to 0.

use crate::error::{Error, Notice, Result};
use crate::ml::estimator::design::{Change, Design, Term};
use crate::ml::estimator::factor::{columns_of, reduce, triangular_factor};
use crate::ml::estimator::inference::{self, Reference, finite};
use crate::ml::estimator::linear_regression::{check_size, dependence_notice};
use crate::ml::estimator::newton::{self, Outcome, Problem, Solution};
use crate::ml::estimator::{Body, Fit, Job, STATISTICS, Weight};
use crate::ml::link::Link;
use crate::ml::preprocess::blocked_sum;
use crate::sqlstate::SqlState;

/// The most parameters: Newton's method holds their square.
const MAX_PARAMETERS: usize = 4000;

/// Trains.
pub(crate) fn fit(job: &Job<'_>) -> Result<Fit> {
    let l2 = job.options.float("l2");
    let penalised = l2 > 0.0;
    let n_classes = job.class_names.len();
    let one_hot = penalised && job.options.choice("encoding") == "one_hot";
    let design = Design::new(job.preprocessor, job.options.bool("intercept"), one_hot);
    check_size(design.n_terms(), job.reserve)?;
    let codes = job.train.target.classes()?;
    (job.reserve)(8 * codes.len(), "the weights")?;
    let weights = row_weights(job, codes);
    let change = standard_change(&design, job)?;
    let columns = if penalised {
        (0..design.n_terms()).collect()
    } else {
        independent_columns(&design, job, &change)?
    };
    let n_blocks = if penalised && n_classes > 2 { n_classes } else { n_classes - 1 };
    check_parameters(job, n_blocks * columns.len())?;
    let problem = Problem {
        design: &design,
        rows: &job.train,
        weights: &weights,
        change: &change,
        columns: &columns,
        n_blocks,
        n_classes,
        penalty: columns
            .iter()
            .map(|term| penalty(&design, *term, l2, &change, job.options.bool("standardize")))
            .collect(),
    };
    let monitor = job.monitor.in_phase("fitting");
    let solution = newton::maximise(
        &problem,
        job.options.int("max_iterations"),
        job.options.float("tolerance"),
        &monitor,
    )?;
    finish(job, &problem, &solution, penalised)
}

fn row_weights(job: &Job<'_>, codes: &[u32]) -> Vec<f64> {
    let mut weights: Vec<f64> = (0..codes.len()).map(|row| job.train.weight(row)).collect();
    if job.options.choice("class_weight") == "balanced" {
        let factors = balanced_factors(codes, job.class_names.len());
        weights.iter_mut().zip(codes).for_each(|(w, code)| *w *= factors[*code as usize]);
    }
    weights
}

/// scikit-learn's `balanced`: rows / (classes * rows of the class).
pub(crate) fn balanced_factors(codes: &[u32], n_classes: usize) -> Vec<f64> {
    let mut counts = vec![0usize; n_classes];
    codes.iter().for_each(|code| counts[*code as usize] += 1);
    counts.iter().map(|c| codes.len() as f64 / (n_classes * (*c).max(1)) as f64).collect()
}

/// Numbers are centred (where an intercept can take it up) and scaled, for the numerics alone.
fn standard_change(design: &Design<'_>, job: &Job<'_>) -> Result<Change> {
    let (means, deviations) = design.moments(&job.train)?;
    let mut change = design.unchanged();
    for (term, kind) in design.terms.iter().enumerate() {
        if let Term::Number { .. } = kind {
            if design.has_intercept() {
                change.shift[term] = means[term];
            }
            if deviations[term] > 0.0 {
                change.scale[term] = 1.0 / deviations[term];
            }
        }
    }
    Ok(change)
}

fn independent_columns(design: &Design<'_>, job: &Job<'_>, change: &Change) -> Result<Vec<usize>> {
    let n = design.n_terms();
    let factor = triangular_factor(&job.train, n + 1, job.monitor, |block, column, out| {
        if column < n {
            design.fill_changed(&block.frame, column, 0, change, out);
        } else {
            out.fill(0.0);
        }
    })?;
    Ok(reduce(&columns_of(&factor), job.monitor)?.kept)
}

fn check_parameters(job: &Job<'_>, n: usize) -> Result<()> {
    if n > MAX_PARAMETERS {
        return Err(Error::unsupported(
            format!("a logistic regression of {n} parameters"),
            format!(
                "At most {MAX_PARAMETERS} fit; use gradient_boosting, fewer columns or a lower max_categories."
            ),
        ));
    }
    (job.reserve)(8 * 4 * n * n, "the Hessian")
}

/// The penalty on the changed column's coefficient that equals `l2` on the coefficient itself (or on that of the
/// standardised column).
fn penalty(design: &Design<'_>, term: usize, l2: f64, change: &Change, standardize: bool) -> f64 {
    match design.terms[term] {
        Term::Intercept => 0.0,
        Term::Number { .. } if !standardize => l2 * change.scale[term] * change.scale[term],
        _ => l2,
    }
}

/// One block's coefficients for the unchanged columns, 0 for dependent ones.
fn unchanged(problem: &Problem<'_>, block: &[f64]) -> Vec<f64> {
    let mut coefficients = vec![0.0; problem.design.n_terms()];
    let mut shift = 0.0;
    for (term, value) in problem.columns.iter().zip(block) {
        coefficients[*term] = value * problem.change.scale[*term];
        shift += coefficients[*term] * problem.change.shift[*term];
    }
    if problem.design.has_intercept() {
        coefficients[0] -= shift;
    }
    coefficients
}

/// Standard errors of one block's coefficients for the unchanged columns.
fn std_errors(problem: &Problem<'_>, solution: &Solution, block: usize) -> Vec<Option<f64>> {
    let mut errors = vec![None; problem.design.n_terms()];
    let Some(covariance) = &solution.covariance else { return errors };
    let q = problem.columns.len();
    let at = |i: usize, j: usize| covariance[(block * q + i, block * q + j)];
    for (i, term) in problem.columns.iter().enumerate() {
        errors[*term] = finite(at(i, i).max(0.0).sqrt() * problem.change.scale[*term]);
    }
    if problem.design.has_intercept() && problem.columns.first() == Some(&0) {
        // The intercept takes back the shifts of the other columns.
        let share: Vec<f64> = problem
            .columns
            .iter()
            .map(|term| {
                if *term == 0 {
                    1.0
                } else {
                    -problem.change.shift[*term] * problem.change.scale[*term]
                }
            })
            .collect();
        let mut variance = 0.0;
        for i in 0..q {
            for j in 0..q {
                variance += share[i] * share[j] * at(i, j);
            }
        }
        errors[0] = finite(variance.max(0.0).sqrt());
    }
    errors
}

fn finish(
    job: &Job<'_>,
    problem: &Problem<'_>,
    solution: &Solution,
    penalised: bool,
) -> Result<Fit> {
    let design = problem.design;
    let q = problem.columns.len();
    let balanced = job.options.choice("class_weight") == "balanced";
    let mut blocks: Vec<Vec<f64>> = (0..problem.n_blocks)
        .map(|a| unchanged(problem, &solution.parameters[a * q..(a + 1) * q]))
        .collect();
    if problem.n_blocks == problem.n_classes && design.has_intercept() {
        let mean = blocks.iter().map(|b| b[0]).sum::<f64>() / blocks.len() as f64;
        blocks.iter_mut().for_each(|b| b[0] -= mean);
    }
    if blocks.iter().flatten().any(|b| !b.is_finite()) {
        return Err(Error::new(SqlState::NumericValueOutOfRange, "the weights are out of range")
            .hint("Divide the features by a constant."));
    }
    let first_class = problem.n_classes - problem.n_blocks;
    let mut weights = Vec::new();
    for (a, block) in blocks.iter().enumerate() {
        let class = Some(job.class_names[a + first_class].clone());
        let errors = if penalised || balanced {
            vec![None; block.len()]
        } else {
            std_errors(problem, solution, a)
        };
        for (term, estimate) in block.iter().enumerate() {
            let name = design.term_name(term, job.signature);
            if !problem.columns.contains(&term) {
                weights.push(inference::aliased(name, class.clone()));
                continue;
            }
            let values = inference::values(
                *estimate,
                errors[term],
                Reference::Normal,
                job.options.float("confidence"),
            );
            weights.push(Weight { term: name.0, category: name.1, class: class.clone(), values });
        }
    }
    let notices = notices(job, problem, solution, penalised);
    let statistics = statistics(job, problem, solution, penalised, balanced);
    let intercepts = blocks
        .iter_mut()
        .map(|b| if design.has_intercept() { std::mem::take(&mut b[0]) } else { 0.0 })
        .collect();
    let link = match (problem.n_classes, problem.n_blocks) {
        (2, 1) => Link::Logistic,
        (classes, blocks) if classes == blocks => Link::Softmax,
        _ => Link::SoftmaxReference,
    };
    Ok(Fit {
        body: Body::Linear(design.model(intercepts, &blocks)),
        link,
        weights,
        statistics,
        notices,
        measurements: Vec::new(),
    })
}

fn notices(
    job: &Job<'_>,
    problem: &Problem<'_>,
    solution: &Solution,
    penalised: bool,
) -> Vec<Notice> {
    let dependent: Vec<String> = (0..problem.design.n_terms())
        .filter(|term| !problem.columns.contains(term))
        .map(|term| match problem.design.term_name(term, job.signature) {
            (name, Some(category)) => format!("{name} = {category}"),
            (name, None) => name,
        })
        .collect();
    let mut notices = dependence_notice(&dependent);
    notices.extend(outcome_notice(problem, solution, penalised));
    notices
}

/// What is said where the weights are not those of the optimum.
fn outcome_notice(problem: &Problem<'_>, solution: &Solution, penalised: bool) -> Option<Notice> {
    let unfinished = |hint: &str| {
        let iterations = solution.iterations;
        Notice::warning(format!("the weights still change after {iterations} iterations"))
            .with_hint(hint)
    };
    Some(match solution.outcome {
        Outcome::Converged => return None,
        Outcome::Unfinished => unfinished("Give a larger max_iterations."),
        Outcome::RunsAway if penalised => unfinished("Give a larger l2 or a smaller tolerance."),
        Outcome::RunsAway => {
            let which = if problem.n_classes > 2 { "some classes" } else { "the classes" };
            Notice::warning(format!(
                "the features separate {which} perfectly: the weights have no finite optimum"
            ))
            .with_detail("Predictions are usable; weights and standard errors are not, they grow with every iteration.")
            .with_hint("Give l2 = 1 for finite weights.")
        }
        Outcome::Stuck => {
            Notice::warning("the weights are not the best ones: the Hessian has no inverse")
                .with_hint("Give l2 = 1, or leave out columns that nearly depend on others.")
        }
    })
}

fn statistics(
    job: &Job<'_>,
    problem: &Problem<'_>,
    solution: &Solution,
    penalised: bool,
    balanced: bool,
) -> Vec<(&'static str, Option<f64>)> {
    let n = job.train.frame.n_rows as f64;
    let rank = solution.parameters.len() as f64;
    let log_likelihood = (!balanced).then_some(solution.log_likelihood);
    let unpenalised = log_likelihood.filter(|_| !penalised);
    let null = if problem.design.has_intercept() {
        null_deviance(job, problem)
    } else {
        uniform_deviance(job, problem)
    };
    STATISTICS
        .into_iter()
        .map(|name| {
            let value = match name {
                "n" => Some(n),
                "df_residual" => (!penalised).then_some(n - rank),
                "log_likelihood" => log_likelihood,
                "deviance" => log_likelihood.map(|l| -2.0 * l),
                "null_deviance" => (!balanced).then_some(null),
                "aic" => unpenalised.map(|l| 2.0 * rank - 2.0 * l),
                "bic" => unpenalised.map(|l| n.ln() * rank - 2.0 * l),
                _ => None,
            };
            (name, value.and_then(finite))
        })
        .collect()
}

/// The deviance of the model with an intercept alone.
fn null_deviance(job: &Job<'_>, problem: &Problem<'_>) -> f64 {
    let Ok(codes) = job.train.target.classes() else { return f64::NAN };
    let mut shares = vec![0.0; problem.n_classes];
    codes
        .iter()
        .enumerate()
        .for_each(|(row, code)| shares[*code as usize] += job.train.weight(row));
    let total: f64 = shares.iter().sum();
    -2.0 * shares.iter().filter(|s| **s > 0.0).map(|s| s * (s / total).ln()).sum::<f64>()
}

/// The deviance of a model without parameters.
fn uniform_deviance(job: &Job<'_>, problem: &Problem<'_>) -> f64 {
    2.0 * blocked_sum(job.train.frame.n_rows, |row| job.train.weight(row))
        * (problem.n_classes as f64).ln()
}
