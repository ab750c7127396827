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
use faer::linalg::householder;
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::reborrow::{Reborrow, ReborrowMut};
use faer::{Conj, Mat, MatMut, Par};

/// Below this share of its norm, what a column adds to the columns before it counts as nothing.
const RANK_TOLERANCE: f64 = 1e-12;

/// Columns that are factored between two looks at the monitor: a fraction of a second's work.
const PANEL_COLUMNS: usize = 128;

/// Columns behind a panel that are brought up to it between two looks.
const TRAILING_COLUMNS: usize = 512;

/// The upper triangular factor of the rows' `n_columns` columns, which `fill(block, column, out)` writes.
pub(crate) fn triangular_factor(
    rows: &dyn RowBlocks,
    n_columns: usize,
    monitor: &Monitor,
    mut fill: impl FnMut(&Rows<'_>, usize, &mut [f64]),
) -> Result<Mat<f64>> {
    let n_rows = rows.n_rows();
    let height = n_columns + BLOCK_ROWS.min(n_rows.max(1));
    let mut panels = Panels::new(height, n_columns);
    let mut stack = Mat::<f64>::zeros(height, n_columns);
    rows.for_each(&mut |block| {
        for column in 0..n_columns {
            let values = stack.col_as_slice_mut(column);
            values[column + 1..].fill(0.0);
            fill(block, column, &mut values[n_columns..n_columns + block.frame.n_rows]);
        }
        panels.factor(stack.as_mut(), monitor)
    })?;
    Ok(Mat::from_fn(n_columns, n_columns, |i, j| if i <= j { stack[(i, j)] } else { 0.0 }))
}

/// Factors matrices of one shape panel by panel, so that wide ones can be stopped in between.
struct Panels {
    coefficients: Mat<f64>,
    memory: MemBuffer,
}

impl Panels {
    fn new(height: usize, n_columns: usize) -> Self {
        let width = PANEL_COLUMNS.min(n_columns);
        let block_size = qr::recommended_block_size::<f64>(height, width);
        let factoring =
            qr::qr_in_place_scratch::<f64>(height, width, block_size, Par::Seq, Default::default());
        let applying =
            householder::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<
                f64,
            >(height, block_size, TRAILING_COLUMNS.min(n_columns));
        let memory = MemBuffer::new(factoring.or(applying));
        Self { coefficients: Mat::zeros(block_size, width), memory }
    }

    /// Leaves the triangular factor in the upper triangle.
    fn factor(&mut self, mut matrix: MatMut<'_, f64>, monitor: &Monitor) -> Result<()> {
        let (height, n_columns) = matrix.shape();
        for first in (0..n_columns).step_by(PANEL_COLUMNS) {
            monitor.check()?;
            let width = PANEL_COLUMNS.min(n_columns - first);
            let below =
                matrix.rb_mut().submatrix_mut(first, first, height - first, n_columns - first);
            let (mut panel, mut trailing) = below.split_at_col_mut(width);
            let mut coefficients = self.coefficients.as_mut().subcols_mut(0, width);
            let memory = MemStack::new(&mut self.memory);
            qr::qr_in_place(
                panel.rb_mut(),
                coefficients.rb_mut(),
                Par::Seq,
                memory,
                Default::default(),
            );
            for next in (0..trailing.ncols()).step_by(TRAILING_COLUMNS) {
                monitor.check()?;
                let width = TRAILING_COLUMNS.min(trailing.ncols() - next);
                let columns = trailing.rb_mut().subcols_mut(next, width);
                householder::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
                    panel.rb(),
                    coefficients.rb(),
                    Conj::No,
                    columns,
                    Par::Seq,
                    MemStack::new(&mut self.memory),
                );
            }
        }
        Ok(())
    }
}

/// Singular values of matrices up to this width take a fraction of a second.
const DECOMPOSED_COLUMNS: usize = 384;

