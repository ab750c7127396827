//! Newton's method for logistic models of two or more classes.
//!
//! Parameters are blocks of coefficients, one block a score; the score of a class without a block is 0. One pass over
//! the rows gives the log-likelihood, its gradient and its Hessian; sums go in blocks of 4,096 rows from left to right.

use crate::error::Result;
use crate::ml::estimator::Rows;
use crate::ml::estimator::design::{Change, Design};
use crate::ml::link::log1p_exp;
use crate::ml::preprocess::BLOCK_ROWS;
use crate::ml::progress::Monitor;
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, Par, Side};

/// Steps above this, in units of standard deviations of the features, after the deviance has settled, mean that
/// coefficients run off to infinity: the classes are separable.
const RUNAWAY_STEP: f64 = 1e-3;
/// What is added to the Hessian's diagonal, as a share of it, until the Hessian can be factored.
const RIDGES: [f64; 6] = [0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6];

/// The model to fit.
pub(crate) struct Problem<'a> {
    pub(crate) design: &'a Design<'a>,
    pub(crate) rows: &'a Rows<'a>,
    /// Weights of the rows, class weights included.
    pub(crate) weights: &'a [f64],
    pub(crate) change: &'a Change,
    /// The design's columns that take part.
    pub(crate) columns: &'a [usize],
    /// Scores: the first classes have none if there are fewer scores than classes.
    pub(crate) n_blocks: usize,
    pub(crate) n_classes: usize,
    /// `penalty[j]/2 · b[j]²` is added for column `j` of every block.
    pub(crate) penalty: Vec<f64>,
}

/// How the search for the optimum ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At the optimum.
    Converged,
    /// The deviance has settled, but coefficients run off to infinity.
    RunsAway,
    /// Before the deviance settled.
    Unfinished,
    /// Where the Hessian tells no direction.
    Stuck,
}

/// The fitted parameters, block by block.
pub(crate) struct Solution {
    pub(crate) parameters: Vec<f64>,
    /// Inverse of the Hessian of the negative log-likelihood, if it exists.
    pub(crate) covariance: Option<Mat<f64>>,
    /// The log-likelihood without the penalty.
    pub(crate) log_likelihood: f64,
    pub(crate) iterations: usize,
    pub(crate) outcome: Outcome,
}

struct State {
    log_likelihood: f64,
    objective: f64,
    gradient: Mat<f64>,
    hessian: Mat<f64>,
}

/// A step of Newton's method.
struct Step {
    values: Vec<f64>,
    /// Whether the Hessian could be factored only with a ridge.
    is_damped: bool,
}

/// Maximises the penalised likelihood.
pub(crate) fn maximise(
    problem: &Problem<'_>,
    max_iterations: usize,
    tolerance: f64,
    monitor: &Monitor,
) -> Result<Solution> {
    let n = problem.n_blocks * problem.columns.len();
    // The mean weight, so that a common factor of the weights changes nothing.
    let unit = problem.weights.iter().sum::<f64>() / problem.weights.len().max(1) as f64;
    let mut parameters = vec![0.0; n];
    let mut state = problem.evaluate(&parameters, monitor)?;
    let mut outcome = if n == 0 { Outcome::Converged } else { Outcome::Unfinished };
    let mut iterations = 0;
    while outcome == Outcome::Unfinished && iterations < max_iterations {
        let Some(step) = newton_step(&state) else {
            outcome = Outcome::Stuck;
            break;
        };
        let mut share = 1.0;
        let (moved, next) = loop {
            let moved: Vec<f64> =
                parameters.iter().zip(&step.values).map(|(p, s)| p + share * s).collect();
            let next = problem.evaluate(&moved, monitor)?;
            let slack = 1e-12 * (state.objective.abs() + 0.1 * unit);
            if next.objective >= state.objective - slack || share < 1e-9 {
                break (moved, next);
            }
            share /= 2.0;
        };
        iterations += 1;
        let change = 2.0 * (next.objective - state.objective).abs()
            / (2.0 * next.objective.abs() + 0.1 * unit);
        monitor.step(iterations as u64, max_iterations as u64, Some(-next.log_likelihood))?;
        parameters = moved;
        state = next;
        if change < tolerance {
            outcome = Outcome::Converged;
        }
    }
    let last = newton_step(&state);
    let runs_away = last.as_ref().is_none_or(|step| problem.runs_away(step));
    if let (Some(step), false) = (&last, runs_away) {
        parameters.iter_mut().zip(&step.values).for_each(|(p, s)| *p += s);
    }
    if outcome == Outcome::Converged && runs_away {
        outcome = Outcome::RunsAway;
    }
    let covariance = state.hessian.llt(Side::Lower).ok().map(|factor| factor.inverse());
    let log_likelihood = state.log_likelihood;
    Ok(Solution { parameters, covariance, log_likelihood, iterations, outcome })
}

