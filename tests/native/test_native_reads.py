"""Reading many leaves in native code, against its Python reference: what it answers for certain, Python answers too."""

import json
import struct

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditd.errors import AuditdError, DamagedError, InvalidRequestError
from auditd.filter import FIELDS, And, FreeText, Not, Or, Sieve, compile_predicate, parse
from auditd.filter._sieve import program
from auditd.log._frames import FrameCodec
from auditd.log._leaves import read_leaves, sift_leaves
from auditd.merkle import leaf_hash
from auditd.query._leaf import parse_leaf

LEAVES = [b'{"event":{"id":"%d","actor":{"id":"user-%d"}},"index":%d}' % (n, n % 7, n) for n in range(400)]


def trained(sample):
    return zstandard.train_dictionary(4_096, sample, dict_id=7).as_bytes()


DICTIONARY = trained(LEAVES * 3)
OTHER = zstandard.train_dictionary(4_096, LEAVES * 3, dict_id=8).as_bytes()


def frames_of(leaves, dictionary=DICTIONARY):
    return FrameCodec([dictionary] if dictionary else []).compress(list(leaves))


def stream_frame(leaf):
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(leaf) + compressor.flush()


def bomb(stated, held):
    """Return a frame that states one size and holds another."""
    frame = bytearray(zstandard.ZstdCompressor().compress(b"\0" * held))
    at = frame.index(struct.pack("<I", held)) if held > 65_791 else 5
    frame[at : at + 4] = struct.pack("<I", stated)
    return bytes(frame)


SOUND = [frames_of(LEAVES[:1]), frames_of(LEAVES[:1], None), frames_of([b""]), frames_of([b"x" * 65_535])]
HOSTILE = {
    "nothing": b"",
    "no frame": b"plain text",
    "a value of another type": "text",
    "a frame with bytes behind it": SOUND[0][0] + b"x",
    "two frames": SOUND[0][0] * 2,
    "a frame cut short": SOUND[0][0][:-3],
    "a skippable frame": b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
    "a frame behind a skippable one": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + SOUND[0][0],
    "a frame that states no size": stream_frame(LEAVES[0]),
    "an unknown dictionary": frames_of(LEAVES[:1], OTHER)[0],
    "a leaf too long": zstandard.ZstdCompressor().compress(b"x" * 65_536),
    "a bomb": zstandard.ZstdCompressor().compress(bytes(50_000_000)),
    "a bomb that states less": bomb(1_000, 1_000_000),
}


def read_natively(native, codec, frames, hashes):
    leaves = native.read_leaves(frames, codec.native or native.Dictionaries([DICTIONARY]), hashes)
    sifted = native.sift_leaves(frames, native.Dictionaries([DICTIONARY]), hashes, native.Sieve(program(And(()))), 3)
    assert sifted == (None if leaves is None else [(index, leaf, True) for index, leaf in enumerate(leaves, 3)])
    return leaves


def test_reads_leaves_with_and_without_a_dictionary(native):
    codec = FrameCodec([DICTIONARY])
    leaves = [*LEAVES, b"", b"x" * 65_535]
    frames = frames_of(leaves) + frames_of(leaves, None)
    hashes = b"".join(map(leaf_hash, leaves * 2))
    assert read_natively(native, codec, frames, hashes) == leaves * 2
    assert read_leaves(codec, frames, 0, hashes) == leaves * 2


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_leaves_hostile_frames_to_python_which_refuses_them(native, frame):
    codec = FrameCodec([DICTIONARY])
    frames = [*frames_of(LEAVES[:2]), frame]
    hashes = b"".join(map(leaf_hash, LEAVES[:2])) + leaf_hash(LEAVES[0])
    assert read_natively(native, codec, frames, hashes) is None
    with pytest.raises(DamagedError, match="entry 12") as refused:
        read_leaves(codec, frames, 10, hashes)
    assert refused.value.facts["index"] == "12"


def test_leaves_a_leaf_that_is_not_the_trees_to_python_which_names_it(native):
    codec = FrameCodec([DICTIONARY])
    frames, hashes = frames_of(LEAVES[:3]), b"".join(map(leaf_hash, [LEAVES[0], LEAVES[9], LEAVES[2]]))
    assert read_natively(native, codec, frames, hashes) is None
    for read in (read_leaves, lambda *arguments: sift_leaves(*arguments, Sieve(parse("id = 9")))):
        with pytest.raises(DamagedError, match="entry 11: the leaf is not the one in the tree"):
            read(codec, frames, 10, hashes)


