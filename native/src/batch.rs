//! A whole `auditd.v1.AppendRequest`, encoded at once.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
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
    /// The tokens of actors that came along, and the positions of their events, in order.
    #[pyo3(get)]
    actor_tokens: Vec<(usize, String)>,
    encoded: Arc<Events>,
    /// The events as they were sent, where their actors have been changed since.
    sent: Option<Arc<Events>>,
}

/// The encoded events of a batch.
#[derive(Default)]
struct Events {
    texts: Texts,
    events: Vec<Encoded>,
}

impl Events {
    fn json(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.events[position - 1].json_end };
        &self.texts.json[start..self.events[position].json_end]
    }

    fn terms(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.events[position - 1].terms_end };
        &self.texts.terms[start..self.events[position].terms_end]
    }
}

impl Events {
    /// Append an event of another batch, with its actor changed by `edit`.
    fn push(&mut self, event: &Encoded, json: &[u8], terms: &[u8], edit: Option<&ActorEdit>) {
        let start = self.texts.json.len();
        let texts = &mut self.texts;
        let mut event = event.clone();
        match edit {
            None => {
                texts.json.extend_from_slice(json);
                texts.terms.extend_from_slice(terms);
            }
            Some((_, actor, tenant, actor_terms)) => {
                texts.json.extend_from_slice(&json[..event.tenant.end]);
                texts.json.extend_from_slice(tenant);
                texts.json.extend_from_slice(&json[event.tenant.end..event.actor.start]);
                texts.json.extend_from_slice(actor);
                let rest = &json[event.actor.end..event.fields_end];
                texts.json.extend_from_slice(rest);
                let fields_end = texts.json.len() - start;
                texts.json.extend_from_slice(&json[event.fields_end..]);
                event.fields_end = fields_end;
                texts.terms.extend_from_slice(&terms[..event.actor_terms.start]);
                texts.terms.extend_from_slice(actor_terms.as_bytes());
                texts.terms.extend_from_slice(&terms[event.actor_terms.end..]);
            }
        }
        event.json_end = texts.json.len();
        event.terms_end = texts.terms.len();
        self.events.push(event);
    }
}

/// Events that bring one token and state one actor and tenant: the token, both as stated, the earliest and the latest time
/// in nanoseconds, and their positions. A member has the comma before it, and is empty where it is absent.
type Act<'py> = (String, Bound<'py, PyBytes>, Bound<'py, PyBytes>, i64, i64, Vec<usize>);

/// The positions of events, their actor as it is to stand in the leaf, a tenant if they had none, and the index terms of
/// both.
type ActorEdit = (Vec<usize>, PyBackedBytes, PyBackedBytes, String);

/// A request that was read, or how many events were, before something that is not plainly well-formed: the Python path then
/// judges the others.
#[derive(IntoPyObject)]
pub enum Taken {
    Batch(AppendBatch),
    Good(usize),
}

/// Read and encode an append request.
///
/// `issuer` and `subject` are the caller's, `caller_terms` its index terms.
#[pyfunction]
pub fn read_append(
    py: Python<'_>,
    request: &Bound<'_, PyBytes>,
    issuer: &str,
    subject: &str,
    caller_terms: &str,
    max_events: usize,
) -> Taken {
    let request = request.as_bytes();
    let mut caller = Sha256::new();
    put_prefixed(&mut caller, issuer.as_bytes());
    put_prefixed(&mut caller, subject.as_bytes());
    let work = || {
        let mut encoded = Events::default();
        match AppendBatch::read(request, &caller, caller_terms, max_events, &mut encoded) {
            Ok(batch) => Taken::Batch(AppendBatch { encoded: Arc::new(encoded), ..batch }),
            Err(Declined) => Taken::Good(encoded.events.len()),
        }
    };
    if request.len() < LARGE_BYTES { work() } else { py.detach(work) }
}

impl AppendBatch {
    /// Read a request but for its events, which go to `encoded`, as far as they are good.
    fn read(
        request: &[u8],
        caller: &Sha256,
        caller_terms: &str,
        max_events: usize,
        encoded: &mut Events,
    ) -> Read<Self> {
        let mut batch = AppendBatch {
            log: String::new(),
            return_leaves: false,
            include_proofs: false,
            known_size: None,
            actor_tokens: Vec::new(),
            encoded: Arc::default(),
            sent: None,
        };
        let Events { texts, events } = encoded;
        texts.json.reserve(request.len() + request.len() / 2);
        let mut fields = Fields::of(request);
        while let Some((number, value)) = fields.next()? {
            if number != 2 {
                fields.once(number)?;
            }
            match number {
                1 => batch.log = value.text()?.to_owned(),
                2 => {
                    if events.len() == max_events {
                        return Err(Declined);
                    }
                    let (event, token) = encode(value.bytes()?, caller, caller_terms, texts)?;
                    if !token.is_empty() {
                        batch.actor_tokens.push((events.len(), token));
                    }
                    events.push(event);
                }
                3 => batch.return_leaves = value.varint()? != 0,
                4 => batch.include_proofs = value.varint()? != 0,
                5 => batch.known_size = Some(value.varint()?),
                _ => return Err(Declined),
            }
        }
        if events.is_empty() {
            return Err(Declined);
        }
        Ok(batch)
    }

