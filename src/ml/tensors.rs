//! Number arrays in the safetensors format.

use crate::error::{Error, Result};
use crate::ml::artifact::damaged;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Collects named arrays.
#[derive(Default)]
pub(crate) struct TensorWriter {
    arrays: Vec<(&'static str, Dtype, usize, Vec<u8>)>,
}

/// Reads named arrays.
pub(crate) struct TensorReader<'a> {
    tensors: SafeTensors<'a>,
}

macro_rules! number_type {
    ($name:ident, $type:ty, $dtype:expr) => {
        impl TensorWriter {
            /// Adds an array.
            pub(crate) fn $name(&mut self, name: &'static str, values: &[$type]) {
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                self.arrays.push((name, $dtype, values.len(), bytes));
            }
        }

        impl TensorReader<'_> {
            /// Reads an array of one dimension and this type; XX001 if there is none.
            pub(crate) fn $name(&self, name: &str) -> Result<Vec<$type>> {
                const SIZE: usize = size_of::<$type>();
                let bytes = self.bytes(name, $dtype)?;
                let values = bytes.chunks_exact(SIZE).map(|chunk| {
                    let mut word = [0u8; SIZE];
                    word.copy_from_slice(chunk);
                    <$type>::from_le_bytes(word)
                });
                Ok(values.collect())
            }
        }
    };
}

number_type!(f64, f64, Dtype::F64);
number_type!(f32, f32, Dtype::F32);
number_type!(u32, u32, Dtype::U32);
number_type!(u8, u8, Dtype::U8);

impl TensorWriter {
    /// The file.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        let views: Vec<(&str, TensorView<'_>)> = self
            .arrays
            .iter()
            .map(|(name, dtype, n, bytes)| Ok((*name, TensorView::new(*dtype, vec![*n], bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| Error::internal(format!("model.safetensors: {e}")))?;
        safetensors::serialize(views, None)
            .map_err(|e| Error::internal(format!("model.safetensors: {e}")))
    }
}

impl<'a> TensorReader<'a> {
    /// Checks a file's table of contents.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| damaged(format!("model.safetensors: {e}")))?;
        Ok(Self { tensors })
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<&'a [u8]> {
        let tensor =
            self.tensors.tensor(name).map_err(|_| damaged(format!("no array \"{name}\"")))?;
        if tensor.dtype() != dtype || tensor.shape().len() != 1 {
            return Err(damaged(format!("array \"{name}\" is of another type")));
        }
        Ok(tensor.data())
    }
}
