//! `to_timestamp` over columns of text.
//!
//! DataFusion gives the right instants, but forgets that they have a zone, and the plan then stops at a
//! column of another type than it was promised.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// The function, to be registered in the place of DataFusion's.
pub(super) fn to_timestamp(config: &ConfigOptions) -> ScalarUDF {
    let inner = datafusion::functions::datetime::to_timestamp(config);
    ScalarUDF::from(Zoned { inner })
}

/// A function whose instants keep their zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Zoned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        Some(to_timestamp(config))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let promised = args.return_field.data_type().clone();
        // Not through the function around it, which compares the types.
        let made = self.inner.inner().invoke_with_args(args)?;
        match (made, promised) {
            (ColumnarValue::Array(array), DataType::Timestamp(TimeUnit::Nanosecond, zone))
                if *array.data_type() == DataType::Timestamp(TimeUnit::Nanosecond, None) =>
            {
                let instants = array.as_primitive::<TimestampNanosecondType>().clone();
                Ok(ColumnarValue::Array(Arc::new(instants.with_timezone_opt(zone))))
            }
            (made, _) => Ok(made),
        }
    }
}
