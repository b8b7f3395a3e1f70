//! Runs of the index of fields: which terms some consecutive entries have, in blocks of neighbouring terms.
//!
//! The form is described in `auditd.query._runs`, whose functions these stand in for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use memchr::memchr_iter;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

const MOST_ROWS: usize = 65_536;
const BLOCK_BYTES: usize = 2_600;
const NUMBERS_BYTES: usize = 6;
const WORD_BYTES: usize = 2;
const WORD_BITS: usize = 16;
const BREAK: u8 = b'\n';

type Block = (Vec<u8>, Vec<u8>);
type PyBlock<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Return the blocks of a run of entries, the terms of each separated by line feeds.
#[pyfunction]
pub fn make_run<'py>(py: Python<'py>, rows: Vec<PyBackedStr>) -> PyResult<Vec<PyBlock<'py>>> {
    if rows.len() > MOST_ROWS {
        return Err(PyValueError::new_err(format!("{} rows are more than a run", rows.len())));
    }
    Ok(to_python(py, py.detach(|| make(&rows))))
}

/// Return the blocks of a run that consists of others, each given by its length and its blocks, in order.
#[pyfunction]
pub fn merge_runs<'py>(py: Python<'py>, runs: Vec<(usize, Vec<PyBackedBytes>)>) -> PyResult<Vec<PyBlock<'py>>> {
    if runs.iter().map(|(length, _)| *length).fold(0, usize::saturating_add) > MOST_ROWS {
        return Err(PyValueError::new_err("more rows than a run"));
    }
    let merged = py.detach(|| merge(&runs));
    Ok(to_python(py, merged.ok_or_else(|| PyValueError::new_err("a block is damaged"))?))
}

fn to_python(py: Python<'_>, blocks: Vec<Block>) -> Vec<PyBlock<'_>> {
    blocks.iter().map(|(term, block)| (PyBytes::new(py, term), PyBytes::new(py, block))).collect()
}

fn make(rows: &[PyBackedStr]) -> Vec<Block> {
    let mut ids: HashMap<&[u8], usize> = HashMap::new();
    // By the id of a term: the term, in how many rows it is, and the last of them.
    let mut terms: Vec<(&[u8], usize, usize)> = Vec::new();
    let mut recent: [Option<usize>; 256] = [None; 256];
    let mut found: Vec<(usize, u16)> = Vec::with_capacity(rows.len() * 16);
    for (row, text) in rows.iter().enumerate() {
        let text = text.as_bytes();
        let mut start = 0;
        for end in memchr_iter(BREAK, text).chain([text.len()]) {
            let term = &text[start..end];
            start = end + 1;
            if term.is_empty() {
                continue;
            }
            // Neighbours are alike, and looking a term up is what takes the time.
            let recent = &mut recent[usize::from(term[0])];
            let id = match *recent {
                Some(id) if terms[id].0 == term => id,
                _ => match ids.entry(term) {
                    Entry::Occupied(entry) => *entry.get(),
                    Entry::Vacant(entry) => {
                        terms.push((term, 0, usize::MAX));
                        *entry.insert(terms.len() - 1)
                    }
                },
            };
            *recent = Some(id);
            let (_, count, last) = &mut terms[id];
            if *last != row {
                (*count, *last) = (*count + 1, row);
                found.push((id, row as u16));
            }
        }
    }
    let mut starts = Vec::with_capacity(terms.len() + 1);
    starts.push(0);
    for (_, count, _) in &terms {
        starts.push(starts[starts.len() - 1] + count);
    }
    let mut next = starts.clone();
    let mut numbers = vec![0u16; found.len()];
    for (id, row) in found {
        numbers[next[id]] = row;
        next[id] += 1;
    }
    let mut order: Vec<(u64, usize)> = terms.iter().enumerate().map(|(id, (term, ..))| (beginning(term), id)).collect();
    order.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| terms[one.1].0.cmp(terms[other.1].0)));
    let mut blocks = Blocks::new(rows.len());
    for (_, id) in order {
        blocks.push(terms[id].0, &numbers[starts[id]..starts[id + 1]]);
    }
    blocks.finish()
}

/// Return a number by which terms are in the same order as by their first eight bytes.
fn beginning(term: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = term.len().min(bytes.len());
    bytes[..length].copy_from_slice(&term[..length]);
    u64::from_be_bytes(bytes)
}

fn merge(runs: &[(usize, Vec<PyBackedBytes>)]) -> Option<Vec<Block>> {
    let parts: Vec<Vec<(&[u8], &[u8])>> = runs.iter().map(|(_, blocks)| read(blocks)).collect::<Option<_>>()?;
    let mut blocks = Blocks::new(runs.iter().map(|(length, _)| length).sum());
    let mut next = vec![0; parts.len()];
    let mut rows = Vec::new();
    while let Some(term) = parts.iter().zip(&next).filter_map(|(part, &at)| part.get(at)).map(|(term, _)| *term).min() {
        rows.clear();
        let mut first = 0;
        for ((part, at), (length, _)) in parts.iter().zip(&mut next).zip(runs) {
            if let Some((_, words)) = part.get(*at).filter(|(other, _)| *other == term) {
                unpack(words, *length, first, &mut rows)?;
                *at += 1;
            }
            first += length;
        }
        blocks.push(term, &rows);
    }
    Some(blocks.finish())
}