@settings(max_examples=200)
@given(
    number=st.integers(0, 20),
    dictionary=st.sampled_from([DICTIONARY, None]),
    at=st.floats(0, 1),
    change=st.binary(max_size=4),
)
def test_reads_no_damaged_frame_as_another_leaf(native, number, dictionary, at, change):
    frame, leaf = frames_of([LEAVES[number]], dictionary)[0], LEAVES[number]
    cut = int(at * len(frame))
    damaged = frame[:cut] + change + frame[cut + len(change) :]
    found = native.read_leaves([damaged], native.Dictionaries([DICTIONARY]), leaf_hash(leaf))
    try:
        expected = FrameCodec([DICTIONARY]).decompress(damaged, 0)
    except AuditdError:
        expected = None
    assert found in (None, [leaf])
    assert found is None or expected == leaf


def test_wants_a_hash_for_each_frame(native):
    with pytest.raises(ValueError, match="32 bytes of hashes for 2 frames"):
        native.read_leaves(frames_of(LEAVES[:2]), native.Dictionaries([DICTIONARY]), bytes(32))


@pytest.mark.parametrize("data", [b"", b"no dictionary at all", DICTIONARY[:20]], ids=["empty", "other", "cut short"])
def test_takes_no_dictionary_that_is_none(native, data):
    with pytest.raises(ValueError, match="no trained dictionary"):
        native.Dictionaries([data])


SEALED = {"sealed": "9f86d081884c7d659a2feaa0c55ad015" * 2}
TEXTS = [
    "alice",
    "Alice",
    "a",
    "",
    "1",
    "1.0",
    "true",
    "null",
    "k",
    "K",
    "\u212a",
    "ß",
    "é",
    'a"b',
    "a\\b",
    "a/b",
    "\n",
    "x:y",
]
TIMES = ["2026-11-24T00:26:13.100Z", "2026-11-24T00:26:13Z", "2026-11-24T00:26:13.000Z", "2026-11", "Z", ".Z", "0.Z"]
ADDRESSES = ["203.0.113.9", "203.0.113.010", "2001:db8::1", "2001:0DB8::1", "::ffff:10.0.0.1", "fe80::1%eth0", "1.2.3"]
NUMBERS = [0, 1, -1, 1.0, 1.5, -0.0, 2**53, 2**53 + 1, 2**62, 2**63, 2**64 - 1, 2**64, 10**30, 1e300, 5e-324, 0.1]
scalars = st.sampled_from([*TEXTS, *TIMES, *ADDRESSES, *NUMBERS, True, False, None, "SUCCESS", "token"])
values = st.recursive(
    scalars | st.just(SEALED),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "deep", "sealed", 'a"b', ""]), inner, max_size=3)
    ),
    max_leaves=5,
)


def group(*names):
    return values | st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


plain_events = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("id", "time", "action", "outcome"), values),
        "actor": group("id", "roles", "type"),
        "resources": group() | st.lists(group("type", "id"), max_size=3),
        "origin": group("ip"),
        "producer": group("seq"),
        "attributes": group("x", "deep"),
    },
)
entries = st.fixed_dictionaries(
    {"event": values | plain_events},
    optional={"index": values, "recorded_at": values, "caller": group("sub", "kind"), "log": values},
)
PATHS = [
    "id",
    "time",
    "action",
    "outcome",
    "actor",
    "actor.id",
    "actor.roles",
    "resources",
    "resources.id",
    "origin.ip",
]
PATHS += ["producer.seq", "attributes", "attributes.x", "attributes.x.y", "attributes.deep.x", "attributes.sealed"]
PATHS += ["index", "recorded_at", "caller.sub", "caller.kind", "log"]
SPELLINGS = ["*", "2026", "2026-11-24T00:26:13.1Z", "203.0.113.0/24", "2001:db8::/32", "::ffff:10.0.0.1"]
SPELLINGS += [json.dumps(text, ensure_ascii=False) for text in [*TEXTS, *TIMES, *ADDRESSES, "a*", "*a", "*lic*"]]
SPELLINGS += [str(number) for number in NUMBERS] + ["true", "false", "null", "SUCCESS", "token"]


def comparisons():
    """Every comparison of a path with a value that the language has."""
    for path in PATHS:
        for operator in ("=", "!=", "<", "<=", ">", ">=", ":"):
            for spelling in SPELLINGS:
                try:
                    yield parse(f"{path} {operator} {spelling}")
                except InvalidRequestError:
                    continue


texts = st.sampled_from([*TEXTS, "LICE", "ss"]).map(FreeText)
# Parsed where they are used, and not by every process that reads this file.
terms = st.deferred(lambda: st.sampled_from(list(comparisons()))) | texts
trees = st.recursive(
    terms,
    lambda inner: (
        inner.map(Not) | st.lists(inner, max_size=3).map(tuple).flatmap(lambda s: st.sampled_from([And(s), Or(s)]))
    ),
    max_leaves=5,
)


