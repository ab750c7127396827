//! Distinct values of a column as codes in sorted order: categories, classes and split keys.

use crate::error::Result;
use crate::ml::canonical::{self, Hash};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::HashMap;
use std::sync::Arc;

/// The code of NULL.
pub(crate) const NULL_CODE: u32 = u32::MAX;

/// Texts that occur in a column, in order of appearance while collecting.
#[derive(Default)]
pub(crate) struct TextInterner {
    index: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl TextInterner {
    /// The code of a text.
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.index.get(text) {
            return *code;
        }
        let code = self.texts.len() as u32;
        self.bytes += text.len() + 80;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.index.insert(text, code);
        code
    }

    /// Bytes held by the texts, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Calls `found` with the texts from code `from` on, in the order of their codes.
    pub(crate) fn since(&self, from: usize, mut found: impl FnMut(&str)) {
        self.texts[from..].iter().for_each(|text| found(text));
    }

    /// The texts in the order of their codes.
    pub(crate) fn into_texts(self) -> Vec<Arc<str>> {
        self.texts
    }

    /// The texts in byte order; `codes` are rewritten to positions in it.
    pub(crate) fn finish(self, codes: &mut [u32]) -> Vec<String> {
        let mut texts: Vec<(Arc<str>, u32)> = self.texts.into_iter().zip(0..).collect();
        texts.sort_unstable();
        let mut positions = vec![0u32; texts.len()];
        for (position, (_, code)) in texts.iter().enumerate() {
            positions[*code as usize] = position as u32;
        }
        recode(codes, &positions);
        texts.into_iter().map(|(text, _)| text.to_string()).collect()
    }
}

fn recode(codes: &mut [u32], positions: &[u32]) {
    for code in codes.iter_mut().filter(|c| **c != NULL_CODE) {
        *code = positions[*code as usize];
    }
}

/// Values of any type that sorts: classes of the label, split columns and split keys.
pub(crate) struct ValueInterner {
    converter: RowConverter,
    index: HashMap<Box<[u8]>, u32>,
    codes: Vec<u32>,
    bytes: usize,
}

/// A column of codes and what they stand for.
pub(crate) struct Values {
    /// One code a row, [`NULL_CODE`] for NULL.
    pub(crate) codes: Vec<u32>,
    /// The distinct values, sorted: numbers and times by size, texts by bytes.
    pub(crate) distinct: ArrayRef,
    /// A hash of each distinct value.
    pub(crate) hashes: Vec<Hash>,
}

impl ValueInterner {
    /// An interner for arrays of type `data_type`.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(plain_type(data_type))])?;
        Ok(Self { converter, index: HashMap::new(), codes: Vec::new(), bytes: 0 })
    }

    /// Appends the codes of an array's values.
    pub(crate) fn push(&mut self, array: &ArrayRef) -> Result<()> {
        let array = plain(array)?;
        let rows = self.converter.convert_columns(&[Arc::clone(&array)])?;
        for (i, row) in rows.iter().enumerate() {
            if array.is_null(i) {
                self.codes.push(NULL_CODE);
                continue;
            }
            let next = self.index.len() as u32;
            let code = match self.index.get(row.as_ref()) {
                Some(code) => *code,
                None => {
                    self.bytes += row.as_ref().len() + 48;
                    self.index.insert(row.as_ref().into(), next);
                    next
                }
            };
            self.codes.push(code);
        }
        Ok(())
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + 4 * self.codes.len()
    }

    /// The codes in the values' sort order, and the values.
    pub(crate) fn finish(self) -> Result<Values> {
        let Self { converter, index, mut codes, .. } = self;
        let mut values: Vec<(Box<[u8]>, u32)> = index.into_iter().collect();
        values.sort_unstable();
        let mut positions = vec![0u32; values.len()];
        for (position, (_, code)) in values.iter().enumerate() {
            positions[*code as usize] = position as u32;
        }
        recode(&mut codes, &positions);
        let parser = converter.parser();
        let distinct =
            converter.convert_rows(values.iter().map(|(bytes, _)| parser.parse(bytes)))?;
        let hashes = values.iter().map(|(bytes, _)| canonical::of_bytes(bytes)).collect();
        let distinct = distinct
            .into_iter()
            .next()
            .ok_or_else(|| crate::error::Error::internal("no row column"))?;
        Ok(Values { codes, distinct, hashes })
    }
}

/// Values of any type that sorts as bytes that sort alike.
pub(crate) struct ValueBytes {
    converter: RowConverter,
}

impl ValueBytes {
    /// For arrays of type `data_type`.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(plain_type(data_type))])?;
        Ok(Self { converter })
    }

    /// Calls `found` with the bytes of each value, none for NULL.
    pub(crate) fn each(
        &self,
        array: &ArrayRef,
        mut found: impl FnMut(Option<&[u8]>),
    ) -> Result<()> {
        let array = plain(array)?;
        let rows = self.converter.convert_columns(&[Arc::clone(&array)])?;
        for (i, row) in rows.iter().enumerate() {
            found((!array.is_null(i)).then_some(row.as_ref()));
        }
        Ok(())
    }

    /// A code for each value, [`NULL_CODE`] for NULL, and the hashes that the codes stand for.
    pub(crate) fn hashes(&self, array: &ArrayRef) -> Result<(Vec<u32>, Vec<Hash>)> {
        let (mut codes, mut hashes) = (Vec::with_capacity(array.len()), Vec::new());
        self.each(array, |value| match value {
            None => codes.push(NULL_CODE),
            Some(bytes) => {
                codes.push(hashes.len() as u32);
                hashes.push(canonical::of_bytes(bytes));
            }
        })?;
        Ok((codes, hashes))
    }
}

/// The type that values are compared in: no views, no dictionaries.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        other => other.clone(),
    }
}

/// The array in [`plain_type`], with NaN as NULL and -0 as 0.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let array = cast(array, &plain_type(array.data_type()))?;
    if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
        let cleaned: Float64Array =
            floats.iter().map(|v| v.filter(|v| !v.is_nan()).map(|v| v + 0.0)).collect();
        return Ok(Arc::new(cleaned));
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringViewArray};

    #[test]
    fn values_sort_by_type() {
        let mut interner = ValueInterner::new(&DataType::Int64).unwrap();
        interner
            .push(
                &(Arc::new(Int64Array::from(vec![Some(10), None, Some(2), Some(10)])) as ArrayRef),
            )
            .unwrap();
        let values = interner.finish().unwrap();
        assert_eq!(values.codes, vec![1, NULL_CODE, 0, 1]);
        assert_eq!(
            values.distinct.as_primitive::<arrow::datatypes::Int64Type>().values(),
            &[2, 10]
        );
        let mut interner = ValueInterner::new(&DataType::Utf8View).unwrap();
        interner.push(&(Arc::new(StringViewArray::from(vec!["b", "Z"])) as ArrayRef)).unwrap();
        assert_eq!(interner.finish().unwrap().codes, vec![1, 0]);
    }
}