/// Return the terms of a run's blocks, ascending, and the words of each; None for what is damaged.
fn read(blocks: &[PyBackedBytes]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut parts: Vec<(&[u8], &[u8])> = Vec::new();
    for block in blocks {
        let (numbers, rest) = block.split_at_checked(NUMBERS_BYTES)?;
        let count = usize::from(u16::from_le_bytes([numbers[0], numbers[1]]));
        let text_bytes = u32::from_le_bytes([numbers[2], numbers[3], numbers[4], numbers[5]]) as usize;
        let (words, rest) = rest.split_at_checked(WORD_BYTES * count)?;
        let (text, mut rows) = rest.split_at_checked(text_bytes)?;
        let mut terms = text.split(|&byte| byte == BREAK);
        for words in words.chunks_exact(WORD_BYTES) {
            let bytes = WORD_BYTES * usize::from(u16::from_le_bytes([words[0], words[1]]));
            let (own, others) = rows.split_at_checked(bytes)?;
            let term = terms.next()?;
            if parts.last().is_some_and(|(before, _)| *before >= term) {
                return None;
            }
            parts.push((term, own));
            rows = others;
        }
        if !rows.is_empty() || terms.next().is_some() {
            return None;
        }
    }
    Some(parts)
}

/// Append the rows of a run of some length, counted from `first` on; None for what no such run holds.
fn unpack(words: &[u8], length: usize, first: usize, rows: &mut Vec<u16>) -> Option<()> {
    let most = bitmap_words(length);
    if words.len() == WORD_BYTES * most {
        for (place, &byte) in words.iter().enumerate() {
            let mut bits = byte;
            while bits != 0 {
                let row = 8 * place + bits.trailing_zeros() as usize;
                if row >= length {
                    return None;
                }
                rows.push((first + row) as u16);
                bits &= bits - 1;
            }
        }
        return Some(());
    }
    let mut before = None;
    for word in words.chunks_exact(WORD_BYTES) {
        let row = usize::from(u16::from_le_bytes([word[0], word[1]]));
        if row >= length || before.is_some_and(|before| row <= before) {
            return None;
        }
        rows.push((first + row) as u16);
        before = Some(row);
    }
    (words.len() < WORD_BYTES * most).then_some(())
}

fn bitmap_words(length: usize) -> usize {
    length.div_ceil(WORD_BITS)
}

/// The blocks of a run so far, and the one that is being filled.
struct Blocks {
    length: usize,
    done: Vec<Block>,
    first: Vec<u8>,
    count: u16,
    text: Vec<u8>,
    words: Vec<u8>,
    rows: Vec<u8>,
}

impl Blocks {
    fn new(length: usize) -> Self {
        let (done, first, text, words, rows) = Default::default();
        Self { length, done, first, count: 0, text, words, rows }
    }

    /// Add the next term, and its rows, ascending.
    fn push(&mut self, term: &[u8], rows: &[u16]) {
        let most = bitmap_words(self.length);
        let words = rows.len().min(most);
        let more = term.len() + 1 + WORD_BYTES + WORD_BYTES * words;
        // One separator more than there are, as in Python.
        let size = self.text.len() + usize::from(self.count > 0) + self.words.len() + self.rows.len();
        if self.count > 0 && size + more > BLOCK_BYTES {
            self.close();
        }
        if self.count == 0 {
            self.first.extend_from_slice(term);
        } else {
            self.text.push(BREAK);
        }
        self.count += 1;
        self.text.extend_from_slice(term);
        self.words.extend_from_slice(&(words as u16).to_le_bytes());
        if rows.len() < most {
            rows.iter().for_each(|row| self.rows.extend_from_slice(&row.to_le_bytes()));
        } else {
            let start = self.rows.len();
            self.rows.resize(start + WORD_BYTES * most, 0);
            rows.iter().for_each(|&row| self.rows[start + usize::from(row >> 3)] |= 1 << (row & 7));
        }
    }

    fn close(&mut self) {
        let mut block = Vec::with_capacity(NUMBERS_BYTES + self.words.len() + self.text.len() + self.rows.len());
        block.extend_from_slice(&self.count.to_le_bytes());
        block.extend_from_slice(&(self.text.len() as u32).to_le_bytes());
        for part in [&mut self.words, &mut self.text, &mut self.rows] {
            block.append(part);
        }
        self.count = 0;
        self.done.push((std::mem::take(&mut self.first), block));
    }

    fn finish(mut self) -> Vec<Block> {
        if self.count > 0 {
            self.close();
        }
        self.done
    }
}
