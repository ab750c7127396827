//! Unpenalised least squares, right to the last digits that the data hold.
//!
//! Columns are scaled by powers of two (exact), reduced to a triangular factor, and solved from it. An estimate of
//! the forward error decides whether that is enough. Where it is not, the normal equations of the independent columns
//! are formed and solved again in double-double arithmetic, whose error is the square of the condition number times
//! 1e-31: so that NIST's Longley, Wampler and Filip come out as certified.

use crate::error::Result;
use crate::ml::estimator::design::{Design, power_of_two_scale};
use crate::ml::estimator::double_double::DoubleDouble;
use crate::ml::estimator::factor::{Reduced, columns_of, reduce, triangular_factor};
use crate::ml::estimator::{RowBlocks, Rows, inference::finite};
use crate::ml::preprocess::BLOCK_ROWS;
use crate::ml::progress::Monitor;

/// Above this estimate of the relative error, the solution is computed again with more digits.
const WANTED_ERROR: f64 = 1e-9;

/// A Gram matrix of fewer products takes milliseconds in double-double arithmetic: those are always solved in it.
const CHEAP: usize = 1_000_000;

/// Unit roundoff of double-double arithmetic, with room for the growth of errors.
const DOUBLE_DOUBLE_ROUNDOFF: f64 = 1e-31;

/// A solved problem.
pub(crate) struct Solution {
    /// A coefficient for each column, `None` where the column depends on earlier ones.
    pub(crate) coefficients: Vec<Option<f64>>,
    /// The diagonal of the inverse of `X'WX`, for the same columns.
    pub(crate) inverse_diagonal: Vec<Option<f64>>,
    /// The weighted sum of squared residuals.
    pub(crate) residual: f64,
    /// The weighted sum of squares of the label around its mean, or around 0 without an intercept.
    pub(crate) total: f64,
    /// Independent columns.
    pub(crate) rank: usize,
    /// The condition number of the independent columns.
    pub(crate) condition: Option<f64>,
    /// An estimate of the relative error of the coefficients, for data taken as exact.
    pub(crate) error: f64,
    /// The sum of the logarithms of the weights, 0 without weights.
    pub(crate) log_weights: f64,
}

/// What is known of the label and the weights before the columns are looked at.
pub(crate) struct Label {
    /// The largest magnitude of the label.
    pub(crate) largest: f64,
    /// The sum of the weights.
    pub(crate) weight: f64,
    /// The sum of their logarithms.
    pub(crate) log_weights: f64,
}

/// Looks at the label and the weights.
pub(crate) fn label(rows: &dyn RowBlocks) -> Result<Label> {
    let mut label = Label { largest: 0.0, weight: 0.0, log_weights: 0.0 };
    rows.for_each(&mut |block| {
        let y = block.target.numbers()?;
        label.largest = y.iter().fold(label.largest, |m, v| m.max(v.abs()));
        label.weight += (0..y.len()).map(|i| block.weight(i)).sum::<f64>();
        label.log_weights += block.weights.map_or(0.0, |w| w.iter().map(|w| w.ln()).sum::<f64>());
        Ok(())
    })?;
    Ok(label)
}

/// The weighted sum of the scaled label above `centre`.
pub(crate) fn label_sum(rows: &dyn RowBlocks, scale: f64, centre: f64) -> Result<f64> {
    let mut sum = 0.0;
    rows.for_each(&mut |block| {
        let y = block.target.numbers()?.iter().enumerate();
        sum += y.map(|(i, y)| block.weight(i) * (y * scale - centre)).sum::<f64>();
        Ok(())
    })?;
    Ok(sum)
}

