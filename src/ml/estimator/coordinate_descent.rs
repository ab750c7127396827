//! Lasso and elastic net from inner products alone (Friedman, Hastie, Tibshirani, 2010, "covariance updates").

use crate::error::Result;
use crate::ml::progress::Monitor;

/// Minimises `‖y − Xb‖² + l1·Σ|b| + Σ l2[j]·b[j]²`, given the columns of `X'X` and `X'y`.
/// Returns the coefficients and whether the largest change of a sweep, against the size of `y` (`y_norm`), fell below
/// the tolerance.
pub(crate) fn solve(
    gram: &[Vec<f64>],
    moments: &[f64],
    (l1, l2): (f64, &[f64]),
    (max_iterations, tolerance, y_norm): (usize, f64, f64),
    monitor: &Monitor,
) -> Result<(Vec<f64>, bool)> {
    let n = moments.len();
    let mut b = vec![0.0; n];
    // X'(y - Xb), kept up to date.
    let mut rest = moments.to_vec();
    for sweep in 0..max_iterations {
        if sweep % 64 == 0 {
            monitor.step(sweep as u64, max_iterations as u64, None)?;
        }
        let mut largest = 0.0f64;
        for j in 0..n {
            let own = gram[j][j];
            if own == 0.0 {
                continue;
            }
            let target = rest[j] + own * b[j];
            let shrunk = target.signum() * (target.abs() - l1 / 2.0).max(0.0) / (own + l2[j]);
            let change = shrunk - b[j];
            if change != 0.0 {
                b[j] = shrunk;
                rest.iter_mut().zip(&gram[j]).for_each(|(r, g)| *r -= g * change);
                largest = largest.max(change.abs() * own.sqrt());
            }
        }
        if largest <= tolerance * y_norm {
            return Ok((b, true));
        }
    }
    Ok((b, false))
}
