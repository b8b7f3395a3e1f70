//! Signatures of text: which grams, four bytes of a word each, may occur in which tile of a block.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

const TILE_ENTRIES: usize = 256;
const BLOCK_TILES: usize = 16;
const GRAM_BYTES: usize = 4;
const MAX_BITS: u32 = 18;
const MIN_BITS: u32 = 12;
/// A block whose bits are set to less than an eighth is folded.
const SPARSE: usize = 8;
const FACTOR: u32 = 0x9E37_79B1;
const EVENT: &[u8] = b",\"event\":";

/// Return the number of bits of a block's signature, and for each of its places two bytes, a bit for each tile.
///
/// `leaves` is asked for one tile after the other, none of which is kept. `searched_text(leaf)` is asked where the bytes
/// of a leaf do not say plainly what its text is.
#[pyfunction]
pub fn sign_leaves<'py>(
    py: Python<'py>,
    leaves: &Bound<'py, PyAny>,
    searched_text: &Bound<'py, PyAny>,
) -> PyResult<(u32, Bound<'py, PyBytes>)> {
    let mut places = vec![0u16; 1 << MAX_BITS];
    let mut leaves = leaves.try_iter()?;
    for tile in 0..=BLOCK_TILES {
        let mut texts = Vec::with_capacity(TILE_ENTRIES);
        for leaf in leaves.by_ref().take(TILE_ENTRIES) {
            let leaf: PyBackedBytes = leaf?.extract()?;
            let start = event_start(&leaf);
            if is_plain(&leaf[start..]) {
                texts.push((leaf, start));
            } else {
                let text = searched_text.call1((PyBytes::new(py, &leaf),))?.extract::<PyBackedBytes>()?;
                texts.push((text, 0));
            }
        }
        if texts.is_empty() {
            break;
        }
        if tile == BLOCK_TILES {
            return Err(PyValueError::new_err("these leaves are more than a block"));
        }
        py.detach(|| sign(&texts, 1 << tile, &mut places));
    }
    let (bits, places) = py.detach(|| folded(places));
    Ok((bits, PyBytes::new(py, &places)))
}

fn event_start(leaf: &[u8]) -> usize {
    leaf.windows(EVENT.len()).position(|window| window == EVENT).unwrap_or(0)
}

/// Tell whether text stands in a leaf as it is, but for the case of its letters.
fn is_plain(event: &[u8]) -> bool {
    event.is_ascii() && !event.windows(2).any(|pair| pair == b"\\u")
}

/// Set the bit `tile` in the places of all grams of the texts.
fn sign(texts: &[(PyBackedBytes, usize)], tile: u16, places: &mut [u16]) {
    for (text, start) in texts {
        let mut gram = 0u32;
        let mut length = 0;
        for &byte in &text[*start..] {
            let letter = byte.to_ascii_lowercase();
            if !letter.is_ascii_alphanumeric() && letter < 0x80 {
                length = 0;
                continue;
            }
            gram = gram >> 8 | u32::from(letter) << 24;
            length += 1;
            if length >= GRAM_BYTES {
                places[(gram.wrapping_mul(FACTOR) >> (32 - MAX_BITS)) as usize] |= tile;
            }
        }
    }
}

fn folded(mut places: Vec<u16>) -> (u32, Vec<u8>) {
    let mut bits = MAX_BITS;
    while bits > MIN_BITS && set_bits(&places) * SPARSE < BLOCK_TILES << bits {
        places = places.chunks_exact(2).map(|pair| pair[0] | pair[1]).collect();
        bits -= 1;
    }
    (bits, places.iter().flat_map(|place| place.to_le_bytes()).collect())
}

fn set_bits(places: &[u16]) -> usize {
    places.iter().map(|place| place.count_ones() as usize).sum()
}