/// Solves for the design's columns.
pub(crate) fn solve(
    design: &Design<'_>,
    rows: &dyn RowBlocks,
    monitor: &Monitor,
) -> Result<Solution> {
    let scales: Vec<f64> = design.largest(rows)?.into_iter().map(power_of_two_scale).collect();
    let label = label(rows)?;
    let y_scale = power_of_two_scale(label.largest);
    let n_terms = design.n_terms();
    let fill_scaled = |block: &Rows<'_>, column: usize, out: &mut [f64]| {
        if column < n_terms {
            design.fill(&block.frame, column, 0, out);
            out.iter_mut().for_each(|v| *v *= scales[column]);
        } else if let Ok(y) = block.target.numbers() {
            out.iter_mut().zip(y).for_each(|(out, y)| *out = y * y_scale);
        }
    };
    let factor = triangular_factor(rows, n_terms + 1, monitor, |block, column, out| {
        fill_scaled(block, column, out);
        if let Some(weights) = block.weights {
            out.iter_mut().zip(weights).for_each(|(out, w)| *out *= w.sqrt());
        }
    })?;
    let reduced = reduce(&columns_of(&factor), monitor)?;
    let inverse = reduced.inverse(monitor)?;
    let mut scaled = Scaled {
        coefficients: reduced.solve(),
        inverse_diagonal: Reduced::inverse_gram_diagonal(&inverse),
        residual: reduced.residual,
        total: total_sum_of_squares(design.has_intercept(), rows, label.weight, y_scale)?,
        error: 0.0,
    };
    let condition = reduced.scaled_condition(&inverse);
    let relative = relative_error(&reduced, &scaled, condition, rows.n_rows());
    scaled.error = 2.0 * f64::EPSILON * relative;
    let cheap = rows.n_rows().saturating_mul(n_terms * n_terms) < CHEAP;
    if (cheap || scaled.error > WANTED_ERROR)
        && let Some(mut refined) =
            solve_in_double_double(&reduced, n_terms, rows, monitor, &fill_scaled)?
    {
        refined.error = f64::EPSILON + DOUBLE_DOUBLE_ROUNDOFF * condition * relative;
        if !design.has_intercept() {
            refined.total = scaled.total;
        }
        scaled = refined;
    }
    let condition = reduced.condition(&scales, monitor)?;
    let solution = scaled.unscale(&reduced, &scales, y_scale);
    Ok(Solution { condition, log_weights: label.log_weights, ..solution })
}

/// A solution for the kept columns in scaled units.
struct Scaled {
    coefficients: Vec<f64>,
    inverse_diagonal: Vec<f64>,
    residual: f64,
    total: f64,
    error: f64,
}

impl Scaled {
    /// In the units of the data; what the weights alone decide is left out.
    fn unscale(self, reduced: &Reduced, scales: &[f64], y_scale: f64) -> Solution {
        let mut coefficients = vec![None; scales.len()];
        let mut inverse_diagonal = vec![None; scales.len()];
        for (i, column) in reduced.kept.iter().enumerate() {
            let scale = scales[*column];
            coefficients[*column] = finite(self.coefficients[i] * scale / y_scale);
            inverse_diagonal[*column] = finite(self.inverse_diagonal[i] * scale * scale);
        }
        Solution {
            coefficients,
            inverse_diagonal,
            residual: self.residual / y_scale / y_scale,
            total: self.total / y_scale / y_scale,
            rank: reduced.kept.len(),
            condition: None,
            error: self.error,
            log_weights: 0.0,
        }
    }
}

/// The largest relative error of a coefficient for a relative error of 1 in the data, to first order (Higham, Accuracy
/// and Stability of Numerical Algorithms, section 20.1): `√(G⁻¹)ⱼⱼ (Σ‖xₖ‖|bₖ| + κ‖r‖) / |bⱼ|`. A coefficient that is
/// small against its standard error is measured against a tenth of that instead.
fn relative_error(reduced: &Reduced, scaled: &Scaled, condition: f64, n_rows: usize) -> f64 {
    let norms = reduced.r.iter().map(|column| column.iter().map(|v| v * v).sum::<f64>().sqrt());
    let size: f64 = norms.zip(&scaled.coefficients).map(|(norm, b)| norm * b.abs()).sum();
    let df = n_rows.saturating_sub(reduced.kept.len()).max(1);
    let sigma = (scaled.residual / df as f64).sqrt();
    let reach = size + condition * scaled.residual.sqrt();
    let errors = scaled.coefficients.iter().zip(&scaled.inverse_diagonal).map(|(b, diagonal)| {
        let spread = diagonal.sqrt();
        let unit = b.abs() + spread * (0.1 * sigma + 1e-9 * reach);
        if unit > 0.0 { spread * reach / unit } else { 0.0 }
    });
    errors.fold(0.0, f64::max)
}

fn total_sum_of_squares(
    has_intercept: bool,
    rows: &dyn RowBlocks,
    weight: f64,
    y_scale: f64,
) -> Result<f64> {
    let mean = if has_intercept {
        let first = label_sum(rows, y_scale, 0.0)? / weight;
        first + label_sum(rows, y_scale, first)? / weight
    } else {
        0.0
    };
    let mut squares = 0.0;
    rows.for_each(&mut |block| {
        let y = block.target.numbers()?.iter().enumerate();
        squares += y.map(|(i, y)| block.weight(i) * (y * y_scale - mean).powi(2)).sum::<f64>();
        Ok(())
    })?;
    Ok(squares)
}

