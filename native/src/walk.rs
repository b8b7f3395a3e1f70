//! A leaf as JSON (RFC 8259), read once from end to end: the values at some paths, and nothing made of the others.
//! Whatever is not plainly well-formed, or could be read in two ways, is odd, and for Python to judge.

/// The bytes are malformed, or lawful in a way that this reader does not follow.
#[derive(Debug)]
pub struct Odd;

pub type Result<T> = std::result::Result<T, Odd>;

/// A value that stands at a path; texts are the bytes between the quotes, numbers as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Text { raw: &'a [u8], escaped: bool },
    Number(&'a [u8]),
    True,
    False,
    Null,
    Object { empty: bool },
}

/// The paths of which values are wanted, as a tree of member names. Each path has a number; some have several.
#[derive(Default)]
pub struct Wanted {
    members: Vec<(Vec<u8>, Wanted)>,
    numbers: Vec<usize>,
    /// Whether a list stands for each of its elements here, for every path that leads through.
    lists: bool,
    /// Whether any other member makes a leaf odd.
    closed: bool,
}

/// Members of one object that are told apart, each by a bit.
const MAX_MEMBERS: usize = 64;
const MAX_DEPTH: usize = 32;

impl Wanted {
    pub fn new() -> Self {
        Wanted { lists: true, ..Self::default() }
    }

    /// Allow no other members of the outermost object.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Want the value at `path` under a number. Without `lists`, a list on the way makes a leaf odd.
    pub fn add(&mut self, path: &[Vec<u8>], number: usize, lists: bool) -> Result<()> {
        self.lists &= lists;
        let Some((name, rest)) = path.split_first() else {
            self.numbers.push(number);
            return Ok(());
        };
        let position = match self.members.iter().position(|(known, _)| known == name) {
            Some(position) => position,
            None if self.members.len() == MAX_MEMBERS => return Err(Odd),
            None => {
                self.members.push((name.clone(), Wanted::new()));
                self.members.len() - 1
            }
        };
        self.members[position].1.add(rest, number, lists)
    }
}

/// Read all of `leaf`, and call `found(number, value)` for each value at a wanted path, in the order of the bytes.
pub fn walk<'a>(leaf: &'a [u8], wanted: &Wanted, found: &mut impl FnMut(usize, Value<'a>)) -> Result<()> {
    if std::str::from_utf8(leaf).is_err() {
        return Err(Odd);
    }
    let mut reader = Reader { bytes: leaf, at: 0 };
    reader.wanted(wanted, found, MAX_DEPTH)?;
    if reader.at == leaf.len() { Ok(()) } else { Err(Odd) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(Odd) }
    }

    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    /// Read a value of which something is wanted.
    fn wanted(&mut self, wanted: &Wanted, found: &mut impl FnMut(usize, Value<'a>), depth: usize) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(Odd)?;
        match self.peek() {
            Some(b'{') => self.wanted_object(wanted, found, depth),
            Some(b'[') if wanted.lists => self.elements(|reader| reader.wanted(wanted, found, depth)),
            Some(b'[') => Err(Odd),
            _ => {
                let value = self.scalar()?;
                wanted.numbers.iter().for_each(|&number| found(number, value));
                Ok(())
            }
        }
    }

    fn wanted_object(&mut self, wanted: &Wanted, found: &mut impl FnMut(usize, Value<'a>), depth: usize) -> Result<()> {
        let mut seen = 0u64;
        let empty = self.members(|reader, name, escaped| {
            // A sealed value has no members that could be compared; an escaped name may be any name.
            if escaped || name == b"sealed" {
                return Err(Odd);
            }
            let Some(position) = wanted.members.iter().position(|(known, _)| known == name) else {
                return if wanted.closed { Err(Odd) } else { reader.skip(depth) };
            };
            let bit = 1 << position;
            if seen & bit != 0 {
                return Err(Odd);
            }
            seen |= bit;
            reader.wanted(&wanted.members[position].1, found, depth)
        })?;
        wanted.numbers.iter().for_each(|&number| found(number, Value::Object { empty }));
        Ok(())
    }

    /// Read a value of which nothing is wanted.
    fn skip(&mut self, depth: usize) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(Odd)?;
        match self.peek() {
            Some(b'{') => self.members(|reader, _, _| reader.skip(depth)).map(|_| ()),
            Some(b'[') => self.elements(|reader| reader.skip(depth)),
            _ => self.scalar().map(|_| ()),
        }
    }

    /// Read an object, each value by `value(self, name, whether it has escapes)`; tell whether there was none.
    fn members(&mut self, mut value: impl FnMut(&mut Self, &'a [u8], bool) -> Result<()>) -> Result<bool> {
        self.at += 1;
        self.spaces();
        if self.take(b'}') {
            return Ok(true);
        }
        loop {
            let (name, escaped) = self.text()?;
            self.spaces();
            self.expect(b':')?;
            self.spaces();
            value(self, name, escaped)?;
            self.spaces();
            if self.take(b'}') {
                return Ok(false);
            }
            self.expect(b',')?;
            self.spaces();
        }
    }

    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.at += 1;
        self.spaces();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            self.spaces();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.spaces();
        }
    }

    fn scalar(&mut self) -> Result<Value<'a>> {
        match self.peek() {
            Some(b'"') => self.text().map(|(raw, escaped)| Value::Text { raw, escaped }),
            Some(b't') => self.word(b"true", Value::True),
            Some(b'f') => self.word(b"false", Value::False),
            Some(b'n') => self.word(b"null", Value::Null),
            _ => self.number(),
        }
    }

    /// Read a string; return what stands between its quotes, and whether that has escapes.
    fn text(&mut self) -> Result<(&'a [u8], bool)> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((&self.bytes[start..self.at - 1], escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Odd),
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        let length = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Odd)?;
                // Surrogates are lawful in pairs alone, which is left to Python.
                let surrogate = matches!(digits[0], b'd' | b'D') && !matches!(digits[1], b'0'..=b'7');
                if surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Odd);
                }
                6
            }
            _ => return Err(Odd),
        };
        self.at += length;
        Ok(())
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        Err(Odd)
    }

    fn number(&mut self) -> Result<Value<'a>> {
        let start = self.at;
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (whole > 1 && leading_zero) {
            return Err(Odd);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(Odd);
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'-') || self.take(b'+');
            if self.digits() == 0 {
                return Err(Odd);
            }
        }
        Ok(Value::Number(&self.bytes[start..self.at]))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }
}

/// Return how many bytes, from the first on, stand for themselves in a string: no quote, backslash or control character.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // A byte is zero where its high bit comes up; bytes above the first such one may be told wrongly.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\'))) | controls;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(bytes.len() - at)
}
