//! What the bytes of a leaf say of a filter: that it selects the leaf, that it does not, or nothing for certain.

use memchr::memmem::Finder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::comparison::Test;
use crate::walk::{Odd, Value, Wanted, walk};

const MAX_DEPTH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    No,
    Unknown,
    Yes,
}

impl Verdict {
    pub fn from(known: bool) -> Self {
        if known { Verdict::Yes } else { Verdict::No }
    }

    fn not(self) -> Self {
        match self {
            Verdict::No => Verdict::Yes,
            Verdict::Unknown => Verdict::Unknown,
            Verdict::Yes => Verdict::No,
        }
    }
}

enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// The number of a comparison; `unequal` where no value may be equal, and there must be one.
    Comparison {
        number: usize,
        unequal: bool,
    },
    /// Boxed, because it wants a place at a multiple of 32 bytes, and Python gives the object that holds all this one of 16.
    FreeText(Box<Finder<'static>>),
    Unknown,
}

/// A filter over the bytes of leaves. See `auditd.filter.Sieve`, which says what a program is.
#[pyclass(frozen, module = "auditd_native")]
pub struct Sieve {
    root: Node,
    tests: Vec<Test>,
    wanted: Wanted,
    reads_text: bool,
}

/// What has been seen of one leaf's values, a comparison each.
#[derive(Clone, Copy, Default)]
struct Seen {
    any: bool,
    holds: bool,
    unknown: bool,
}

/// What judging needs, for many leaves.
pub struct Scratch {
    seen: Vec<Seen>,
    folded: Vec<u8>,
}

#[pymethods]
impl Sieve {
    #[new]
    fn new(program: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let mut sieve = Sieve { root: Node::Unknown, tests: Vec::new(), wanted: Wanted::new(), reads_text: false };
        sieve.root = sieve.node(program, MAX_DEPTH)?;
        Ok(sieve)
    }

    /// Tell whether the filter selects a leaf; None where its bytes do not say for certain.
    #[pyo3(name = "judge")]
    fn judge_one(&self, leaf: &Bound<'_, PyBytes>) -> Option<bool> {
        match self.judge(leaf.as_bytes(), &mut self.scratch()) {
            Verdict::No => Some(false),
            Verdict::Unknown => None,
            Verdict::Yes => Some(true),
        }
    }
}

impl Sieve {
    fn node(&mut self, program: &Bound<'_, PyTuple>, depth: usize) -> PyResult<Node> {
        let Some(depth) = depth.checked_sub(1) else { return Ok(Node::Unknown) };
        let kind: String = program.get_item(0)?.extract()?;
        Ok(match kind.as_str() {
            "and" => Node::All(self.nodes(program, depth)?),
            "or" => Node::Any(self.nodes(program, depth)?),
            "not" => Node::Not(Box::new(self.node(program.get_item(1)?.cast()?, depth)?)),
            "text" => {
                self.reads_text = true;
                let needle: Vec<u8> = program.get_item(1)?.extract()?;
                Node::FreeText(Box::new(Finder::new(&needle).into_owned()))
            }
            "test" => {
                let (_, path, lists, unequal, test): (String, Vec<Vec<u8>>, bool, bool, Bound<'_, PyTuple>) =
                    program.extract()?;
                let number = self.tests.len();
                if self.wanted.add(&path, number, lists).is_err() {
                    return Ok(Node::Unknown);
                }
                self.tests.push(Test::of(&test)?);
                Node::Comparison { number, unequal }
            }
            "unknown" => Node::Unknown,
            _ => return Err(PyValueError::new_err(format!("{kind:?} is no part of a filter"))),
        })
    }

    fn nodes(&mut self, program: &Bound<'_, PyTuple>, depth: usize) -> PyResult<Vec<Node>> {
        let terms: Vec<Bound<'_, PyTuple>> = program.get_item(1)?.extract()?;
        terms.iter().map(|term| self.node(term, depth)).collect()
    }

    pub fn scratch(&self) -> Scratch {
        Scratch { seen: vec![Seen::default(); self.tests.len()], folded: Vec::new() }
    }

    pub fn judge(&self, leaf: &[u8], scratch: &mut Scratch) -> Verdict {
        let Scratch { seen, folded } = scratch;
        if !self.tests.is_empty() {
            seen.fill(Seen::default());
            let read = walk(leaf, &self.wanted, &mut |number, value| seen[number].note(&self.tests[number], value));
            if let Err(Odd) = read {
                return Verdict::Unknown;
            }
        }
        let mut text = Text::NotAscii;
        if self.reads_text {
            folded.clear();
            folded.extend_from_slice(leaf);
            folded.make_ascii_lowercase();
            text = Text::of(folded);
        }
        self.verdict(&self.root, seen, folded, &text)
    }

    fn verdict(&self, node: &Node, seen: &[Seen], folded: &[u8], text: &Text) -> Verdict {
        let of = |node: &Node| self.verdict(node, seen, folded, text);
        match node {
            Node::All(terms) => all(terms, of),
            Node::Any(terms) => all(terms, |term| of(term).not()).not(),
            Node::Not(term) => of(term).not(),
            Node::Comparison { number, unequal } => seen[*number].verdict(*unequal),
            // What is found may stand in a name, or in what is sealed.
            Node::FreeText(needle) if text.excludes(folded, needle) => Verdict::No,
            Node::FreeText(_) | Node::Unknown => Verdict::Unknown,
        }
    }
}

fn all(terms: &[Node], of: impl Fn(&Node) -> Verdict) -> Verdict {
    let mut verdict = Verdict::Yes;
    for term in terms {
        match of(term) {
            Verdict::No => return Verdict::No,
            Verdict::Unknown => verdict = Verdict::Unknown,
            Verdict::Yes => {}
        }
    }
    verdict
}

impl Seen {
    fn note(&mut self, test: &Test, value: Value<'_>) {
        match test.judge(value) {
            Some(Verdict::Yes) => self.holds = true,
            Some(Verdict::Unknown) => self.unknown = true,
            Some(Verdict::No) => {}
            None => return,
        }
        self.any = true;
    }

    fn verdict(self, unequal: bool) -> Verdict {
        if unequal && self.holds {
            Verdict::No
        } else if self.holds {
            Verdict::Yes
        } else if self.unknown {
            Verdict::Unknown
        } else {
            Verdict::from(unequal && self.any)
        }
    }
}

/// How far text stands in a leaf's bytes as it is, but for the case of letters.
enum Text {
    AsItIs,
    /// But for escapes of one letter, which stand for quotes, slashes and control characters.
    ButForEscapes,
    NotAscii,
}

impl Text {
    fn of(folded: &[u8]) -> Self {
        if !folded.is_ascii() || memchr::memmem::find(folded, b"\\u").is_some() {
            Text::NotAscii
        } else if memchr::memchr(b'\\', folded).is_some() {
            Text::ButForEscapes
        } else {
            Text::AsItIs
        }
    }

    fn excludes(&self, folded: &[u8], needle: &Finder<'_>) -> bool {
        let escapable = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\' | b'/');
        match self {
            Text::NotAscii => false,
            Text::ButForEscapes if needle.needle().iter().any(escapable) => false,
            _ => needle.find(folded).is_none(),
        }
    }
}