/// Steps of the power method at most.
const POWER_STEPS_MAX: usize = 300;

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
pub(crate) fn reduce(columns: &[Vec<f64>], monitor: &Monitor) -> Result<Reduced> {
    let n = columns.len() - 1;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut reduced =
        Reduced { kept: Vec::new(), r: Vec::new(), rotated: Vec::new(), residual: 0.0 };
    for (j, column) in columns[..n].iter().enumerate() {
        monitor.check()?;
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
    Ok(reduced)
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
    pub(crate) fn inverse(&self, monitor: &Monitor) -> Result<Vec<Vec<f64>>> {
        let n = self.kept.len();
        (0..n)
            .map(|j| {
                monitor.check()?;
                let mut x = vec![0.0; j + 1];
                x[j] = 1.0;
                for k in (0..=j).rev() {
                    x[k] /= self.r[k][k];
                    let value = x[k];
                    x[..k].iter_mut().zip(&self.r[k]).for_each(|(x, r)| *x -= r * value);
                }
                Ok(x)
            })
            .collect()
    }

    /// The diagonal of the inverse of `X'X`, from the factor's inverse.
    pub(crate) fn inverse_gram_diagonal(inverse: &[Vec<f64>]) -> Vec<f64> {
        (0..inverse.len())
            .map(|i| inverse[i..].iter().map(|column| column[i] * column[i]).sum())
            .collect()
    }

    /// The condition number (Frobenius norms) of the matrix with columns scaled to norm 1, an upper bound of the
    /// smallest that scaling can reach up to a factor of its width; from the factor's inverse.
    pub(crate) fn scaled_condition(&self, inverse: &[Vec<f64>]) -> f64 {
        let norms: Vec<f64> = self.r.iter().map(|column| norm(column)).collect();
        let total: f64 = inverse
            .iter()
            .map(|column| {
                column.iter().zip(&norms).map(|(v, norm)| (v * norm) * (v * norm)).sum::<f64>()
            })
            .sum();
        (total * norms.len() as f64).sqrt()
    }

    /// The condition number in the 2-norm of the kept columns divided by `scales`: of the matrix as given. That of
    /// many columns is estimated from below.
    pub(crate) fn condition(&self, scales: &[f64], monitor: &Monitor) -> Result<Option<f64>> {
        let columns = self.r.iter().zip(&self.kept);
        let columns: Vec<Vec<f64>> = columns
            .map(|(column, kept)| column.iter().map(|v| v / scales[*kept]).collect())
            .collect();
        let n = columns.len();
        let condition = if n <= DECOMPOSED_COLUMNS {
            let matrix = Mat::from_fn(n, n, |i, j| if i <= j { columns[j][i] } else { 0.0 });
            let values = matrix.singular_values().ok();
            values.and_then(|values| Some(values.first()? / values.last()?))
        } else {
            Some(estimated_condition(&columns, monitor)?)
        };
        Ok(condition.filter(|c| c.is_finite()))
    }
}

/// The largest singular value of an upper triangular matrix by the power method, over the smallest by that of its
/// inverse (Golub and Van Loan, Matrix Computations, section 8.2).
fn estimated_condition(columns: &[Vec<f64>], monitor: &Monitor) -> Result<f64> {
    let n = columns.len();
    let grow = |step: &dyn Fn(&mut Vec<f64>)| {
        let mut vector = vec![1.0 / (n as f64).sqrt(); n];
        let mut growth = 0.0;
        for _ in 0..POWER_STEPS_MAX {
            monitor.check()?;
            step(&mut vector);
            let (before, now) = (growth, norm(&vector));
            growth = now;
            vector.iter_mut().for_each(|v| *v /= now);
            if (now - before).abs() <= 1e-6 * now {
                break;
            }
        }
        Ok::<f64, crate::error::Error>(growth.sqrt())
    };
    let largest = grow(&|x| {
        let mut product = vec![0.0; n];
        for (column, x) in columns.iter().zip(x.iter()) {
            product.iter_mut().zip(column).for_each(|(p, r)| *p += r * x);
        }
        x.iter_mut().zip(columns).for_each(|(x, column)| *x = dot(column, &product));
    })?;
    let of_inverse = grow(&|x| {
        for (j, column) in columns.iter().enumerate() {
            x[j] = (x[j] - dot(&column[..j], x)) / column[j];
        }
        for (j, column) in columns.iter().enumerate().rev() {
            x[j] /= column[j];
            let value = x[j];
            x[..j].iter_mut().zip(column).for_each(|(x, r)| *x -= r * value);
        }
    })?;
    Ok(largest * of_inverse)
}
