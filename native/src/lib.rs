//! The hot path of appends in native code: nothing in here decides what may be recorded. Whatever is not plainly
//! well-formed is declined, and `auditd` judges it in Python, where every function of this module has its reference.

mod attributes;
mod batch;
mod event;
mod grams;
mod json;
mod response;
mod time;
mod tree;
mod wire;

use std::collections::HashMap;

use pyo3::prelude::*;

#[pymodule]
fn auditd_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<batch::AppendBatch>()?;
    module.add_function(wrap_pyfunction!(batch::encode_append, module)?)?;
    module.add_function(wrap_pyfunction!(response::append_response, module)?)?;
    module.add_function(wrap_pyfunction!(grams::sign_leaves, module)?)?;
    module.add_function(wrap_pyfunction!(tree::leaf_hashes, module)?)?;
    module.add_function(wrap_pyfunction!(tree::parent_row, module)?)?;
    module.add("LIMITS", event::LIMITS.iter().copied().collect::<HashMap<_, _>>())
}
