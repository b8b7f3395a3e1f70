//! The hot paths in native code, of appends and of reading many leaves: nothing in here decides what may be recorded, or
//! what is damaged. Whatever is not plainly well-formed is declined, and `auditd` judges it in Python, where every function
//! of this module has its reference.

mod attributes;
mod batch;
mod check;
mod comparison;
mod event;
mod frames;
mod grams;
mod json;
mod response;
mod runs;
mod sieve;
mod time;
mod tree;
mod walk;
mod wire;

use std::collections::HashMap;

use pyo3::prelude::*;

#[pymodule]
fn auditd_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<batch::AppendBatch>()?;
    module.add_class::<frames::Dictionaries>()?;
    module.add_class::<sieve::Sieve>()?;
    module.add_function(wrap_pyfunction!(attributes::are_attributes, module)?)?;
    module.add_function(wrap_pyfunction!(batch::read_append, module)?)?;
    module.add_function(wrap_pyfunction!(response::append_response, module)?)?;
    module.add_function(wrap_pyfunction!(check::check_leaves, module)?)?;
    module.add_function(wrap_pyfunction!(frames::read_leaves, module)?)?;
    module.add_function(wrap_pyfunction!(frames::sift_leaves, module)?)?;
    module.add_function(wrap_pyfunction!(response::entry_fields, module)?)?;
    module.add_function(wrap_pyfunction!(grams::sign_leaves, module)?)?;
    module.add_function(wrap_pyfunction!(runs::make_run, module)?)?;
    module.add_function(wrap_pyfunction!(runs::merge_runs, module)?)?;
    module.add_function(wrap_pyfunction!(tree::leaf_hashes, module)?)?;
    module.add_function(wrap_pyfunction!(tree::parent_row, module)?)?;
    module.add("LIMITS", event::LIMITS.iter().copied().collect::<HashMap<_, _>>())
}
