//! Whether a text is an attributes object (RFC 8259, and the rules of `auditd.entry._attributes`). All that are lawful are
//! taken, however they are spelled, so that Python only ever judges those that are not.

use std::borrow::Cow;
use std::collections::HashSet;

use pyo3::prelude::*;

use crate::wire::{Declined, Result};

const MAX_BYTES: usize = 60_000;
const MAX_DEPTH: usize = 16;
const MAX_DIGITS: usize = 200; // far below what a double could not hold
const SEALED_DIGITS: usize = 64;
const FEW_NAMES: usize = 12;

/// Tell whether `text` is an attributes object; the rest is for `auditd.entry.encode_attributes` to say.
#[pyfunction]
pub fn are_attributes(text: &str) -> bool {
    check(text).is_ok()
}

/// Append the bytes that stand for `text` in a leaf; decline it unless it is an attributes object.
pub fn put(out: &mut Vec<u8>, text: &str) -> Result<()> {
    check(text)?;
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\t');
    if text.as_bytes().iter().any(breaks) {
        // They stand between tokens alone.
        out[start..].iter_mut().filter(|byte| breaks(byte)).for_each(|byte| *byte = b' ');
    }
    Ok(())
}

fn check(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        return Err(Declined);
    }
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.spaces();
    if scanner.peek() != Some(b'{') {
        return Err(Declined);
    }
    scanner.value(1)?;
    scanner.spaces();
    if scanner.at == text.len() { Ok(()) } else { Err(Declined) }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<()> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Declined);
        }
        self.at += 1;
        self.spaces();
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = Names::default();
        let (mut members, mut sealed) = (0, false);
        loop {
            let name = plain(self.string()?);
            members += 1;
            let names_a_seal = name.as_ref() == b"sealed";
            names.add(name)?;
            self.spaces();
            if !self.take(b':') {
                return Err(Declined);
            }
            self.spaces();
            if names_a_seal && self.peek() == Some(b'"') {
                sealed = is_seal(&plain(self.string()?));
            } else {
                self.value(depth + 1)?;
            }
            self.spaces();
            if self.take(b'}') {
                return if sealed && members == 1 { Err(Declined) } else { Ok(()) };
            }
            if !self.take(b',') {
                return Err(Declined);
            }
            self.spaces();
        }
    }

    fn array(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Declined);
        }
        self.at += 1;
        self.spaces();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.spaces();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Declined);
            }
            self.spaces();
        }
    }

    /// Skip a string and return what stands between its quotes.
    fn string(&mut self) -> Result<&'a [u8]> {
        if !self.take(b'"') {
            return Err(Declined);
        }
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.bytes[start..self.at - 1]);
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(Declined),
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let first = unit(self.bytes, self.at).ok_or(Declined)?;
                self.at += 6;
                if (0xd800..0xe000).contains(&first) {
                    // Of surrogates pairs alone are lawful.
                    let second = unit(self.bytes, self.at).ok_or(Declined)?;
                    if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                        return Err(Declined);
                    }
                    self.at += 6;
                }
            }
            _ => return Err(Declined),
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(Declined)
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        self.take(b'-');
        let whole = self.digits();
        let leading_zero = self.bytes[self.at - whole..].first() == Some(&b'0');
        if whole == 0 || (whole > 1 && leading_zero) {
            return Err(Declined);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(Declined);
        }
        let mut exponent = 0;
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'-') || self.take(b'+');
            exponent = self.digits();
            if exponent == 0 {
                return Err(Declined);
            }
        }
        if whole > MAX_DIGITS || exponent > 2 {
            // It may be more than a double holds.
            let text = std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Declined)?;
            if !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(Declined);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }
}

/// Return the UTF-16 unit of the escape `\\uXXXX` that stands at a place, if one does.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// Return the text that is meant by what stands between quotes, whose escapes are lawful.
fn plain(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let kind = text.get(at + 1).copied().unwrap_or_default();
        let mut point = match kind {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => unit(text, at).unwrap_or_default(),
            _ => u32::from(kind),
        };
        at += if kind == b'u' { 6 } else { 2 };
        if (0xd800..0xdc00).contains(&point) {
            point = 0x10000 + ((point & 0x3ff) << 10 | unit(text, at).unwrap_or_default() & 0x3ff);
            at += 6;
        }
        let meant = char::from_u32(point).unwrap_or_default();
        out.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Cow::Owned(out)
}

fn is_seal(text: &[u8]) -> bool {
    text.len() == SEALED_DIGITS && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The member names of one object: a list while they are few, which costs no hashing.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, [u8]>>,
    many: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: Cow<'a, [u8]>) -> Result<()> {
        let new = if self.few.len() < FEW_NAMES {
            let new = !self.few.contains(&name);
            self.few.push(name);
            new
        } else {
            if self.many.is_empty() {
                self.many.extend(self.few.iter().cloned());
            }
            self.many.insert(name)
        };
        if new { Ok(()) } else { Err(Declined) }
    }
}
