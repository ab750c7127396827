//! Triangular factors of tall matrices, block by block, and what follows from a factor alone.
//!
//! `X = QR` is computed without `X` in memory: the factor of the rows so far is stacked on the next 4,096 rows and
//! factored again (TSQR; Demmel, Grigori, Hoemmen, Langou, 2012). Blocks are counted by row and folded from left to
//! right in one thread, so the bits do not depend on threads or batches. The label is the last column, so that the
//! factor also holds `Q'y` and the norm of the residual.

use crate::error::Result;
use crate::ml::estimator::{RowBlocks, Rows};
use crate::ml::preprocess::BLOCK_ROWS;
use crate::ml::progress::Monitor;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::{Mat, Par};

/// Below this share of its norm, what a column adds to the columns before it counts as nothing.
const RANK_TOLERANCE: f64 = 1e-12;

/// The upper triangular factor of the rows' `n_columns` columns, which `fill(block, column, out)` writes.
pub(crate) fn triangular_factor(
    rows: &dyn RowBlocks,
    n_columns: usize,
    monitor: &Monitor,
    mut fill: impl FnMut(&Rows<'_>, usize, &mut [f64]),
) -> Result<Mat<f64>> {
    let n_rows = rows.n_rows();
    let height = n_columns + BLOCK_ROWS.min(n_rows.max(1));
    let block_size = qr::recommended_block_size::<f64>(height, n_columns);
    let mut coefficients = Mat::<f64>::zeros(block_size, n_columns);
    let mut memory = MemBuffer::new(qr::qr_in_place_scratch::<f64>(
        height,
        n_columns,
        block_size,
        Par::Seq,
        Default::default(),
    ));
    let mut stack = Mat::<f64>::zeros(height, n_columns);
    rows.for_each(&mut |block| {
        monitor.check()?;
        for column in 0..n_columns {
            let values = stack.col_as_slice_mut(column);
            values[column + 1..].fill(0.0);
            fill(block, column, &mut values[n_columns..n_columns + block.frame.n_rows]);
        }
        qr::qr_in_place(
            stack.as_mut(),
            coefficients.as_mut(),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        );
        Ok(())
    })?;
    Ok(Mat::from_fn(n_columns, n_columns, |i, j| if i <= j { stack[(i, j)] } else { 0.0 }))
}

/// A least-squares problem reduced to its independent columns.
pub(crate) struct Reduced {
    /// The independent columns, in order.
    pub(crate) kept: Vec<usize>,
    /// Their triangular factor with a positive diagonal, column by column: `r[j][i]` for `i <= j`.
    pub(crate) r: Vec<Vec<f64>>,
    /// The label in the basis of the kept columns.
    pub(crate) rotated: Vec<f64>,
    /// The squared norm of what the columns do not explain.
    pub(crate) residual: f64,
}

/// Finds the columns that do not depend on earlier ones. `columns` are those of a factor (or anything of the same
/// inner products); the last one is the label. Gram-Schmidt, twice (Giraud, Langou, Rozložník, 2005).
pub(crate) fn reduce(columns: &[Vec<f64>]) -> Reduced {
    let n = columns.len() - 1;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut reduced =
        Reduced { kept: Vec::new(), r: Vec::new(), rotated: Vec::new(), residual: 0.0 };
    for (j, column) in columns[..n].iter().enumerate() {
        let norm = norm(column);
        let (mut rest, mut coefficients) = project(column, &basis);
        let rest_norm = self::norm(&rest);
        if norm == 0.0 || rest_norm <= RANK_TOLERANCE * norm {
            continue;
        }
        rest.iter_mut().for_each(|v| *v /= rest_norm);
        coefficients.push(rest_norm);
        basis.push(rest);
        reduced.kept.push(j);
        reduced.r.push(coefficients);
    }
    let (rest, rotated) = project(&columns[n], &basis);
    reduced.rotated = rotated;
    reduced.residual = rest.iter().map(|v| v * v).sum();
    reduced
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn project(vector: &[f64], basis: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let mut rest = vector.to_vec();
    let mut coefficients = vec![0.0; basis.len()];
    for _ in 0..2 {
        for (coefficient, direction) in coefficients.iter_mut().zip(basis) {
            let share = dot(&rest, direction);
            *coefficient += share;
            rest.iter_mut().zip(direction).for_each(|(r, d)| *r -= share * d);
        }
    }
    (rest, coefficients)
}

/// The columns of an upper triangular matrix.
pub(crate) fn columns_of(matrix: &Mat<f64>) -> Vec<Vec<f64>> {
    (0..matrix.ncols()).map(|j| matrix.col_as_slice(j).to_vec()).collect()
}

impl Reduced {
    /// Solves for the kept columns' coefficients.
    pub(crate) fn solve(&self) -> Vec<f64> {
        let n = self.kept.len();
        let mut x = self.rotated.clone();
        for j in (0..n).rev() {
            x[j] /= self.r[j][j];
            let value = x[j];
            x[..j].iter_mut().zip(&self.r[j]).for_each(|(x, r)| *x -= r * value);
        }
        x
    }

    /// The inverse of the factor: `inverse[j][i]` for `i <= j`.
    pub(crate) fn inverse(&self) -> Vec<Vec<f64>> {
        let n = self.kept.len();
        (0..n)
            .map(|j| {
                let mut x = vec![0.0; j + 1];
                x[j] = 1.0;
                for k in (0..=j).rev() {
                    x[k] /= self.r[k][k];
                    let value = x[k];
                    x[..k].iter_mut().zip(&self.r[k]).for_each(|(x, r)| *x -= r * value);
                }
                x
            })
            .collect()
    }

    /// The diagonal of the inverse of `X'X`.
    pub(crate) fn inverse_gram_diagonal(&self) -> Vec<f64> {
        let inverse = self.inverse();
        (0..inverse.len())
            .map(|i| inverse[i..].iter().map(|column| column[i] * column[i]).sum())
            .collect()
    }

    /// The condition number (Frobenius norms) of the matrix with columns scaled to norm 1, an upper bound of the
    /// smallest that scaling can reach up to a factor of its width.
    pub(crate) fn scaled_condition(&self) -> f64 {
        let norms: Vec<f64> = self.r.iter().map(|column| norm(column)).collect();
        let inverse = self.inverse();
        let total: f64 = inverse
            .iter()
            .map(|column| {
                column.iter().zip(&norms).map(|(v, norm)| (v * norm) * (v * norm)).sum::<f64>()
            })
            .sum();
        (total * norms.len() as f64).sqrt()
    }

    /// The condition number in the 2-norm of the kept columns divided by `scales`: of the matrix as given.
    pub(crate) fn condition(&self, scales: &[f64]) -> Option<f64> {
        let n = self.kept.len();
        if n == 0 {
            return None;
        }
        let matrix =
            Mat::from_fn(
                n,
                n,
                |i, j| if i <= j { self.r[j][i] / scales[self.kept[j]] } else { 0.0 },
            );
        let values = matrix.singular_values().ok()?;
        let condition = values.first()? / values.last()?;
        condition.is_finite().then_some(condition)
    }
}
