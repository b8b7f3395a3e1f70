//! Single comparisons of a filter, held against one value (`auditd.filter._predicate`).

use std::net::IpAddr;

use memchr::memmem::Finder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::sieve::Verdict;
use crate::walk::Value;

/// Whole numbers up to this are doubles as well.
const EXACT: u64 = 1 << 53;
const MAX_DIGITS: usize = 18;

/// What a value is compared with.
pub enum Test {
    Present,
    Text(Vec<u8>),
    Starts(Vec<u8>),
    Ends(Vec<u8>),
    Holds(Box<Finder<'static>>),
    TextOrder(Order, Vec<u8>),
    /// A time, or the times from the first on and before the second, in canonical form.
    Time(Vec<u8>),
    Period(Vec<u8>, Vec<u8>),
    TimeOrder(Order, Vec<u8>),
    /// A number; where a text is given, a string that is spelled so is equal as well.
    Number(Number, Option<Vec<u8>>),
    NumberOrder(Order, Number),
    /// True, false or null, or a string that is spelled so.
    Constant(Option<bool>, Vec<u8>),
    Network(u8, u128, u128),
    /// An object stands for its names: nothing that is judged here.
    Names(Box<Test>),
}

#[derive(Clone, Copy)]
pub enum Number {
    Whole(i64),
    Double(f64),
}

#[derive(Clone, Copy)]
pub struct Order {
    less: bool,
    equal: bool,
}

impl Order {
    fn of(operator: &str) -> PyResult<Self> {
        match operator {
            "<" | "<=" => Ok(Order { less: true, equal: operator == "<=" }),
            ">" | ">=" => Ok(Order { less: false, equal: operator == ">=" }),
            _ => Err(PyValueError::new_err(format!("{operator:?} is no order"))),
        }
    }

    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match left.partial_cmp(right) {
            Some(std::cmp::Ordering::Equal) => self.equal,
            Some(std::cmp::Ordering::Less) => self.less,
            Some(std::cmp::Ordering::Greater) => !self.less,
            None => false,
        }
    }
}

impl Test {
    /// Make a test of its kind and what that needs; see `auditd.filter._sieve`.
    pub fn of(test: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let kind: String = test.get_item(0)?.extract()?;
        let text = |at| test.get_item(at)?.extract::<Vec<u8>>();
        let order = || Order::of(&test.get_item(1)?.extract::<String>()?);
        Ok(match kind.as_str() {
            "present" => Test::Present,
            "text" => Test::Text(text(1)?),
            "starts" => Test::Starts(text(1)?),
            "ends" => Test::Ends(text(1)?),
            "holds" => Test::Holds(Box::new(Finder::new(&text(1)?).into_owned())),
            "text order" => Test::TextOrder(order()?, text(2)?),
            "time" => Test::Time(text(1)?),
            "period" => Test::Period(text(1)?, text(2)?),
            "time order" => Test::TimeOrder(order()?, text(2)?),
            "number" => Test::Number(Number::of(&test.get_item(1)?)?, test.get_item(2)?.extract()?),
            "number order" => Test::NumberOrder(order()?, Number::of(&test.get_item(2)?)?),
            "constant" => Test::Constant(test.get_item(1)?.extract()?, text(2)?),
            "network" => {
                Test::Network(test.get_item(1)?.extract()?, test.get_item(2)?.extract()?, test.get_item(3)?.extract()?)
            }
            "names" => Test::Names(Box::new(Test::of(test.get_item(1)?.cast()?)?)),
            _ => return Err(PyValueError::new_err(format!("{kind:?} is no test"))),
        })
    }

