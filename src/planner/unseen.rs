//! What predictions met that training had not: counted while a statement runs, and told at its end.

use super::predict::Question;
use crate::error::Notice;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The levels that one statement's predictions met and no training had.
#[derive(Debug, Default)]
pub struct Unseen(Mutex<BTreeMap<(String, String), HashMap<Question, u64>>>);

impl Unseen {
    /// Counts values of a feature that a question to a model met.
    pub(super) fn add(&self, model: &str, question: &Question, feature: &str, values: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_feature = counts.entry((model.to_owned(), feature.to_owned())).or_default();
        *of_feature.entry(question.clone()).or_default() += values as u64;
    }

    /// The notices about all that was counted, which is then forgotten.
    pub fn take(&self) -> Vec<Notice> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told = counts.into_iter().filter_map(|((model, feature), by_question)| {
            // ml.predict asks for a class and its probability: of the same rows.
            let values = by_question.into_values().max()?;
            let noun = if values == 1 { "value" } else { "values" };
            let text = format!(
                "{values} {noun} of feature \"{feature}\" of model {model} did not occur in its training"
            );
            Some(Notice::notice(text).with_hint(
                "Linear models take the mean of the other levels for them, trees the path of missing values; WITH (unseen = 'error') refuses them.",
            ))
        });
        told.collect()
    }
}
