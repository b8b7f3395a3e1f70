//! One `auditd.v1.Event` to the text of a leaf's `event` object, its index terms, and its key.
//!
//! Accepts only what `auditd.entry` accepts, and writes the same bytes; tests hold the two together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::attributes;
use crate::json::{Object, put_string};
use crate::time::{MAX_SECONDS, put_time};
use crate::wire::{Declined, Fields, Result};

/// Limits in bytes, and of how many, by the names they have in `auditd.entry._limits`.
pub const LIMITS: &[(&str, usize)] = &[
    ("MAX_ID_BYTES", ID),
    ("MAX_TENANT_BYTES", TENANT),
    ("MAX_ACTION_BYTES", ACTION),
    ("MAX_REASON_BYTES", REASON),
    ("MAX_ACTOR_TYPE_BYTES", ACTOR_TYPE),
    ("MAX_ACTOR_ID_BYTES", ACTOR_ID),
    ("MAX_NAME_BYTES", NAME),
    ("MAX_ROLES", ROLES),
    ("MAX_ROLE_BYTES", ROLE),
    ("MAX_SESSION_ID_BYTES", SESSION_ID),
    ("MAX_AUTH_METHOD_BYTES", AUTH_METHOD),
    ("MAX_RESOURCES", RESOURCES),
    ("MAX_RESOURCE_TYPE_BYTES", RESOURCE_TYPE),
    ("MAX_RESOURCE_ID_BYTES", RESOURCE_ID),
    ("MAX_USER_AGENT_BYTES", USER_AGENT),
    ("MAX_DEVICE_ID_BYTES", DEVICE_ID),
    ("MAX_METHOD_BYTES", METHOD),
    ("MAX_ENDPOINT_BYTES", ENDPOINT),
    ("MAX_REQUEST_ID_BYTES", REQUEST_ID),
    ("MAX_PRODUCER_ID_BYTES", PRODUCER_ID),
    ("MAX_EVENT_BYTES", EVENT),
];
const ID: usize = 128;
const TENANT: usize = 128;
const ACTION: usize = 256;
const REASON: usize = 1_024;
const ACTOR_TYPE: usize = 64;
const ACTOR_ID: usize = 256;
const NAME: usize = 256;
const ROLES: usize = 64;
const ROLE: usize = 128;
const SESSION_ID: usize = 256;
const AUTH_METHOD: usize = 64;
const RESOURCES: usize = 64;
const RESOURCE_TYPE: usize = 128;
const RESOURCE_ID: usize = 1_024;
const IP: usize = 45;
const USER_AGENT: usize = 1_024;
const DEVICE_ID: usize = 256;
const METHOD: usize = 64;
const ENDPOINT: usize = 1_024;
const REQUEST_ID: usize = 256;
const TRACEPARENT: usize = 55;
const PRODUCER_ID: usize = 128;
const EVENT: usize = 256 * 1024;

const TERM_HEAD: usize = 40;
const TERM_TAIL: usize = 8;
const TERM_TRACE: usize = 19;

pub const KEY_BYTES: usize = 16;

/// Where the texts of a batch are gathered, one event after the other.
#[derive(Default)]
pub struct Texts {
    pub json: Vec<u8>,
    pub terms: Vec<u8>,
}

/// What is kept of an event beside its texts.
#[derive(Clone)]
pub struct Encoded {
    pub json_end: usize,
    pub fields_end: usize,
    /// Where in the event's JSON the tenant stands, and the actor, each with the comma before it; empty where it would.
    pub tenant: Range<usize>,
    pub actor: Range<usize>,
    pub terms_end: usize,
    /// Where in the event's terms those of the actor stand.
    pub actor_terms: Range<usize>,
    pub time_ns: i64,
    pub key: [u8; KEY_BYTES],
}

/// Where the parts that others look for stand in an event's JSON.
struct Places {
    time: Range<usize>,
    tenant: Range<usize>,
    actor: Range<usize>,
}

/// Append an event's texts, and return its actor's token beside what is kept of it; `caller` has taken in the issuer and subject that are part of every key.
pub fn encode(message: &[u8], caller: &Sha256, caller_terms: &str, texts: &mut Texts) -> Result<(Encoded, String)> {
    let event = Event::read(message)?;
    let json_start = texts.json.len();
    let places = event.write(&mut texts.json);
    let fields_end = texts.json.len() - json_start;
    if !event.attributes.is_empty() {
        texts.json.extend_from_slice(b",\"attributes\":");
        attributes::put(&mut texts.json, event.attributes)?;
    }
    texts.json.push(b'}');
    let actor_terms = event.put_terms(&mut texts.terms, caller_terms);
    let time_text = &texts.json[json_start + places.time.start..json_start + places.time.end];
    let encoded = Encoded {
        json_end: texts.json.len(),
        fields_end,
        tenant: places.tenant,
        actor: places.actor,
        actor_terms,
        terms_end: texts.terms.len(),
        time_ns: (event.seconds * 1_000_000_000) as i64 + i64::from(event.nanos),
        key: key(caller, event.id, time_text, event.seconds * 1_000 + u64::from(event.nanos / 1_000_000)),
    };
    Ok((encoded, event.actor_token.to_owned()))
}