    /// Tell whether a value passes; None for one that is not compared at all.
    pub fn judge(&self, value: Value<'_>) -> Option<Verdict> {
        if let (Test::Present, Value::Object { empty: true }) = (self, value) {
            return None;
        }
        Some(match (self, value) {
            (Test::Present, _) => Verdict::Yes,
            (Test::Names(_), Value::Object { .. }) => Verdict::Unknown,
            (Test::Names(test), value) => return test.judge(value),
            (_, Value::Object { .. }) => return None,
            (_, Value::Text { escaped: true, .. }) => Verdict::Unknown,
            (_, Value::Text { raw, .. }) => self.judge_text(raw),
            (Test::Number(number, _), Value::Number(raw)) => {
                compare(raw, *number, |ordering| ordering == Some(std::cmp::Ordering::Equal))
            }
            (Test::NumberOrder(order, number), Value::Number(raw)) => compare(raw, *number, |ordering| {
                ordering.is_some_and(|ordering| order.holds(&ordering, &std::cmp::Ordering::Equal))
            }),
            // In Python true equals 1.
            (Test::Number(..), Value::True | Value::False) => Verdict::Unknown,
            (Test::Constant(constant, _), Value::True) => Verdict::from(*constant == Some(true)),
            (Test::Constant(constant, _), Value::False) => Verdict::from(*constant == Some(false)),
            (Test::Constant(constant, _), Value::Null) => Verdict::from(constant.is_none()),
            _ => Verdict::No,
        })
    }

    fn judge_text(&self, raw: &[u8]) -> Verdict {
        let time = |raw: &'_ [u8], test: &dyn Fn(&[u8]) -> bool| Verdict::from(canonical(raw).is_some_and(test));
        match self {
            Test::Text(text) | Test::Number(_, Some(text)) | Test::Constant(_, text) => Verdict::from(raw == text),
            Test::Starts(text) => Verdict::from(raw.starts_with(text)),
            Test::Ends(text) => Verdict::from(raw.ends_with(text)),
            Test::Holds(finder) => Verdict::from(finder.find(raw).is_some()),
            Test::TextOrder(order, text) => Verdict::from(order.holds(raw, text.as_slice())),
            Test::Time(text) => time(raw, &|value| value == text),
            Test::Period(start, end) => time(raw, &|value| value >= start.as_slice() && value < end.as_slice()),
            Test::TimeOrder(order, text) => time(raw, &|value| order.holds(value, text.as_slice())),
            Test::Network(version, low, high) => in_network(raw, *version, *low, *high),
            _ => Verdict::No,
        }
    }
}

impl Number {
    fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(whole) = value.extract::<i64>() {
            return Ok(Number::Whole(whole));
        }
        value.extract::<f64>().map(Number::Double)
    }

    fn read(raw: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        if raw.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Number::Double);
        }
        if raw.len() > MAX_DIGITS { None } else { text.parse().ok().map(Number::Whole) }
    }
}

/// Compare a number as written with another one, as exactly as Python does, or not at all.
fn compare(raw: &[u8], number: Number, holds: impl Fn(Option<std::cmp::Ordering>) -> bool) -> Verdict {
    let Some(value) = Number::read(raw) else { return Verdict::Unknown };
    let ordering = match (value, number) {
        (Number::Whole(left), Number::Whole(right)) => Some(left.cmp(&right)),
        (Number::Double(left), Number::Double(right)) => left.partial_cmp(&right),
        (Number::Whole(left), Number::Double(right)) if left.unsigned_abs() <= EXACT => {
            (left as f64).partial_cmp(&right)
        }
        (Number::Double(left), Number::Whole(right)) if right.unsigned_abs() <= EXACT => {
            left.partial_cmp(&(right as f64))
        }
        _ => return Verdict::Unknown,
    };
    Verdict::from(holds(ordering))
}

/// Return a leaf's time in canonical form (`auditd.filter.leaf_time`); None for another text.
fn canonical(raw: &[u8]) -> Option<&[u8]> {
    let text = raw.strip_suffix(b"Z")?;
    if !text.contains(&b'.') {
        return Some(text);
    }
    let strip = |text: &[u8], byte: u8| text.iter().rposition(|&each| each != byte).map_or(0, |at| at + 1);
    let text = &text[..strip(text, b'0')];
    Some(&text[..strip(text, b'.')])
}

fn in_network(raw: &[u8], version: u8, low: u128, high: u128) -> Verdict {
    let Some(address) = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
        return Verdict::Unknown; // a zone, perhaps
    };
    let (found, number) = match address.to_canonical() {
        IpAddr::V4(address) => (4, u128::from(u32::from(address))),
        IpAddr::V6(address) => (6, u128::from(address)),
    };
    Verdict::from(found == version && (low..=high).contains(&number))
}