    fn require(&self, positions: &[usize]) -> PyResult<()> {
        match positions.iter().find(|&&position| position >= self.encoded.events.len()) {
            Some(position) => Err(PyIndexError::new_err(format!("event {position} of {}", self.encoded.events.len()))),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl AppendBatch {
    fn __len__(&self) -> usize {
        self.encoded.events.len()
    }

    /// How many bytes the events have, encoded.
    #[getter]
    fn event_bytes(&self) -> usize {
        self.encoded.texts.json.len()
    }

    /// The earliest and the latest time of an event, in nanoseconds.
    #[getter]
    fn time_range_ns(&self) -> (i64, i64) {
        let times = || self.encoded.events.iter().map(|event| event.time_ns);
        (times().min().unwrap_or_default(), times().max().unwrap_or_default())
    }

    /// The bytes of each event, encoded.
    fn lengths(&self) -> Vec<usize> {
        (0..self.encoded.events.len()).map(|position| self.encoded.json(position).len()).collect()
    }

    /// The key of each event.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.encoded.events.iter().map(|event| PyBytes::new(py, &event.key)))
    }

    /// An event's JSON text, the length of its part before attributes, its time in nanoseconds, and that part as it
    /// was sent, where a token came along.
    fn event<'py>(
        &self,
        py: Python<'py>,
        position: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, usize, i64, Bound<'py, PyBytes>)> {
        self.require(&[position])?;
        let event = &self.encoded.events[position];
        let tokens = &self.actor_tokens;
        let sent = match &self.sent {
            Some(sent) if tokens.binary_search_by_key(&position, |(at, _)| *at).is_ok() => {
                &sent.json(position)[..sent.events[position].fields_end]
            }
            _ => &[],
        };
        let json = PyBytes::new(py, self.encoded.json(position));
        Ok((json, event.fields_end, event.time_ns, PyBytes::new(py, sent)))
    }

    /// The events that bring tokens, put together where they bring and state the same.
    fn acts<'py>(&self, py: Python<'py>) -> Vec<Act<'py>> {
        let mut acts: Vec<Act> = Vec::new();
        let mut known = HashMap::new();
        for (position, token) in &self.actor_tokens {
            let (event, json) = (&self.encoded.events[*position], self.encoded.json(*position));
            let (actor, tenant) = (&json[event.actor.clone()], &json[event.tenant.clone()]);
            let place = *known.entry((token.as_str(), actor, tenant)).or_insert_with(|| {
                let stated = (PyBytes::new(py, actor), PyBytes::new(py, tenant));
                acts.push((token.clone(), stated.0, stated.1, event.time_ns, event.time_ns, Vec::new()));
                acts.len() - 1
            });
            let act = &mut acts[place];
            act.3 = act.3.min(event.time_ns);
            act.4 = act.4.max(event.time_ns);
            act.5.push(*position);
        }
        acts
    }

    /// Return the batch with other actors; the `edits` together name each event that brings a token once.
    fn with_actors(&self, py: Python<'_>, edits: Vec<ActorEdit>) -> PyResult<AppendBatch> {
        let mut edit_at: Vec<Option<&ActorEdit>> = vec![None; self.encoded.events.len()];
        let mut left = self.actor_tokens.len();
        for edit in &edits {
            self.require(&edit.0)?;
            for &position in &edit.0 {
                let brings = self.actor_tokens.binary_search_by_key(&position, |(at, _)| *at).is_ok();
                if !brings || edit_at[position].replace(edit).is_some() {
                    left = usize::MAX;
                }
                left = left.saturating_sub(1);
            }
        }
        if self.sent.is_some() || left != 0 {
            return Err(PyValueError::new_err("edits: they must name each event that brings a token once"));
        }
        let old = &self.encoded;
        let work = || {
            let mut new = Events::default();
            new.texts.json.reserve(old.texts.json.len() * 3 / 2);
            for (position, (event, edit)) in old.events.iter().zip(&edit_at).enumerate() {
                new.push(event, old.json(position), old.terms(position), *edit);
            }
            new
        };
        let new = if old.texts.json.len() < LARGE_BYTES { work() } else { py.detach(work) };
        Ok(AppendBatch {
            log: self.log.clone(),
            actor_tokens: self.actor_tokens.clone(),
            encoded: Arc::new(new),
            sent: Some(Arc::clone(&self.encoded)),
            ..*self
        })
    }

    /// The index terms of the events at `positions`.
    fn terms<'py>(&self, py: Python<'py>, positions: Positions) -> PyResult<Bound<'py, PyList>> {
        let positions = positions.list();
        self.require(&positions)?;
        // Put together of texts and ASCII alone.
        let text = |position| std::str::from_utf8(self.encoded.terms(position)).unwrap_or_default();
        PyList::new(py, positions.iter().map(|&position| PyString::new(py, text(position))))
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
            leaf.extend_from_slice(self.encoded.json(position));
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
