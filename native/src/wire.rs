//! The protobuf wire format, read strictly: whatever is unusual is declined, for the Python path to judge.

/// The bytes are malformed, or lawful in a way that this reader does not follow.
#[derive(Debug)]
pub struct Declined;

pub type Result<T> = std::result::Result<T, Declined>;

/// A field's value; groups and fixed-width fields occur in no message of ours.
pub enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) => Err(Declined),
        }
    }

    pub fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Declined)
    }

    pub fn varint(self) -> Result<u64> {
        match self {
            Value::Varint(number) => Ok(number),
            Value::Bytes(_) => Err(Declined),
        }
    }
}

/// The fields of one message, in the order of its bytes.
pub struct Fields<'a> {
    rest: &'a [u8],
    seen: u64,
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields { rest: message, seen: 0 }
    }

    /// The next field's number and value; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Declined)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Declined)?;
                if length > self.rest.len() {
                    return Err(Declined);
                }
                let (bytes, rest) = self.rest.split_at(length);
                self.rest = rest;
                Value::Bytes(bytes)
            }
            _ => return Err(Declined),
        };
        Ok(Some((number, value)))
    }

    /// Decline a field that must occur once and has occurred before: of scalars the last would count, messages would be
    /// merged.
    pub fn once(&mut self, number: u32) -> Result<()> {
        let bit = 1u64.checked_shl(number).ok_or(Declined)?;
        if self.seen & bit != 0 {
            return Err(Declined);
        }
        self.seen |= bit;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for (position, &byte) in self.rest.iter().enumerate().take(10) {
            if position == 9 && byte > 1 {
                return Err(Declined);
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                self.rest = &self.rest[position + 1..];
                return Ok(value);
            }
        }
        Err(Declined)
    }
}

/// Append a tag and a length-delimited value.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Append a tag and a number, unless it is zero, which the wire leaves out.
pub fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(number << 3));
        put_varint(out, value);
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
