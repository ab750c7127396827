//! Number arrays as tensors in the safetensors format.

use crate::error::{Error, Result};
use crate::ml::artifact::damaged;
use candle_core::safetensors::SliceSafetensors;
use candle_core::{Device, Tensor};

/// Collects named arrays.
#[derive(Default)]
pub(crate) struct TensorWriter {
    arrays: Vec<(&'static str, candle_core::Result<Tensor>)>,
}

/// Reads named arrays.
pub(crate) struct TensorReader<'a> {
    tensors: SliceSafetensors<'a>,
}

macro_rules! number_type {
    ($name:ident, $type:ty) => {
        impl TensorWriter {
            /// Adds an array.
            pub(crate) fn $name(&mut self, name: &'static str, values: &[$type]) {
                self.arrays.push((name, Tensor::from_slice(values, values.len(), &Device::Cpu)));
            }
        }

        impl TensorReader<'_> {
            /// Reads an array of one dimension and this type; XX001 if there is none.
            pub(crate) fn $name(&self, name: &str) -> Result<Vec<$type>> {
                let array = self.tensors.load(name, &Device::Cpu);
                array
                    .and_then(|tensor| tensor.to_vec1())
                    .map_err(|e| damaged(format!("array \"{name}\": {e}")))
            }
        }
    };
}

number_type!(f64, f64);
number_type!(f32, f32);
number_type!(u32, u32);
number_type!(u8, u8);

impl TensorWriter {
    /// The file.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        let trouble =
            |e: &dyn std::fmt::Display| Error::internal(format!("model.safetensors: {e}"));
        let tensors = self
            .arrays
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.map_err(|e| trouble(&e))?)))
            .collect::<Result<Vec<_>>>()?;
        safetensors::serialize(tensors, None).map_err(|e| trouble(&e))
    }
}

impl<'a> TensorReader<'a> {
    /// Checks a file's table of contents.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let tensors =
            SliceSafetensors::new(bytes).map_err(|e| damaged(format!("model.safetensors: {e}")))?;
        Ok(Self { tensors })
    }
}