/// See `auditd.entry.KeyMaker`.
pub fn key(caller: &Sha256, id: &str, time: &[u8], millis: u64) -> [u8; KEY_BYTES] {
    let mut name = caller.clone();
    put_prefixed(&mut name, id.as_bytes());
    put_prefixed(&mut name, time);
    let mut key = [0; KEY_BYTES];
    key[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    key[6..].copy_from_slice(&name.finalize()[..10]);
    key
}

/// Take in a text behind its length.
pub fn put_prefixed(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u32).to_be_bytes());
    hash.update(text);
}

#[derive(Default)]
struct Event<'a> {
    id: &'a str,
    seconds: u64,
    nanos: u32,
    tenant: &'a str,
    action: &'a str,
    outcome: &'static str,
    reason: &'a str,
    actor: Actor<'a>,
    resources: Vec<Resource<'a>>,
    origin: Origin<'a>,
    producer: (&'a str, u64),
    attributes: &'a str,
    actor_token: &'a str,
}

impl<'a> Event<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        if message.len() > EVENT {
            return Err(Declined);
        }
        let mut event = Event::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            if number != 8 {
                fields.once(number)?;
            }
            match number {
                1 => event.id = line(value.text()?, ID)?,
                2 => (event.seconds, event.nanos) = read_time(value.bytes()?)?,
                3 => event.tenant = line(value.text()?, TENANT)?,
                4 => event.action = line(value.text()?, ACTION)?,
                5 => event.outcome = outcome(value.varint()?)?,
                6 => event.reason = prose(value.text()?, REASON)?,
                7 => event.actor = Actor::read(value.bytes()?)?,
                8 if event.resources.len() == RESOURCES => return Err(Declined),
                8 => event.resources.push(Resource::read(value.bytes()?)?),
                9 => event.origin = Origin::read(value.bytes()?)?,
                10 => event.producer = read_producer(value.bytes()?)?,
                11 => event.attributes = value.text()?,
                13 => event.actor_token = value.text()?,
                _ => return Err(Declined),
            }
        }
        let timeless = event.seconds == 0 && event.nanos == 0;
        if event.id.is_empty() || event.action.is_empty() || timeless {
            return Err(Declined);
        }
        Ok(event)
    }

    /// Append the `event` object but for attributes and the closing brace.
    fn write(&self, json: &mut Vec<u8>) -> Places {
        let start = json.len();
        let mut object = Object::open(json);
        object.text("id", self.id);
        let out = object.name("time");
        out.push(b'"');
        let time_start = out.len() - start;
        put_time(out, self.seconds, self.nanos);
        let time_end = out.len() - start;
        out.push(b'"');
        let tenant_start = object.out.len() - start;
        object.text("tenant", self.tenant);
        let tenant_end = object.out.len() - start;
        object.text("action", self.action);
        object.text("outcome", self.outcome);
        object.text("reason", self.reason);
        let actor_start = object.out.len() - start;
        self.actor.write(&mut object);
        let actor_end = object.out.len() - start;
        if !self.resources.is_empty() {
            let out = object.name("resources");
            out.push(b'[');
            for (position, resource) in self.resources.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                resource.write(out);
            }
            out.push(b']');
        }
        self.origin.write(&mut object);
        let (producer_id, seq) = self.producer;
        if !producer_id.is_empty() || seq > 0 {
            let mut producer = Object::open(object.name("producer"));
            producer.text("id", producer_id);
            if seq > 0 {
                producer.name("seq").extend_from_slice(seq.to_string().as_bytes());
            }
            producer.close();
        }
        Places { time: time_start..time_end, tenant: tenant_start..tenant_end, actor: actor_start..actor_end }
    }

    /// Append the terms that `auditd.query._terms.terms_of` makes of the entry, each with a separator behind it; return where
    /// those of the actor stand, from the first term on.
    fn put_terms(&self, terms: &mut Vec<u8>, caller_terms: &str) -> Range<usize> {
        let start = terms.len();
        put_term(terms, b'I', tail(self.id));
        put_term(terms, b't', head(self.tenant));
        put_term(terms, b'a', head(self.action));
        put_term(terms, b'o', self.outcome);
        put_term(terms, b'r', head(self.reason));
        let actor_start = terms.len() - start;
        put_term(terms, b'k', head(self.actor.kind));
        put_term(terms, b'u', head(self.actor.id));
        put_term(terms, b'n', head(self.actor.name));
        put_term(terms, b'S', tail(self.actor.session_id));
        put_term(terms, b'm', head(self.actor.auth_method));
        for role in &self.actor.roles {
            put_term(terms, b'R', head(role));
        }
        let actor_end = terms.len() - start;
        put_term(terms, b'v', &self.origin.address_term);
        put_term(terms, b'w', head(self.origin.user_agent));
        put_term(terms, b'd', head(self.origin.device_id));
        put_term(terms, b'M', head(self.origin.method));
        put_term(terms, b'e', head(self.origin.endpoint));
        put_term(terms, b'q', tail(self.origin.request_id));
        put_term(terms, b'T', first(self.origin.traceparent, TERM_TRACE));
        for resource in &self.resources {
            put_term(terms, b'y', head(resource.kind));
            put_term(terms, b'i', head(resource.id));
            put_term(terms, b'N', head(resource.name));
        }
        put_term(terms, b'p', head(self.producer.0));
        if caller_terms.is_empty() {
            terms.pop();
        }
        terms.extend_from_slice(caller_terms.as_bytes());
        actor_start..actor_end
    }
}

