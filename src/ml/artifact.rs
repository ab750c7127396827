//! A model as two files: `model.json` (what it is) and `model.safetensors` (every number array, trees included).
//!
//! The bytes depend on the model alone: no times, run ids or version numbers, so that [`content_hash`] tells whether
//! two trainings gave the same model. Reading trusts nothing: every length, position and name is checked, and a
//! damaged or hostile file is an error (XX001), never a panic.

use crate::error::{Error, Result};
use crate::format::{EncodeSettings, text_value};
use crate::ml::algorithm::{Algorithm, Task};
use crate::ml::canonical::HASH_VERSION;
use crate::ml::dataset::Nulls;
use crate::ml::estimator::{Body, STATISTICS, Weight};
use crate::ml::evaluation::{Confusion, Evaluation, metric_names};
use crate::ml::forest::{Forest, Nodes};
use crate::ml::linear::{Effect, Linear};
use crate::ml::link::Link;
use crate::ml::model::{Label, Model};
use crate::ml::preprocess::{Fitted, Levels, Preprocessor};
use crate::ml::signature::{Feature, FeatureKind, Signature};
use crate::ml::tensors::{TensorReader, TensorWriter};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

/// Version of both files' layout. A file of another one is refused.
const FORMAT_VERSION: u32 = 1;

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// `model.json`.
    pub json: Vec<u8>,
    /// `model.safetensors`.
    pub tensors: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    format_version: u32,
    /// Abilities that a reader must have.
    needs: Vec<String>,
    engine: String,
    row_hash_version: u32,
    algorithm: String,
    task: String,
    link: String,
    label: String,
    label_type: String,
    class_type: Option<String>,
    classes: Option<Vec<String>>,
    features: Vec<FeatureDocument>,
    nulls: String,
    refuse_unseen: bool,
    options: Vec<(String, String)>,
    weights: Vec<(String, Option<String>, Option<String>)>,
    evaluations: Vec<EvaluationDocument>,
    n_rows: u64,
}

#[derive(Serialize, Deserialize)]
struct FeatureDocument {
    name: String,
    kind: String,
    data_type: String,
    levels: Option<Vec<String>>,
    null_level: bool,
    other_level: bool,
}

#[derive(Serialize, Deserialize)]
struct EvaluationDocument {
    split: String,
    n_rows: u64,
    confusion: Vec<(String, String, u64)>,
}

/// The error for a file that is not what it should be.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(SqlState::DataCorrupted, format!("the model's files are damaged: {what}"))
        .hint("Train the model again, or restore its folder from a backup.")
}

/// The hash of a model's files, as hexadecimal BLAKE3: equal for equal models.
pub fn content_hash(artifact: &Artifact) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in [&artifact.json, &artifact.tensors] {
        hasher.update(&(file.len() as u64).to_le_bytes());
        hasher.update(file);
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes a model.
pub fn to_parts(model: &Model) -> Result<Artifact> {
    let class_texts = match &model.classes {
        Some(classes) => {
            let texts = cast(classes, &DataType::Utf8)?;
            Some(
                texts
                    .as_string::<i32>()
                    .iter()
                    .map(|t| t.unwrap_or_default().to_string())
                    .collect(),
            )
        }
        None => None,
    };
    let document = Document {
        format: "cenote model".to_string(),
        format_version: FORMAT_VERSION,
        needs: vec![body_name(&model.body).to_string()],
        engine: env!("CARGO_PKG_VERSION").to_string(),
        row_hash_version: HASH_VERSION,
        algorithm: model.algorithm.name().to_string(),
        task: model.task.name().to_string(),
        link: model.link.name().to_string(),
        label: model.label.name.clone(),
        label_type: model.label.data_type.to_string(),
        class_type: model.classes.as_ref().map(|c| c.data_type().to_string()),
        classes: class_texts,
        features: model
            .signature
            .features
            .iter()
            .zip(&model.preprocessor.columns)
            .map(feature_document)
            .collect(),
        nulls: nulls_name(model.preprocessor.nulls).to_string(),
        refuse_unseen: model.preprocessor.refuse_unseen,
        options: model.options.clone(),
        weights: model
            .weights
            .iter()
            .map(|w| (w.term.clone(), w.category.clone(), w.class.clone()))
            .collect(),
        evaluations: model.evaluations.iter().map(evaluation_document).collect(),
        n_rows: model.n_rows,
    };
    let json = serde_json::to_vec_pretty(&document)
        .map_err(|e| Error::internal(format!("model.json: {e}")))?;
    Ok(Artifact { json, tensors: write_tensors(model)? })
}

fn feature_document((feature, fitted): (&Feature, &Fitted)) -> FeatureDocument {
    let levels = match fitted {
        Fitted::Category(levels) => Some(levels),
        Fitted::Number { .. } => None,
    };
    FeatureDocument {
        name: feature.name.clone(),
        kind: feature.kind.name().to_string(),
        data_type: feature.data_type.to_string(),
        levels: levels.map(|l| l.levels().to_vec()),
        null_level: levels.is_some_and(Levels::has_null),
        other_level: levels.is_some_and(Levels::has_other),
    }
}

fn evaluation_document(evaluation: &Evaluation) -> EvaluationDocument {
    EvaluationDocument {
        split: evaluation.split.clone(),
        n_rows: evaluation.n_rows,
        confusion: evaluation
            .confusion
            .iter()
            .map(|c| (c.actual.clone(), c.predicted.clone(), c.n))
            .collect(),
    }
}

fn body_name(body: &Body) -> &'static str {
    match body {
        Body::Linear(_) => "linear",
        Body::Forest(_) => "forest",
    }
}

