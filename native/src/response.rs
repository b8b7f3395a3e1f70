//! `auditd.v1.AppendResponse`, written as its bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::wire::{put_bytes, put_number, put_varint};

const HASH_BYTES: usize = 32;

/// Return the response to events that were all new: entries from `first_index` on, recorded at one time.
///
/// `leaf_hashes`, and where asked for `leaves` and `paths`, have one item an event; a path is the hashes of its
/// inclusion proof, concatenated.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // one for each part of the message
#[pyo3(signature = (checkpoint, consistency, first_index, recorded_at_us, leaf_hashes, leaves=None, paths=None))]
pub fn append_response<'py>(
    py: Python<'py>,
    checkpoint: &str,
    consistency: Vec<Vec<u8>>,
    first_index: u64,
    recorded_at_us: u64,
    leaf_hashes: Vec<Bound<'py, PyBytes>>,
    leaves: Option<Vec<Bound<'py, PyBytes>>>,
    paths: Option<Vec<Bound<'py, PyBytes>>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let count = leaf_hashes.len();
    for items in [&leaves, &paths].into_iter().flatten() {
        if items.len() != count {
            return Err(PyValueError::new_err(format!("{} items for {count} receipts", items.len())));
        }
    }
    let mut time = Vec::with_capacity(16);
    put_number(&mut time, 1, recorded_at_us / 1_000_000);
    put_number(&mut time, 2, recorded_at_us % 1_000_000 * 1_000);
    let mut out = Vec::with_capacity(checkpoint.len() + count * 80);
    let mut receipt = Vec::with_capacity(1_024);
    for position in 0..count {
        receipt.clear();
        put_number(&mut receipt, 1, first_index + position as u64);
        put_bytes(&mut receipt, 2, &time);
        put_bytes(&mut receipt, 3, leaf_hashes[position].as_bytes());
        if let Some(leaves) = &leaves {
            put_bytes(&mut receipt, 5, leaves[position].as_bytes());
        }
        if let Some(paths) = &paths {
            for hash in paths[position].as_bytes().chunks_exact(HASH_BYTES) {
                put_bytes(&mut receipt, 6, hash);
            }
        }
        put_varint(&mut out, 1 << 3 | 2);
        put_varint(&mut out, receipt.len() as u64);
        out.extend_from_slice(&receipt);
    }
    put_bytes(&mut out, 2, checkpoint.as_bytes());
    for hash in &consistency {
        put_bytes(&mut out, 3, hash);
    }
    Ok(PyBytes::new(py, &out))
}

/// Return the bytes of the field `number` of a message: an `auditd.v1.Entry` for each (index, leaf).
#[pyfunction]
pub fn entry_fields<'py>(
    py: Python<'py>,
    number: u32,
    entries: Vec<(u64, Bound<'py, PyBytes>)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(entries.iter().map(|(_, leaf)| leaf.as_bytes().len() + 20).sum());
    let mut head = Vec::with_capacity(20);
    for (index, leaf) in &entries {
        let leaf = leaf.as_bytes();
        head.clear();
        put_number(&mut head, 1, *index);
        if !leaf.is_empty() {
            put_varint(&mut head, 2 << 3 | 2);
            put_varint(&mut head, leaf.len() as u64);
        }
        put_varint(&mut out, u64::from(number << 3 | 2));
        put_varint(&mut out, (head.len() + leaf.len()) as u64);
        out.extend_from_slice(&head);
        out.extend_from_slice(leaf);
    }
    Ok(PyBytes::new(py, &out))
}