/// The step to the optimum of the parabola that the state tells, with the least ridge that gives one.
fn newton_step(state: &State) -> Option<Step> {
    RIDGES.into_iter().find_map(|ridge| {
        let factor = if ridge == 0.0 {
            state.hessian.llt(Side::Lower).ok()?
        } else {
            with_ridge(&state.hessian, ridge).llt(Side::Lower).ok()?
        };
        let step = factor.solve(&state.gradient);
        let values = step.col_as_slice(0).to_vec();
        let is_finite = values.iter().all(|v| v.is_finite());
        is_finite.then_some(Step { values, is_damped: ridge > 0.0 })
    })
}

fn with_ridge(hessian: &Mat<f64>, ridge: f64) -> Mat<f64> {
    let mut out = hessian.clone();
    for i in 0..out.nrows() {
        out[(i, i)] *= 1.0 + ridge;
    }
    out
}

impl Problem<'_> {
    fn evaluate(&self, parameters: &[f64], monitor: &Monitor) -> Result<State> {
        let q = self.columns.len();
        let n = self.n_blocks * q;
        let n_rows = self.rows.frame.n_rows;
        let codes = self.rows.target.classes()?;
        let mut state = State {
            log_likelihood: 0.0,
            objective: 0.0,
            gradient: Mat::zeros(n, 1),
            hessian: Mat::zeros(n, n),
        };
        for from in (0..n_rows).step_by(BLOCK_ROWS) {
            monitor.check()?;
            let rows = BLOCK_ROWS.min(n_rows - from);
            let mut x = Mat::<f64>::zeros(rows, q);
            for (j, column) in self.columns.iter().enumerate() {
                self.design.fill_changed(
                    &self.rows.frame,
                    *column,
                    from,
                    self.change,
                    x.col_as_slice_mut(j),
                );
            }
            self.add_block(
                &x,
                parameters,
                &codes[from..from + rows],
                &self.weights[from..from + rows],
                &mut state,
            );
        }
        state.objective = state.log_likelihood;
        for (i, parameter) in parameters.iter().enumerate() {
            let penalty = self.penalty[i % q.max(1)];
            state.objective -= 0.5 * penalty * parameter * parameter;
            state.gradient[(i, 0)] -= penalty * parameter;
            state.hessian[(i, i)] += penalty;
        }
        if self.n_blocks == self.n_classes {
            self.hold_shared(&mut state.hessian);
        }
        Ok(state)
    }

    /// Classes that are treated alike leave one direction of each column to the penalty: the same shift in every
    /// class, which changes no probability. The gradient and every step are at right angles to it, so curvature
    /// that is added there changes no step, but keeps the Hessian regular where the penalty is small or 0.
    fn hold_shared(&self, hessian: &mut Mat<f64>) {
        let q = self.columns.len();
        for j in 0..q {
            let places = || (0..self.n_blocks).map(move |block| block * q + j);
            let sum: f64 = places().map(|i| hessian[(i, i)]).sum();
            let curvature = sum / self.n_blocks as f64;
            for a in places() {
                for b in places() {
                    hessian[(a, b)] += curvature;
                }
            }
        }
    }

    /// Whether a step, behind the deviance's convergence, goes on to infinity. Under a penalty a damped one does not:
    /// what needed the ridge is bounded.
    fn runs_away(&self, step: &Step) -> bool {
        let is_free = self.penalty.iter().all(|p| *p == 0.0);
        (step.is_damped && is_free) || step.values.iter().any(|s| s.abs() > RUNAWAY_STEP)
    }

    fn add_block(
        &self,
        x: &Mat<f64>,
        parameters: &[f64],
        codes: &[u32],
        weights: &[f64],
        state: &mut State,
    ) {
        let q = self.columns.len();
        let rows = codes.len();
        let mut scores = vec![vec![0.0; rows]; self.n_blocks];
        for (scores, block) in scores.iter_mut().zip(parameters.chunks(q.max(1))) {
            for (j, b) in block.iter().enumerate() {
                scores.iter_mut().zip(x.col_as_slice(j)).for_each(|(s, x)| *s += b * x);
            }
        }
        let first_class = self.n_classes - self.n_blocks;
        state.log_likelihood += self.to_probabilities(&mut scores, codes, weights);
        let mut weighted = Mat::<f64>::zeros(rows, q);
        let mut product = Mat::<f64>::zeros(q, q);
        for a in 0..self.n_blocks {
            let class = (a + first_class) as u32;
            let rest: Vec<f64> = (0..rows)
                .map(|i| weights[i] * (f64::from(u8::from(codes[i] == class)) - scores[a][i]))
                .collect();
            for j in 0..q {
                state.gradient[(a * q + j, 0)] +=
                    x.col_as_slice(j).iter().zip(&rest).map(|(x, r)| x * r).sum::<f64>();
            }
            for b in 0..=a {
                let curvature: Vec<f64> = (0..rows)
                    .map(|i| {
                        weights[i] * scores[a][i] * (f64::from(u8::from(a == b)) - scores[b][i])
                    })
                    .collect();
                for j in 0..q {
                    let column = weighted.col_as_slice_mut(j);
                    column
                        .iter_mut()
                        .zip(x.col_as_slice(j))
                        .zip(&curvature)
                        .for_each(|((out, x), c)| *out = x * c);
                }
                matmul(
                    product.as_mut(),
                    Accum::Replace,
                    x.transpose(),
                    weighted.as_ref(),
                    1.0,
                    Par::Seq,
                );
                for j in 0..q {
                    for i in 0..q {
                        state.hessian[(a * q + i, b * q + j)] += product[(i, j)];
                        if a != b {
                            state.hessian[(b * q + j, a * q + i)] += product[(i, j)];
                        }
                    }
                }
            }
        }
    }

    /// Turns scores into the probabilities of their classes, and returns the weighted log-likelihood.
    fn to_probabilities(&self, scores: &mut [Vec<f64>], codes: &[u32], weights: &[f64]) -> f64 {
        let first_class = self.n_classes - self.n_blocks;
        let mut log_likelihood = 0.0;
        for (i, (code, weight)) in codes.iter().zip(weights).enumerate() {
            let own =
                (*code as usize).checked_sub(first_class).map_or(0.0, |block| scores[block][i]);
            let log_total = if self.n_blocks == 1 && first_class == 1 {
                log1p_exp(scores[0][i])
            } else {
                let zero = if first_class > 0 { 0.0 } else { f64::NEG_INFINITY };
                let largest = scores.iter().fold(zero, |m, s| m.max(s[i]));
                let rest = if first_class > 0 { (-largest).exp() } else { 0.0 };
                largest + scores.iter().fold(rest, |sum, s| sum + (s[i] - largest).exp()).ln()
            };
            log_likelihood += weight * (own - log_total);
            scores.iter_mut().for_each(|s| s[i] = (s[i] - log_total).exp());
        }
        log_likelihood
    }
}