#[derive(Default)]
struct Actor<'a> {
    kind: &'a str,
    id: &'a str,
    name: &'a str,
    roles: Vec<&'a str>,
    session_id: &'a str,
    auth_method: &'a str,
}

impl<'a> Actor<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut actor = Actor::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            if number != 4 {
                fields.once(number)?;
            }
            let text = value.text()?;
            match number {
                1 => actor.kind = line(text, ACTOR_TYPE)?,
                2 => actor.id = line(text, ACTOR_ID)?,
                3 => actor.name = prose(text, NAME)?,
                4 if text.is_empty() || actor.roles.len() == ROLES => return Err(Declined),
                4 => actor.roles.push(line(text, ROLE)?),
                5 => actor.session_id = line(text, SESSION_ID)?,
                6 => actor.auth_method = line(text, AUTH_METHOD)?,
                _ => return Err(Declined),
            }
        }
        Ok(actor)
    }

    fn write(&self, object: &mut Object) {
        let texts = [self.kind, self.id, self.name, self.session_id, self.auth_method];
        if self.roles.is_empty() && texts.iter().all(|text| text.is_empty()) {
            return;
        }
        let mut actor = Object::open(object.name("actor"));
        actor.text("type", self.kind);
        actor.text("id", self.id);
        actor.text("name", self.name);
        if !self.roles.is_empty() {
            let out = actor.name("roles");
            out.push(b'[');
            for (position, role) in self.roles.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                put_string(out, role);
            }
            out.push(b']');
        }
        actor.text("session_id", self.session_id);
        actor.text("auth_method", self.auth_method);
        actor.text("identity", "asserted");
        actor.close();
    }
}

#[derive(Default)]
struct Resource<'a> {
    kind: &'a str,
    id: &'a str,
    name: &'a str,
}

impl<'a> Resource<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut resource = Resource::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            fields.once(number)?;
            let text = value.text()?;
            match number {
                1 => resource.kind = line(text, RESOURCE_TYPE)?,
                2 => resource.id = line(text, RESOURCE_ID)?,
                3 => resource.name = prose(text, NAME)?,
                _ => return Err(Declined),
            }
        }
        let empty = resource.kind.is_empty() && resource.id.is_empty() && resource.name.is_empty();
        if empty { Err(Declined) } else { Ok(resource) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut resource = Object::open(out);
        resource.text("type", self.kind);
        resource.text("id", self.id);
        resource.text("name", self.name);
        resource.close();
    }
}

#[derive(Default)]
struct Origin<'a> {
    ip: &'a str,
    address_term: String,
    user_agent: &'a str,
    device_id: &'a str,
    method: &'a str,
    endpoint: &'a str,
    request_id: &'a str,
    traceparent: &'a str,
}

