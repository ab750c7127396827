//! Models as files: exact round trips, and files that are damaged on purpose.

use super::*;
use crate::ml::{Artifact, content_hash, from_parts, to_parts};
use crate::sqlstate::SqlState;

/// One model of each kind, and columns to predict.
fn models() -> Vec<(Trained, Vec<Column>)> {
    let n = 300;
    let columns = |label: Column| {
        vec![
            numbers("x", (0..n).map(|i| f64::from(i % 13) * 0.7)),
            texts("t", (0..n).map(|i| ["red", "green", "blue"].get(i as usize % 4).copied())),
            label,
        ]
    };
    let number =
        || columns(numbers("y", (0..n).map(|i| f64::from(i % 13) + f64::from(i % 4 * i % 5))));
    let class = || columns(integers("y", (0..n).map(|i| i64::from(i % 13 * (i % 4) % 3))));
    let truth = || columns(truths("y", (0..n).map(|i| Some(i % 13 + i % 4 > 7))));
    vec![
        (trained(number(), Algorithm::LinearRegression, "y", &[]), number()),
        (trained(class(), Algorithm::LogisticRegression, "y", &["l2 = 1"]), class()),
        (trained(number(), Algorithm::GradientBoosting, "y", &["rounds = 5"]), number()),
        (
            trained(
                class(),
                Algorithm::GradientBoosting,
                "y",
                &["task = classification", "rounds = 5"],
            ),
            class(),
        ),
        (
            trained(truth(), Algorithm::GradientBoosting, "y", &["rounds = 5", "max_depth = 12"]),
            truth(),
        ),
    ]
}

#[test]
fn a_model_survives_its_files_bit_for_bit() {
    for (trained, columns) in models() {
        let artifact = to_parts(&trained.model).unwrap();
        let back = from_parts(&artifact.json, &artifact.tensors).unwrap();
        let again = to_parts(&back).unwrap();
        assert_eq!(artifact, again);
        assert_eq!(content_hash(&artifact), content_hash(&again));
        let bits = |model: &Model| {
            predict(model, &columns).into_iter().map(f64::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&trained.model), bits(&back));
        assert_eq!(trained.model.weights().unwrap(), back.weights().unwrap());
        assert_eq!(trained.model.metrics().unwrap(), back.metrics().unwrap());
        assert_eq!(trained.model.fit_statistics().unwrap(), back.fit_statistics().unwrap());
        assert_eq!(trained.model.prediction_type(), back.prediction_type());
    }
}

/// Reads damaged files: an error, or a model that predicts without a panic.
fn survive(artifact: &Artifact, columns: &[Column]) {
    match from_parts(&artifact.json, &artifact.tensors) {
        Err(error) => assert!(
            [SqlState::DataCorrupted, SqlState::FeatureNotSupported].contains(&error.code()),
            "{:?} {}",
            error.code(),
            error.message()
        ),
        Ok(model) => {
            let data = batch(columns.to_vec());
            if let Ok(positions) = model.signature().resolve(&data.schema()) {
                let columns: Vec<ArrayRef> =
                    positions.iter().map(|i| Arc::clone(data.column(*i))).collect();
                let _ = model
                    .predict(&columns, data.num_rows())
                    .and_then(|p| p.values(&model.prediction_type()));
            }
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let mut state = 11u64;
    let mut draw = move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    for (trained, columns) in models() {
        let whole = to_parts(&trained.model).unwrap();
        for round in 0..400 {
            let mut damaged = whole.clone();
            let file = if round % 2 == 0 { &mut damaged.json } else { &mut damaged.tensors };
            match round % 6 {
                0 | 1 => file.truncate(draw(file.len())),
                2 | 3 => {
                    let at = draw(file.len());
                    file[at] ^= 1 << draw(8);
                }
                _ => {
                    let (from, to) = (draw(file.len()), draw(file.len()));
                    file[to] = file[from];
                    let at = draw(file.len().min(4000));
                    file[at] = draw(256) as u8;
                }
            }
            survive(&damaged, &columns);
        }
        survive(&Artifact { json: whole.tensors.clone(), tensors: whole.json.clone() }, &columns);
        survive(&Artifact { json: Vec::new(), tensors: Vec::new() }, &columns);
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let (trained, _) = models().remove(0);
    let mut artifact = to_parts(&trained.model).unwrap();
    let text = String::from_utf8(artifact.json)
        .unwrap()
        .replace("\"format_version\": 1", "\"format_version\": 2");
    artifact.json = text.into_bytes();
    let error = from_parts(&artifact.json, &artifact.tensors).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
}