def judge(native, tree, leaf):
    """Return what native code says of a leaf, having held it against the predicate."""
    found = native.Sieve(program(tree)).judge(leaf)
    try:
        entry = parse_leaf(leaf)
    except ValueError:
        return found
    assert found is None or found == compile_predicate(tree)(entry)
    return found


@settings(max_examples=600)
@given(entry=entries, tree=trees, ascii_only=st.booleans(), separators=st.sampled_from([(",", ":"), (", ", ": ")]))
@example(
    entry={"event": {"producer": {"seq": True}}}, tree=parse("producer.seq = 1"), ascii_only=True, separators=(",", ":")
)
def test_a_sieve_says_what_the_predicate_says(native, entry, tree, ascii_only, separators):
    judge(native, tree, json.dumps(entry, ensure_ascii=ascii_only, separators=separators).encode())


@settings(max_examples=300)
@given(
    entry=entries,
    tree=trees,
    at=st.floats(0, 1),
    change=st.sampled_from(["", '"', "{", "}", ",", "\\", "0", "e", " ", "\t"]),
)
def test_a_sieve_says_nothing_else_of_damaged_leaves(native, entry, tree, at, change):
    text = json.dumps(entry, separators=(",", ":"))
    cut = int(at * len(text))
    for damaged in (text[:cut] + change + text[cut:], text[:cut] + change + text[cut + 1 :]):
        judge(native, tree, damaged.encode())


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        pytest.param("id = b", b'{"event":{"id":"a","id":"b"}}', id="a name twice"),
        pytest.param("id = b", b'{"event":{"id":"b"},"event":{}}', id="a group twice"),
        pytest.param("id = b", rb'{"event":{"i\u0064":"b"}}', id="an escaped name"),
        pytest.param("id = b", rb'{"event":{"id":"\u0062"}}', id="an escaped value"),
        pytest.param(
            "attributes.x.y = 1", b'{"event":{"attributes":{"x":{"sealed":"ab","y":1}}}}', id="a sealed value"
        ),
        pytest.param("producer.seq = 1", b'{"event":{"producer":{"seq":1000000000000000000000}}}', id="a large number"),
        pytest.param("id = b", b'{"event":{"id":"b"}', id="cut short"),
        pytest.param("id = b", b'{"event":{"id":"b"}}}', id="too much"),
        pytest.param("id = b", b'{"event":{"id":"b\xff"}}', id="no text"),
        pytest.param("id = b", b'{"event":{"id":"b","x":' + b"[" * 100 + b"]" * 100 + b"}}", id="too deep"),
    ],
)
def test_a_sieve_leaves_what_is_odd_to_the_predicate(native, text, leaf):
    assert judge(native, parse(text), leaf) is None


LEAF = json.dumps(
    {
        "v": 1,
        "index": 41,
        "recorded_at": "2026-11-24T00:26:13.123456Z",
        "caller": {"kind": "token", "sub": "svc"},
        "event": {
            "time": "2026-11-24T00:26:13.100Z",
            "outcome": "FAILURE",
            "actor": {"id": "alice", "roles": ["ops", "admin"]},
            "origin": {"ip": "203.0.113.9", "user_agent": 'a "b"'},
            "attributes": {"amount": 1.5, "deep": {"x": [1, "two"]}},
        },
    },
    separators=(",", ":"),
).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("actor.id = alice", True),
        ("actor.id != alice", False),
        ('actor.id = "*lic*"', True),
        ('actor.id = "b*"', False),
        ("actor.id > a", True),
        ("NOT actor.id:*", False),
        ("tenant:*", False),
        ("actor.roles = admin", True),
        ("actor.roles != admin", False),
        ("outcome = SUCCESS", False),
        ("origin.ip = 203.0.113.0/24", True),
        ("origin.ip = 10.0.0.0/8", False),
        ("time > 2026-11-24T00:26:13Z", True),
        ("recorded_at < 2026-11", False),
        ("index < 41", False),
        ("attributes.amount > 1", True),
        ("attributes.amount = 1.5", True),
        ("attributes.amount > 1000", False),
        ("attributes.deep.x = two", True),
        ("hippopotamus", False),
        ("NOT (actor.id = bob AND outcome = FAILURE)", True),
        ("caller.kind = token AND (outcome = DENIED OR outcome = FAILURE)", True),
    ],
)
def test_a_sieve_decides_plain_leaves_by_itself(native, text, expected):
    assert judge(native, parse(text), LEAF) is expected


def test_a_sieve_leaves_text_that_is_found_to_the_predicate(native):
    assert judge(native, parse("ALICE"), LEAF) is None
    assert judge(native, parse("outcome"), LEAF) is None


def test_every_field_has_a_place_in_a_sieve():
    for path in FIELDS:
        assert program(parse(".".join(path) + ":*"))[0] == "test"
