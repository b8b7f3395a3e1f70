//! Stored leaves, many at once: zstd frames to leaves that are the tree's.

use std::cell::RefCell;
use std::num::NonZeroU32;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use zstd_safe::{DCtx, DDict};

use crate::sieve::{Sieve, Verdict};
use crate::tree::{HASH_BYTES, leaf_hash};

const MAX_LEAF_BYTES: usize = 65_535;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Room for leaves that a thread keeps from one call to the next, because the system takes its time to give it.
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// The dictionaries of a log, by their ids. See `auditd.log._frames.FrameCodec`, which it stands in for.
#[pyclass(frozen, module = "auditd_native")]
pub struct Dictionaries {
    by_id: Vec<(NonZeroU32, DDict<'static>)>,
}

#[pymethods]
impl Dictionaries {
    #[new]
    fn new(dictionaries: Vec<Bound<'_, PyBytes>>) -> PyResult<Self> {
        let mut by_id = Vec::with_capacity(dictionaries.len());
        for data in dictionaries {
            let dictionary = DDict::try_create(data.as_bytes());
            let named = dictionary.and_then(|dictionary| Some((dictionary.get_dict_id()?, dictionary)));
            by_id.push(named.ok_or_else(|| PyValueError::new_err("no trained dictionary"))?);
        }
        Ok(Dictionaries { by_id })
    }
}

impl Dictionaries {
    /// Append the leaf in `frame` to `leaves` and return its length; None for anything but one sound frame.
    pub fn decompress(&self, frame: &[u8], leaves: &mut Vec<u8>) -> Option<usize> {
        // A frame of another kind is skipped where leaves are read, and what follows a frame is read as the next one.
        if !frame.starts_with(&MAGIC) || zstd_safe::find_frame_compressed_size(frame).ok()? != frame.len() {
            return None;
        }
        let length = usize::try_from(zstd_safe::get_frame_content_size(frame).ok()??).ok()?;
        if length > MAX_LEAF_BYTES {
            return None;
        }
        let start = leaves.len();
        leaves.resize(start + length, 0);
        let target = &mut leaves[start..];
        let written = CONTEXT.with_borrow_mut(|context| match zstd_safe::get_dict_id_from_frame(frame) {
            None => context.decompress(target, frame).ok(),
            Some(id) => {
                let (_, dictionary) = self.by_id.iter().find(|(known, _)| *known == id)?;
                context.decompress_using_ddict(target, frame, dictionary).ok()
            }
        })?;
        (written == length).then_some(length)
    }
}

/// Return the leaves in `frames`, whose hashes MUST be `hashes`, concatenated; None for what Python must judge.
#[pyfunction]
pub fn read_leaves<'py>(
    py: Python<'py>,
    frames: Vec<Bound<'py, PyAny>>,
    dictionaries: &Dictionaries,
    hashes: &[u8],
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(frames) = stored(&frames, hashes)? else { return Ok(None) };
    let mut leaves = ROOM.take();
    let read = py.detach(|| {
        let mut ends = Vec::with_capacity(frames.len());
        for (frame, hash) in frames.iter().zip(hashes.chunks_exact(HASH_BYTES)) {
            let start = leaves.len();
            dictionaries.decompress(frame, &mut leaves)?;
            if leaf_hash(&leaves[start..]) != hash {
                return None;
            }
            ends.push(leaves.len());
        }
        Some(ends)
    });
    let list = read.map(|ends| {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        PyList::new(py, starts.zip(&ends).map(|(start, &end)| PyBytes::new(py, &leaves[start..end])))
    });
    keep_room(leaves);
    list.transpose()
}

/// Return what a sieve lets through of the leaves in `frames`, as (index, leaf, whether it is certainly selected).
///
/// `first` is the first one's index. Their hashes MUST be `hashes`, concatenated; None for what Python must judge.
#[pyfunction]
pub fn sift_leaves<'py>(
    py: Python<'py>,
    frames: Vec<Bound<'py, PyAny>>,
    dictionaries: &Dictionaries,
    hashes: &[u8],
    sieve: &Sieve,
    first: usize,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(frames) = stored(&frames, hashes)? else { return Ok(None) };
    let mut leaves = ROOM.take();
    let sifted = py.detach(|| {
        let mut found = Vec::new();
        let mut scratch = sieve.scratch();
        for (position, (frame, hash)) in frames.iter().zip(hashes.chunks_exact(HASH_BYTES)).enumerate() {
            let start = leaves.len();
            dictionaries.decompress(frame, &mut leaves)?;
            if leaf_hash(&leaves[start..]) != hash {
                return None;
            }
            match sieve.judge(&leaves[start..], &mut scratch) {
                Verdict::No => leaves.truncate(start),
                verdict => found.push((first + position, start..leaves.len(), verdict == Verdict::Yes)),
            }
        }
        Some(found)
    });
    let list = sifted.map(|found| {
        PyList::new(py, found.into_iter().map(|(index, span, sure)| (index, PyBytes::new(py, &leaves[span]), sure)))
    });
    keep_room(leaves);
    list.transpose()
}

fn keep_room(mut room: Vec<u8>) {
    room.clear();
    room.shrink_to(KEPT_BYTES);
    ROOM.set(room);
}

/// Return frames as they are stored; None where something else is.
fn stored<'a>(frames: &'a [Bound<'_, PyAny>], hashes: &[u8]) -> PyResult<Option<Vec<&'a [u8]>>> {
    if hashes.len() != frames.len() * HASH_BYTES {
        return Err(PyValueError::new_err(format!("{} bytes of hashes for {} frames", hashes.len(), frames.len())));
    }
    Ok(frames.iter().map(|frame| frame.cast::<PyBytes>().ok().map(|bytes| bytes.as_bytes())).collect())
}
