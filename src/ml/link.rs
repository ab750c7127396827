//! From scores to predictions: the identity for numbers, the logistic function and softmax for classes.

/// How scores become predictions. Scores are stored output by output: score `k` of row `i` is at `k * n_rows + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// One score, the predicted number.
    Identity,
    /// One score, the log-odds of the second class.
    Logistic,
    /// One score a class.
    Softmax,
    /// One score for each class but the first, whose score is 0.
    SoftmaxReference,
}

impl Link {
    /// Scores a row needs, for `n_classes` classes (0 for a regression).
    pub(crate) fn n_scores(self, n_classes: usize) -> usize {
        match self {
            Link::Identity | Link::Logistic => 1,
            Link::Softmax => n_classes,
            Link::SoftmaxReference => n_classes.saturating_sub(1),
        }
    }

    /// The name stored in the artefact.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Link::Identity => "identity",
            Link::Logistic => "logistic",
            Link::Softmax => "softmax",
            Link::SoftmaxReference => "softmax_reference",
        }
    }

    /// The link of a name written by [`Link::name`].
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Link::Identity, Link::Logistic, Link::Softmax, Link::SoftmaxReference]
            .into_iter()
            .find(|l| l.name() == name)
    }

    /// Probabilities, class by class: that of class `k` for row `i` is at `k * n_rows + i`.
    pub(crate) fn probabilities(
        self,
        scores: Vec<f64>,
        n_rows: usize,
        n_classes: usize,
    ) -> Vec<f64> {
        match self {
            Link::Identity => scores,
            Link::Logistic => {
                let mut result = vec![0.0; 2 * n_rows];
                let (first, second) = result.split_at_mut(n_rows);
                for ((p0, p1), score) in first.iter_mut().zip(second).zip(&scores) {
                    *p1 = logistic(*score);
                    *p0 = logistic(-score);
                }
                result
            }
            Link::Softmax => softmax(scores, n_rows, n_classes),
            Link::SoftmaxReference => {
                let mut all = vec![0.0; n_rows];
                all.extend_from_slice(&scores);
                softmax(all, n_rows, n_classes)
            }
        }
    }
}

/// 1 / (1 + exp(-x)) without overflow.
#[inline]
pub(crate) fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// log(1 + exp(x)) without overflow.
#[inline]
pub(crate) fn log1p_exp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn softmax(mut scores: Vec<f64>, n_rows: usize, n_classes: usize) -> Vec<f64> {
    let mut largest = scores[..n_rows].to_vec();
    for class in scores.chunks(n_rows.max(1)).skip(1) {
        largest.iter_mut().zip(class).for_each(|(m, s)| *m = m.max(*s));
    }
    let mut totals = vec![0.0; n_rows];
    for k in 0..n_classes {
        let class = &mut scores[k * n_rows..(k + 1) * n_rows];
        for ((score, largest), total) in class.iter_mut().zip(&largest).zip(&mut totals) {
            *score = (*score - largest).exp();
            *total += *score;
        }
    }
    for k in 0..n_classes {
        let class = &mut scores[k * n_rows..(k + 1) * n_rows];
        class.iter_mut().zip(&totals).for_each(|(score, total)| *score /= total);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_scores_stay_finite() {
        let p = Link::Logistic.probabilities(vec![1000.0, -1000.0], 2, 2);
        assert_eq!(p, vec![0.0, 1.0, 1.0, 0.0]);
        let p = Link::Softmax.probabilities(vec![1e308, 0.0, -1e308], 1, 3);
        assert_eq!(p, vec![1.0, 0.0, 0.0]);
        assert_eq!(log1p_exp(800.0), 800.0);
    }
}
