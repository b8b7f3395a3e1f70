//! What leaves say of themselves, against where and under which key they are stored (`auditd.log.check._leaves`).

use std::collections::HashSet;
use std::sync::LazyLock;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use crate::event::{key, put_prefixed};
use crate::frames::Dictionaries;
use crate::time::millis;
use crate::tree::{HASH_BYTES, leaf_hash};
use crate::walk::{Value, Wanted, walk};

/// The members of a leaf, in their order, and what of them is looked at.
const PATHS: [&[&str]; 17] = [
    &["v"],
    &["log"],
    &["index"],
    &["recorded_at"],
    &["clock"],
    &["salt"],
    &["caller"],
    &["event"],
    &["caller", "kind"],
    &["caller", "iss"],
    &["caller", "sub"],
    &["caller", "credential"],
    &["event", "id"],
    &["event", "time"],
    &["event", "actor"],
    &["event", "actor", "credential"],
    &["event", "actor", "kind"],
];
const MEMBERS: usize = 8;
const RECORDED_AT: usize = 3;
const CLOCK: usize = 4;
const SALT: usize = 5;
const CALLER: usize = 6;
const EVENT: usize = 7;
const KIND: usize = 8;
const ISSUER: usize = 9;
const SUBJECT: usize = 10;
const CREDENTIAL: usize = 11;
const ID: usize = 12;
const TIME: usize = 13;
const ACTOR: usize = 14;
const ACTOR_CREDENTIAL: usize = 15;
const ACTOR_KIND: usize = 16;

static WANTED: LazyLock<Wanted> = LazyLock::new(|| {
    let mut wanted = Wanted::new();
    for (number, path) in PATHS.iter().enumerate() {
        let path: Vec<Vec<u8>> = path.iter().map(|name| name.as_bytes().to_vec()).collect();
        // There are few enough of them.
        let _ = wanted.add(&path, number, false);
    }
    wanted.close();
    wanted
});

/// What is stored of an entry: its index, key and frame.
type Row<'py> = (u64, Bound<'py, PyAny>, Bound<'py, PyAny>);
/// The hashes of leaves, concatenated; the positions of rows that Python must judge, whose hash is zero; from where on
/// leaves say another time of recording; where they name a credential, or a certificate, that none before has.
type Checked<'py> = (Bound<'py, PyBytes>, Vec<usize>, Vec<(usize, String)>, Vec<(usize, bool, Bound<'py, PyBytes>)>);

#[derive(Default)]
struct Found {
    hashes: Vec<u8>,
    declined: Vec<usize>,
    times: Vec<(usize, String)>,
    named: Vec<(usize, bool, [u8; HASH_BYTES])>,
    known: HashSet<(bool, [u8; HASH_BYTES])>,
}

/// Check the leaves of some rows of the log that `head` begins the leaves of, up to their index.
#[pyfunction]
pub fn check_leaves<'py>(
    py: Python<'py>,
    rows: Vec<Row<'py>>,
    head: &[u8],
    dictionaries: &Dictionaries,
) -> PyResult<Checked<'py>> {
    let rows: Vec<(u64, &[u8], &[u8])> =
        rows.iter().map(|(index, key, frame)| (*index, stored(key), stored(frame))).collect();
    let found = py.detach(|| {
        let mut found = Found::default();
        let mut leaf = Vec::with_capacity(4_096);
        for (position, (index, key, frame)) in rows.iter().enumerate() {
            leaf.clear();
            if found.check(position, *index, key, frame, head, dictionaries, &mut leaf).is_none() {
                found.hashes.resize((position + 1) * HASH_BYTES, 0);
                found.declined.push(position);
            }
        }
        found
    });
    let named = found.named.iter().map(|(position, kind, name)| (*position, *kind, PyBytes::new(py, name))).collect();
    Ok((PyBytes::new(py, &found.hashes), found.declined, found.times, named))
}

/// Return the bytes of a value; none for one of another type, which a damaged page may hold.
fn stored<'a>(value: &'a Bound<'_, PyAny>) -> &'a [u8] {
    value.cast::<PyBytes>().map(|bytes| bytes.as_bytes()).unwrap_or_default()
}

impl Found {
    /// Take in an entry whose leaf is plainly what it must be.
    #[allow(clippy::too_many_arguments)] // what is stored, and what of
    fn check(
        &mut self,
        position: usize,
        index: u64,
        stored_key: &[u8],
        frame: &[u8],
        head: &[u8],
        dictionaries: &Dictionaries,
        leaf: &mut Vec<u8>,
    ) -> Option<()> {
        dictionaries.decompress(frame, leaf)?;
        let rest = leaf.strip_prefix(head)?.strip_prefix(index.to_string().as_bytes())?;
        if !rest.starts_with(b",\"recorded_at\":\"") {
            return None;
        }
        let mut values = [None; PATHS.len()];
        let (mut last, mut ordered) = (0, true);
        walk(leaf, &WANTED, &mut |number, value| {
            values[number] = Some(value);
            if number < MEMBERS {
                ordered &= last <= number;
                last = number;
            }
        })
        .ok()?;
        let members = (0..MEMBERS).all(|number| values[number].is_some() || number == CLOCK);
        let groups = [CALLER, EVENT].iter().all(|&number| matches!(values[number], Some(Value::Object { .. })));
        if !ordered || !members || !groups {
            return None;
        }
        let text = |number: usize| match values[number] {
            Some(Value::Text { raw, escaped: false }) => std::str::from_utf8(raw).ok(),
            _ => None,
        };
        // A text; where there is no such member, empty.
        let text_if_any = |number: usize| if values[number].is_none() { Some("") } else { text(number) };
        text(SALT)?;
        let (id, time, recorded_at) = (text(ID)?, text(TIME)?, text(RECORDED_AT)?);
        let mut caller = Sha256::new();
        put_prefixed(&mut caller, text_if_any(ISSUER)?.as_bytes());
        put_prefixed(&mut caller, text_if_any(SUBJECT)?.as_bytes());
        if key(&caller, id, time.as_bytes(), millis(time.as_bytes())?) != stored_key {
            return None;
        }
        if !matches!(values[ACTOR], None | Some(Value::Object { .. })) {
            return None;
        }
        let mut named = Vec::with_capacity(2);
        for (number, kind) in [(CREDENTIAL, KIND), (ACTOR_CREDENTIAL, ACTOR_KIND)] {
            if values[number].is_some() {
                named.push((text_if_any(kind)? == "certificate", name_of(text(number)?)?));
            }
        }
        for name in named {
            if self.known.insert(name) {
                self.named.push((position, name.0, name.1));
            }
        }
        let follows = position.checked_sub(1).is_some_and(|before| self.declined.last() != Some(&before));
        if !follows || self.times.last().is_none_or(|(_, before)| before != recorded_at) {
            self.times.push((position, recorded_at.to_owned()));
        }
        self.hashes.extend_from_slice(&leaf_hash(leaf));
        Some(())
    }
}

/// Return the 32 bytes that a name is written as.
fn name_of(text: &str) -> Option<[u8; HASH_BYTES]> {
    let digits = text.as_bytes();
    let mut name = [0; HASH_BYTES];
    if digits.len() != 2 * HASH_BYTES {
        return None;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(&mut name) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(name)
}
