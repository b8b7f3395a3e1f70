//! Whether a text is an attributes object that stands in a leaf as written (RFC 8259, and the rules of
//! `auditd.entry._attributes`). Whatever would need a closer look is declined.

use std::collections::HashSet;

use crate::wire::{Declined, Result};

const MAX_BYTES: usize = 60_000;
const MAX_DEPTH: usize = 16;
const MAX_DIGITS: usize = 200; // far below what a double could not hold
const FEW_NAMES: usize = 12;

/// Decline `text` unless it is an object that is kept byte for byte.
pub fn check(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        return Err(Declined);
    }
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    if scanner.peek() != Some(b'{') {
        return Err(Declined);
    }
    scanner.value(1)?;
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

    /// Skip spaces. Line breaks and tabs between tokens would become spaces, so they are left to be declined.
    fn spaces(&mut self) {
        while self.take(b' ') {}
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
        loop {
            let name = self.string()?;
            // An escaped name may equal another one; an object with only `sealed` may look like a sealed value.
            if name.contains(&b'\\') || name == b"sealed" {
                return Err(Declined);
            }
            names.add(name)?;
            self.spaces();
            if !self.take(b':') {
                return Err(Declined);
            }
            self.spaces();
            self.value(depth + 1)?;
            self.spaces();
            if self.take(b'}') {
                return Ok(());
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
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Declined)?;
                // Surrogates, of which pairs alone are lawful, are left to the closer look.
                let surrogate = matches!(digits[0], b'd' | b'D') && !matches!(digits[1], b'0'..=b'7');
                if surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Declined);
                }
                self.at += 6;
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
        self.take(b'-');
        let whole = self.digits();
        let leading_zero = self.bytes[self.at - whole..].first() == Some(&b'0');
        if whole == 0 || whole > MAX_DIGITS || (whole > 1 && leading_zero) {
            return Err(Declined);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(Declined);
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'-') || self.take(b'+');
            if !(1..=2).contains(&self.digits()) {
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

/// The member names of one object: a list while they are few, which costs no hashing.
#[derive(Default)]
struct Names<'a> {
    few: Vec<&'a [u8]>,
    many: HashSet<&'a [u8]>,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a [u8]) -> Result<()> {
        let new = if self.few.len() < FEW_NAMES {
            let new = !self.few.contains(&name);
            self.few.push(name);
            new
        } else {
            if self.many.is_empty() {
                self.many.extend(self.few.iter().copied());
            }
            self.many.insert(name)
        };
        if new { Ok(()) } else { Err(Declined) }
    }
}
