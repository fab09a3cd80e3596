//! Functions for queries over traces.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::opened::Opened;

/// The functions, with how they are called and what they do.
pub(crate) const FUNCTIONS: [(&str, &str); 3] = [
    (
        "symbol(address)",
        "name of the kernel's function that holds an address, with the offset in it; NULL if the trace has none (not in data sets)",
    ),
    (
        "number(text)",
        "the number that a text such as `0x1f` is, so that masks can be taken apart: `number(flags) & 64`",
    ),
    (
        "get_json_object(json, path)",
        "a member of an object of JSON as text, as in Spark: `get_json_object(fields, '$.ret')`",
    ),
];

/// Functions that need no trace.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    let number = create_udf(
        "number",
        vec![DataType::Utf8],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let [texts] = texts(arguments)?;
            let numbers = texts.iter().map(|text| parse(text?));
            Ok(array(numbers.collect::<Int64Array>()))
        }),
    );
    let member = create_udf(
        "get_json_object",
        vec![DataType::Utf8, DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let [objects, paths] = texts(arguments)?;
            let pairs = objects.iter().zip(paths.iter());
            let members = pairs.map(|(object, path)| member(object?, path?));
            Ok(array(members.collect::<StringArray>()))
        }),
    );
    vec![number, member]
}

/// Functions that know a trace.
pub(crate) fn functions_of(opened: &Arc<Opened>) -> Vec<ScalarUDF> {
    let opened = Arc::clone(opened);
    let symbol = create_udf(
        "symbol",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let [addresses] = texts(arguments)?;
            let names = addresses.iter().map(|text| {
                let (name, offset) = opened.symbols.find(parse(text?)?.cast_unsigned())?;
                Some(match offset {
                    0 => name.to_owned(),
                    _ => format!("{name}+{offset:#x}"),
                })
            });
            Ok(array(names.collect::<StringArray>()))
        }),
    );
    vec![symbol]
}

fn array(values: impl Array + 'static) -> ColumnarValue {
    let values: ArrayRef = Arc::new(values);
    ColumnarValue::Array(values)
}

/// The arguments, all as texts of the same number of rows.
fn texts<const N: usize>(arguments: &[ColumnarValue]) -> Result<[StringArray; N]> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let text = |array: &ArrayRef| -> Result<StringArray> {
        let array = cast(array, &DataType::Utf8)?;
        let texts = array.as_any().downcast_ref::<StringArray>();
        texts
            .cloned()
            .ok_or_else(|| DataFusionError::Execution("an argument is no text".to_owned()))
    };
    let texts = arrays.iter().map(text).collect::<Result<Vec<_>>>()?;
    texts
        .try_into()
        .map_err(|_texts: Vec<_>| DataFusionError::Execution("too few arguments".to_owned()))
}

/// A number in decimal, or in hexadecimal behind `0x`.
fn parse(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    }
}

/// A member of an object by its path, of which only `$.name` is understood.
fn member(object: &str, path: &str) -> Option<String> {
    let name = path.strip_prefix("$.")?;
    let object: serde_json::Value = serde_json::from_str(object).ok()?;
    match object.get(name)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