impl<'a> Origin<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut origin = Origin::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            fields.once(number)?;
            let text = value.text()?;
            match number {
                1 => origin.ip = line(text, IP)?,
                2 => origin.user_agent = prose(text, USER_AGENT)?,
                3 => origin.device_id = line(text, DEVICE_ID)?,
                4 => origin.method = line(text, METHOD)?,
                5 => origin.endpoint = prose(text, ENDPOINT)?,
                6 => origin.request_id = line(text, REQUEST_ID)?,
                7 => origin.traceparent = traceparent(text)?,
                _ => return Err(Declined),
            }
        }
        if !origin.ip.is_empty() {
            origin.address_term = address_term(origin.ip)?;
        }
        Ok(origin)
    }

    fn write(&self, object: &mut Object) {
        let texts = [
            ("ip", self.ip),
            ("user_agent", self.user_agent),
            ("device_id", self.device_id),
            ("method", self.method),
            ("endpoint", self.endpoint),
            ("request_id", self.request_id),
            ("traceparent", self.traceparent),
        ];
        if texts.iter().all(|(_, text)| text.is_empty()) {
            return;
        }
        let mut origin = Object::open(object.name("origin"));
        for (name, text) in texts {
            origin.text(name, text);
        }
        origin.close();
    }
}

fn read_time(message: &[u8]) -> Result<(u64, u32)> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        fields.once(number)?;
        match number {
            1 => seconds = value.varint()?,
            2 => nanos = value.varint()?,
            _ => return Err(Declined),
        }
    }
    // A negative number is a large one on the wire.
    if seconds > MAX_SECONDS || nanos > 999_999_999 {
        return Err(Declined);
    }
    Ok((seconds, nanos as u32))
}

fn read_producer(message: &[u8]) -> Result<(&str, u64)> {
    let mut producer = ("", 0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        fields.once(number)?;
        match number {
            1 => producer.0 = line(value.text()?, PRODUCER_ID)?,
            2 => producer.1 = value.varint()?,
            _ => return Err(Declined),
        }
    }
    if producer.1 > i64::MAX as u64 { Err(Declined) } else { Ok(producer) }
}

fn outcome(number: u64) -> Result<&'static str> {
    match number {
        0 => Ok(""),
        1 => Ok("SUCCESS"),
        2 => Ok("FAILURE"),
        3 => Ok("DENIED"),
        _ => Err(Declined),
    }
}

/// Text without control characters (U+0000 to U+001F, U+007F to U+009F).
fn line(text: &str, max_bytes: usize) -> Result<&str> {
    let control = |bytes: &[u8]| {
        // Without an early end, so that many bytes are looked at at once.
        bytes.iter().fold(false, |any, &byte| any | (byte < 0x20) | (byte == 0x7f))
            || (!bytes.is_ascii() && bytes.windows(2).any(|pair| pair[0] == 0xc2 && pair[1] < 0xa0))
    };
    if text.len() > max_bytes || control(text.as_bytes()) { Err(Declined) } else { Ok(text) }
}

/// Text of any character but NUL.
fn prose(text: &str, max_bytes: usize) -> Result<&str> {
    if text.len() > max_bytes || text.as_bytes().contains(&0) { Err(Declined) } else { Ok(text) }
}

/// W3C Trace Context section 3.2: version, trace, parent and flags, none of the first three all of one forbidden digit.
fn traceparent(text: &str) -> Result<&str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Ok(text);
    }
    let shaped = bytes.len() == TRACEPARENT
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    let zero = |part: &[u8]| part.iter().all(|&byte| byte == b'0');
    if !shaped || bytes.starts_with(b"ff") || zero(&bytes[3..35]) || zero(&bytes[36..52]) {
        return Err(Declined);
    }
    Ok(text)
}

/// What an address is found by: IPv4 as written, IPv6 as 32 hexadecimal digits, for it has many spellings.
fn address_term(text: &str) -> Result<String> {
    match text.parse::<IpAddr>().map_err(|_| Declined)? {
        IpAddr::V4(_) => Ok(text.to_owned()),
        IpAddr::V6(address) => {
            Ok(mapped(&address).map_or_else(|| format!("{:032x}", u128::from(address)), |v4| v4.to_string()))
        }
    }
}

fn mapped(address: &Ipv6Addr) -> Option<Ipv4Addr> {
    address.to_ipv4_mapped()
}

fn put_term(terms: &mut Vec<u8>, code: u8, text: &str) {
    if !text.is_empty() {
        terms.push(code);
        terms.extend_from_slice(text.as_bytes());
        terms.push(b'\n');
    }
}

fn head(text: &str) -> &str {
    first(text, TERM_HEAD)
}

fn first(text: &str, characters: usize) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) if text.len() > characters => &text[..end],
        _ => text,
    }
}

fn tail(text: &str) -> &str {
    match text.char_indices().rev().nth(TERM_TAIL - 1) {
        Some((start, _)) => &text[start..],
        None => text,
    }
}
