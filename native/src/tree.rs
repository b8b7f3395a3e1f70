//! The hashes of RFC 6962 section 2.1, many at once.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};
use sha2::{Digest, Sha256};

pub const HASH_BYTES: usize = 32;
/// Fewer bytes than this are hashed without letting go of the GIL, which costs more.
const LARGE_BYTES: usize = 64 * 1024;

/// Return the hash of each leaf.
#[pyfunction]
pub fn leaf_hashes<'py>(py: Python<'py>, leaves: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyList>> {
    let texts: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.as_bytes()).collect();
    let work = || -> Vec<[u8; HASH_BYTES]> { texts.iter().map(|text| leaf_hash(text)).collect() };
    let large = texts.iter().map(|text| text.len()).sum::<usize>() >= LARGE_BYTES;
    let hashes = if large { py.detach(work) } else { work() };
    PyList::new(py, hashes.iter().map(|hash| PyBytes::new(py, hash)))
}

/// Return the concatenated parents of a row of concatenated hashes; their number must be even.
#[pyfunction]
pub fn parent_row<'py>(py: Python<'py>, row: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
    if !row.len().is_multiple_of(2 * HASH_BYTES) {
        return Err(PyValueError::new_err(format!("{} bytes are no pairs of hashes", row.len())));
    }
    PyBytes::new_with(py, row.len() / 2, |parents| {
        for (pair, parent) in row.chunks_exact(2 * HASH_BYTES).zip(parents.chunks_exact_mut(HASH_BYTES)) {
            parent.copy_from_slice(&hash(1, pair));
        }
        Ok(())
    })
}

/// Return the hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> [u8; HASH_BYTES] {
    hash(0, leaf)
}

fn hash(prefix: u8, bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = Sha256::new();
    hash.update([prefix]);
    hash.update(bytes);
    hash.finalize().into()
}