fn nulls_name(nulls: Nulls) -> &'static str {
    match nulls {
        Nulls::Impute => "impute",
        Nulls::Error => "error",
        Nulls::Skip => "skip",
    }
}

/// `None` is stored as NaN, which is no value of these arrays.
fn or_nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn or_none(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn write_tensors(model: &Model) -> Result<Vec<u8>> {
    let mut writer = TensorWriter::default();
    let means = model.preprocessor.columns.iter().flat_map(|fitted| match fitted {
        Fitted::Number { mean } => vec![*mean],
        Fitted::Category(levels) => levels.means().to_vec(),
    });
    writer.f64("features.means", &means.collect::<Vec<_>>());
    writer.f64(
        "weights",
        &model.weights.iter().flat_map(|w| w.values.map(or_nan)).collect::<Vec<_>>(),
    );
    writer.f64("statistics", &model.statistics.iter().map(|(_, v)| or_nan(*v)).collect::<Vec<_>>());
    let metrics = model.evaluations.iter().flat_map(|e| e.values.iter().map(|v| or_nan(*v)));
    writer.f64("evaluations", &metrics.collect::<Vec<_>>());
    match &model.body {
        Body::Linear(linear) => {
            writer.f64("linear.intercepts", &linear.intercepts);
            let effects = linear.effects.iter().flat_map(|effect| match effect {
                Effect::Number { coefficients, .. } => coefficients.clone(),
                Effect::Category { addends, .. } => addends.clone(),
            });
            writer.f64("linear.effects", &effects.collect::<Vec<_>>());
        }
        Body::Forest(forest) => {
            let (base, starts, outputs, nodes, sets) = forest.parts();
            writer.f64("forest.base", base);
            writer.u32("forest.starts", starts);
            writer.u32("forest.outputs", outputs);
            writer.u32("forest.feature", &nodes.feature);
            writer.f32("forest.value", &nodes.value);
            writer.u32("forest.left", &nodes.left);
            writer.u8("forest.default_left", &nodes.default_left);
            writer.u32("forest.set", &nodes.set);
            writer.u32("forest.sets", sets);
        }
    }
    writer.finish()
}

/// Reads a model. XX001 if anything does not fit, 0A000 for a file of a newer program.
pub fn from_parts(json: &[u8], tensors: &[u8]) -> Result<Model> {
    let document: Document =
        serde_json::from_slice(json).map_err(|e| damaged(format!("model.json: {e}")))?;
    if document.format != "cenote model" {
        return Err(damaged("model.json is of another format"));
    }
    let unknown = document.needs.iter().find(|n| !["linear", "forest"].contains(&n.as_str()));
    if document.format_version != FORMAT_VERSION || unknown.is_some() {
        return Err(Error::unsupported(
            format!("a model of format version {}", document.format_version),
            "It was written by a newer program; use that one, or train the model again.",
        ));
    }
    let tensors = TensorReader::new(tensors)?;
    let algorithm = Algorithm::ALL.iter().copied().find(|a| a.name() == document.algorithm);
    let task = Task::from_name(&document.task).ok_or_else(|| damaged("unknown task"))?;
    let link = Link::from_name(&document.link).ok_or_else(|| damaged("unknown link"))?;
    let (classes, class_names) = read_classes(&document, task)?;
    let (signature, preprocessor) = read_features(&document, &tensors)?;
    let n_scores = link.n_scores(class_names.len());
    let fits = match link {
        Link::Identity => class_names.is_empty(),
        Link::Logistic => class_names.len() == 2,
        Link::Softmax | Link::SoftmaxReference => class_names.len() > 2,
    };
    if !fits {
        return Err(damaged("link and classes contradict each other"));
    }
    let body = match document.needs.as_slice() {
        [one] if one == "linear" => read_linear(&preprocessor, n_scores, &tensors)?,
        [one] if one == "forest" => read_forest(&preprocessor, n_scores, &tensors)?,
        _ => return Err(damaged("needs")),
    };
    Ok(Model {
        algorithm: algorithm.ok_or_else(|| damaged("unknown algorithm"))?,
        task,
        label: Label { name: document.label.clone(), data_type: read_type(&document.label_type)? },
        classes,
        class_names,
        signature,
        preprocessor,
        body,
        link,
        options: document.options.clone(),
        weights: read_weights(&document, &tensors)?,
        statistics: read_statistics(&tensors)?,
        evaluations: read_evaluations(&document, task, &tensors)?,
        n_rows: document.n_rows,
    })
}

fn read_type(text: &str) -> Result<DataType> {
    // The parser is recursive: a text of nested types without end must not reach it.
    if text.len() > 1000 {
        return Err(damaged("type name too long"));
    }
    text.parse().map_err(|_| damaged(format!("unknown type {text}")))
}

fn read_classes(document: &Document, task: Task) -> Result<(Option<ArrayRef>, Vec<String>)> {
    let (Some(texts), Some(class_type)) = (&document.classes, &document.class_type) else {
        return if task.is_classification() {
            Err(damaged("no classes"))
        } else {
            Ok((None, Vec::new()))
        };
    };
    let is_binary = task == Task::BinaryClassification;
    let distinct: HashSet<&String> = texts.iter().collect();
    if !task.is_classification()
        || texts.len() < 2
        || (texts.len() == 2) != is_binary
        || distinct.len() != texts.len()
    {
        return Err(damaged("task and classes contradict each other"));
    }
    let class_type = read_type(class_type)?;
    let label_type = read_type(&document.label_type)?;
    if class_type.is_nested() || !arrow::compute::can_cast_types(&DataType::Utf8, &class_type) {
        return Err(damaged("classes of a type that cannot be"));
    }
    if class_type != label_type && !arrow::compute::can_cast_types(&class_type, &label_type) {
        return Err(damaged("classes of another type than the label"));
    }
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let classes = cast(&texts, &class_type).map_err(damaged)?;
    if classes.null_count() > 0 {
        return Err(damaged("a class is no value of its type"));
    }
    let names = class_names(&classes)?;
    Ok((Some(classes), names))
}

/// The classes as texts, as a cast to text would write them.
pub(crate) fn class_names(classes: &ArrayRef) -> Result<Vec<String>> {
    Ok((0..classes.len())
        .map(|i| match classes.data_type() {
            // `true`, as a cast to text says, and not `t`.
            DataType::Boolean => arrow::util::display::array_value_to_string(classes, i),
            _ => Ok(text_value(classes, i, &EncodeSettings::default()).unwrap_or_default()),
        })
        .collect::<Result<_, _>>()?)
}

fn read_features(
    document: &Document,
    tensors: &TensorReader<'_>,
) -> Result<(Signature, Preprocessor)> {
    let means = tensors.f64("features.means")?;
    if means.iter().any(|m| !m.is_finite()) {
        return Err(damaged("a mean is not finite"));
    }
    let mut rest = means.as_slice();
    let mut take = |n: usize| {
        let (front, back) = rest.split_at_checked(n).ok_or_else(|| damaged("too few means"))?;
        rest = back;
        Ok::<_, Error>(front.to_vec())
    };
    let mut features = Vec::new();
    let mut columns = Vec::new();
    let mut names = HashSet::new();
    for feature in &document.features {
        let kind = FeatureKind::from_name(&feature.kind)
            .ok_or_else(|| damaged("unknown kind of feature"))?;
        if !names.insert(&feature.name) || (kind == FeatureKind::Number) != feature.levels.is_none()
        {
            return Err(damaged("features contradict each other"));
        }
        columns.push(match &feature.levels {
            None => Fitted::Number { mean: take(1)?[0] },
            Some(levels) => {
                let n = levels.len()
                    + usize::from(feature.null_level)
                    + usize::from(feature.other_level);
                let levels =
                    Levels::new(levels.clone(), feature.null_level, feature.other_level, take(n)?);
                Fitted::Category(levels.ok_or_else(|| damaged("levels are out of order"))?)
            }
        });
        features.push(Feature {
            name: feature.name.clone(),
            kind,
            data_type: read_type(&feature.data_type)?,
        });
    }
    if !rest.is_empty() {
        return Err(damaged("too many means"));
    }
    let nulls = [Nulls::Impute, Nulls::Error, Nulls::Skip]
        .into_iter()
        .find(|n| nulls_name(*n) == document.nulls);
    let nulls = nulls.ok_or_else(|| damaged("unknown treatment of NULLs"))?;
    Ok((
        Signature { features },
        Preprocessor { columns, nulls, refuse_unseen: document.refuse_unseen },
    ))
}

fn read_linear(
    preprocessor: &Preprocessor,
    n_scores: usize,
    tensors: &TensorReader<'_>,
) -> Result<Body> {
    let intercepts = tensors.f64("linear.intercepts")?;
    let all = tensors.f64("linear.effects")?;
    if intercepts.len() != n_scores || intercepts.iter().chain(&all).any(|v| !v.is_finite()) {
        return Err(damaged("intercepts"));
    }
    let mut rest = all.as_slice();
    let mut effects = Vec::new();
    for fitted in &preprocessor.columns {
        let n = match fitted {
            Fitted::Number { .. } => n_scores,
            Fitted::Category(levels) => n_scores * (levels.n_slots() + 1),
        };
        let (front, back) =
            rest.split_at_checked(n).ok_or_else(|| damaged("too few coefficients"))?;
        rest = back;
        effects.push(match fitted {
            Fitted::Number { mean } => Effect::Number { coefficients: front.to_vec(), mean: *mean },
            Fitted::Category(levels) => {
                Effect::Category { addends: front.to_vec(), n_slots: levels.n_slots() }
            }
        });
    }
    if !rest.is_empty() {
        return Err(damaged("too many coefficients"));
    }
    Ok(Body::Linear(Linear { intercepts, effects }))
}

fn read_forest(
    preprocessor: &Preprocessor,
    n_scores: usize,
    tensors: &TensorReader<'_>,
) -> Result<Body> {
    let slots = preprocessor
        .columns
        .iter()
        .map(|c| if let Fitted::Category(levels) = c { levels.n_slots() as u32 } else { 0 })
        .collect();
    let nodes = Nodes {
        feature: tensors.u32("forest.feature")?,
        value: tensors.f32("forest.value")?,
        left: tensors.u32("forest.left")?,
        default_left: tensors.u8("forest.default_left")?,
        set: tensors.u32("forest.set")?,
    };
    let (starts, outputs) = (tensors.u32("forest.starts")?, tensors.u32("forest.outputs")?);
    let base = tensors.f64("forest.base")?;
    if base.len() != n_scores {
        return Err(damaged("scores of the trees"));
    }
    let forest = Forest::new(slots, base, starts, outputs, nodes, tensors.u32("forest.sets")?);
    Ok(Body::Forest(Box::new(forest.ok_or_else(|| damaged("trees"))?)))
}

fn read_weights(document: &Document, tensors: &TensorReader<'_>) -> Result<Vec<Weight>> {
    let values = tensors.f64("weights")?;
    if values.len() != 6 * document.weights.len() {
        return Err(damaged("weights"));
    }
    let rows = document.weights.iter().zip(values.chunks_exact(6));
    Ok(rows
        .map(|((term, category, class), v)| Weight {
            term: term.clone(),
            category: category.clone(),
            class: class.clone(),
            values: [v[0], v[1], v[2], v[3], v[4], v[5]].map(or_none),
        })
        .collect())
}

fn read_statistics(tensors: &TensorReader<'_>) -> Result<Vec<(&'static str, Option<f64>)>> {
    let values = tensors.f64("statistics")?;
    if values.len() != STATISTICS.len() {
        return Err(damaged("statistics"));
    }
    Ok(STATISTICS.into_iter().zip(values.into_iter().map(or_none)).collect())
}

fn read_evaluations(
    document: &Document,
    task: Task,
    tensors: &TensorReader<'_>,
) -> Result<Vec<Evaluation>> {
    let n_metrics = metric_names(task.is_classification()).len();
    let values = tensors.f64("evaluations")?;
    if values.len() != n_metrics * document.evaluations.len() {
        return Err(damaged("evaluations"));
    }
    let rows = document.evaluations.iter().zip(values.chunks_exact(n_metrics));
    Ok(rows
        .map(|(evaluation, values)| Evaluation {
            split: evaluation.split.clone(),
            n_rows: evaluation.n_rows,
            values: values.iter().map(|v| or_none(*v)).collect(),
            confusion: evaluation
                .confusion
                .iter()
                .map(|(actual, predicted, n)| Confusion {
                    actual: actual.clone(),
                    predicted: predicted.clone(),
                    n: *n,
                })
                .collect(),
        })
        .collect())
}