/// The normal equations of the kept columns in double-double arithmetic. `None` where even that has no digits left.
fn solve_in_double_double(
    reduced: &Reduced,
    label_column: usize,
    rows: &dyn RowBlocks,
    monitor: &Monitor,
    fill: &impl Fn(&Rows<'_>, usize, &mut [f64]),
) -> Result<Option<Scaled>> {
    let n = reduced.kept.len();
    let columns: Vec<usize> = reduced.kept.iter().copied().chain([label_column]).collect();
    let gram = gram_in_double_double(&columns, rows, monitor, fill)?;
    let Some(factor) = cholesky(&gram, n, monitor)? else { return Ok(None) };
    // Forward: L z = X'y; the label's own row gives the residual.
    let mut z: Vec<DoubleDouble> = Vec::with_capacity(n);
    for i in 0..n {
        let mut value = gram[n][i];
        for k in 0..i {
            value = value - factor[i][k] * z[k];
        }
        z.push(value / factor[i][i]);
    }
    let residual = z.iter().fold(gram[n][n], |rest, z| rest - *z * *z).to_f64().max(0.0);
    let mut b = z;
    for i in (0..n).rev() {
        let mut value = b[i];
        for k in i + 1..n {
            value = value - factor[k][i] * b[k];
        }
        b[i] = value / factor[i][i];
    }
    // With an intercept the first column is constant, and this is the sum of squares around the mean.
    let total = (gram[n][n] - gram[n][0] * gram[n][0] / gram[0][0]).to_f64().max(0.0);
    Ok(Some(Scaled {
        coefficients: b.iter().map(|v| v.to_f64()).collect(),
        inverse_diagonal: inverse_diagonal(&factor, n, monitor)?,
        residual,
        total,
        error: 0.0,
    }))
}

fn gram_in_double_double(
    columns: &[usize],
    rows: &dyn RowBlocks,
    monitor: &Monitor,
    fill: &impl Fn(&Rows<'_>, usize, &mut [f64]),
) -> Result<Vec<Vec<DoubleDouble>>> {
    let mut gram: Vec<Vec<DoubleDouble>> =
        (0..columns.len()).map(|i| vec![DoubleDouble::ZERO; i + 1]).collect();
    let mut values = vec![vec![0.0; BLOCK_ROWS]; columns.len()];
    rows.for_each(&mut |block| {
        let n = block.frame.n_rows;
        for (values, column) in values.iter_mut().zip(columns) {
            fill(block, *column, &mut values[..n]);
        }
        for i in 0..columns.len() {
            monitor.check()?;
            for j in 0..=i {
                let mut sum = DoubleDouble::ZERO;
                for row in 0..n {
                    let product = DoubleDouble::product(values[i][row], values[j][row]);
                    sum += match block.weights {
                        Some(weights) => product * DoubleDouble::from(weights[row]),
                        None => product,
                    };
                }
                gram[i][j] += sum;
            }
        }
        Ok(())
    })?;
    Ok(gram)
}

/// The lower triangle `L` with `L L' =` the first `n` rows and columns of `gram`; `None` if a pivot is not positive.
fn cholesky(
    gram: &[Vec<DoubleDouble>],
    n: usize,
    monitor: &Monitor,
) -> Result<Option<Vec<Vec<DoubleDouble>>>> {
    let mut l: Vec<Vec<DoubleDouble>> = Vec::with_capacity(n);
    for (i, gram) in gram.iter().enumerate().take(n) {
        monitor.check()?;
        let mut row: Vec<DoubleDouble> = Vec::with_capacity(i + 1);
        for j in 0..i {
            let mut value = gram[j];
            for k in 0..j {
                value = value - row[k] * l[j][k];
            }
            row.push(value / l[j][j]);
        }
        let pivot = row.iter().fold(gram[i], |rest, v| rest - *v * *v);
        if pivot.hi <= gram[i].hi * 1e-29 {
            return Ok(None);
        }
        row.push(pivot.sqrt());
        l.push(row);
    }
    Ok(Some(l))
}

/// The diagonal of the inverse of `L L'`.
fn inverse_diagonal(l: &[Vec<DoubleDouble>], n: usize, monitor: &Monitor) -> Result<Vec<f64>> {
    let mut diagonal = vec![DoubleDouble::ZERO; n];
    for j in 0..n {
        monitor.check()?;
        // Column j of the inverse of L.
        let mut x = vec![DoubleDouble::ZERO; n];
        x[j] = DoubleDouble::from(1.0) / l[j][j];
        for i in j + 1..n {
            let mut value = DoubleDouble::ZERO;
            for k in j..i {
                value = value - l[i][k] * x[k];
            }
            x[i] = value / l[i][i];
        }
        diagonal[j] = x[j..].iter().fold(DoubleDouble::ZERO, |sum, v| sum + *v * *v);
    }
    Ok(diagonal.into_iter().map(DoubleDouble::to_f64).collect())
}
