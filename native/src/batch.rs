//! A whole `auditd.v1.AppendRequest`, encoded at once.

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use sha2::{Digest, Sha256};

use crate::event::{Encoded, Texts, encode, put_prefixed};
use crate::wire::{Declined, Fields, Result as Read};

/// Requests and batches smaller than this are worked on without letting go of the GIL, which costs more.
const LARGE_BYTES: usize = 32 * 1024;
const SALT_BYTES: usize = 16;

/// A well-formed append request. See `auditd.entry.EncodedBatch`, which it stands in for.
#[pyclass(frozen, module = "auditd_native")]
pub struct AppendBatch {
    #[pyo3(get)]
    log: String,
    #[pyo3(get)]
    return_leaves: bool,
    #[pyo3(get)]
    include_proofs: bool,
    #[pyo3(get)]
    known_size: Option<u64>,
    texts: Texts,
    events: Vec<Encoded>,
}

/// Read and encode an append request; None if it is not plainly well-formed, which the Python path then judges.
///
/// `issuer` and `subject` are the caller's, `caller_terms` its index terms.
#[pyfunction]
pub fn encode_append(
    py: Python<'_>,
    request: &Bound<'_, PyBytes>,
    issuer: &str,
    subject: &str,
    caller_terms: &str,
    max_events: usize,
) -> Option<AppendBatch> {
    let request = request.as_bytes();
    let mut caller = Sha256::new();
    put_prefixed(&mut caller, issuer.as_bytes());
    put_prefixed(&mut caller, subject.as_bytes());
    let work = || AppendBatch::read(request, &caller, caller_terms, max_events).ok();
    if request.len() < LARGE_BYTES { work() } else { py.detach(work) }
}

impl AppendBatch {
    fn read(request: &[u8], caller: &Sha256, caller_terms: &str, max_events: usize) -> Read<Self> {
        let mut batch = AppendBatch {
            log: String::new(),
            return_leaves: false,
            include_proofs: false,
            known_size: None,
            texts: Texts::default(),
            events: Vec::new(),
        };
        batch.texts.json.reserve(request.len() + request.len() / 2);
        let mut fields = Fields::of(request);
        while let Some((number, value)) = fields.next()? {
            if number != 2 {
                fields.once(number)?;
            }
            match number {
                1 => batch.log = value.text()?.to_owned(),
                2 => {
                    if batch.events.len() == max_events {
                        return Err(Declined);
                    }
                    batch.events.push(encode(value.bytes()?, caller, caller_terms, &mut batch.texts)?);
                }
                3 => batch.return_leaves = value.varint()? != 0,
                4 => batch.include_proofs = value.varint()? != 0,
                5 => batch.known_size = Some(value.varint()?),
                _ => return Err(Declined),
            }
        }
        if batch.events.is_empty() { Err(Declined) } else { Ok(batch) }
    }

    fn json_start(&self, position: usize) -> usize {
        if position == 0 { 0 } else { self.events[position - 1].json_end }
    }

    fn json(&self, position: usize) -> &[u8] {
        &self.texts.json[self.json_start(position)..self.events[position].json_end]
    }

    fn terms_text(&self, position: usize) -> &str {
        let start = if position == 0 { 0 } else { self.events[position - 1].terms_end };
        // Put together of texts and ASCII alone.
        std::str::from_utf8(&self.texts.terms[start..self.events[position].terms_end]).unwrap_or_default()
    }

    fn require(&self, positions: &[usize]) -> PyResult<()> {
        match positions.iter().find(|&&position| position >= self.events.len()) {
            Some(position) => Err(PyIndexError::new_err(format!("event {position} of {}", self.events.len()))),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl AppendBatch {
    fn __len__(&self) -> usize {
        self.events.len()
    }

    /// How many bytes the events have, encoded.
    #[getter]
    fn event_bytes(&self) -> usize {
        self.texts.json.len()
    }

    /// The earliest and the latest time of an event, in nanoseconds.
    #[getter]
    fn time_range_ns(&self) -> (i64, i64) {
        let times = || self.events.iter().map(|event| event.time_ns);
        (times().min().unwrap_or_default(), times().max().unwrap_or_default())
    }

    /// The bytes of each event, encoded.
    fn lengths(&self) -> Vec<usize> {
        (0..self.events.len()).map(|position| self.json(position).len()).collect()
    }

    /// The key of each event.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.events.iter().map(|event| PyBytes::new(py, &event.key)))
    }

    /// An event's JSON text, the length of its part before attributes, and its time in nanoseconds.
    fn event<'py>(&self, py: Python<'py>, position: usize) -> PyResult<(Bound<'py, PyBytes>, usize, i64)> {
        self.require(&[position])?;
        let event = &self.events[position];
        Ok((PyBytes::new(py, self.json(position)), event.fields_end, event.time_ns))
    }

    /// The index terms of the events at `positions`.
    fn terms<'py>(&self, py: Python<'py>, positions: Positions) -> PyResult<Bound<'py, PyList>> {
        let positions = positions.list();
        self.require(&positions)?;
        PyList::new(py, positions.iter().map(|&position| PyString::new(py, self.terms_text(position))))
    }

    /// Put together the leaves of the events at `positions`, the first at `index`.
    ///
    /// A leaf is `parts[0]`, the index, `parts[1]`, the salt in hexadecimal, `parts[2]`, the event, and a brace.
    fn leaves<'py>(
        &self,
        py: Python<'py>,
        positions: Positions,
        index: u64,
        parts: (&[u8], &[u8], &[u8]),
        salts: &[u8],
    ) -> PyResult<Bound<'py, PyList>> {
        let positions = positions.list();
        self.require(&positions)?;
        if salts.len() != SALT_BYTES * positions.len() {
            return Err(PyValueError::new_err(format!("{} bytes of salt for {} leaves", salts.len(), positions.len())));
        }
        let leaves = PyList::empty(py);
        let mut leaf = Vec::with_capacity(2_048);
        for (count, (&position, salt)) in positions.iter().zip(salts.chunks_exact(SALT_BYTES)).enumerate() {
            leaf.clear();
            leaf.extend_from_slice(parts.0);
            leaf.extend_from_slice((index + count as u64).to_string().as_bytes());
            leaf.extend_from_slice(parts.1);
            for byte in salt {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                leaf.push(DIGITS[usize::from(byte >> 4)]);
                leaf.push(DIGITS[usize::from(byte & 15)]);
            }
            leaf.extend_from_slice(parts.2);
            leaf.extend_from_slice(self.json(position));
            leaf.push(b'}');
            leaves.append(PyBytes::new(py, &leaf))?;
        }
        Ok(leaves)
    }
}

/// Places in a batch: a run of them, or each one named.
#[derive(FromPyObject)]
pub enum Positions {
    Run((usize, usize)),
    Each(Vec<usize>),
}

impl Positions {
    fn list(self) -> Vec<usize> {
        match self {
            Positions::Run((start, end)) => (start..end).collect(),
            Positions::Each(positions) => positions,
        }
    }
}
