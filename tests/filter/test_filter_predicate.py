"""Which entries a filter selects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.filter import Comparison, Not, Or, Text, compile_predicate, compile_raw, is_sealed, parse

SEALED = {"sealed": "9f86d081884c7d659a2feaa0c55ad015" * 2}
ENTRY = {
    "v": 1,
    "log": "audit.example.com/main",
    "index": 41,
    "recorded_at": "2026-11-24T00:26:13.123456Z",
    "salt": "saltsaltsalt",
    "caller": {"kind": "token", "iss": "https://idp.example.com", "sub": "svc-billing", "jti": "j-1"},
    "event": {
        "id": "e-1",
        "time": "2026-11-24T00:26:13.100Z",
        "tenant": "acme",
        "action": "user.login",
        "outcome": "FAILURE",
        "reason": SEALED,
        "actor": {"type": "user", "id": "Alice", "roles": ["admin", "ops"], "name": SEALED},
        "resources": [{"type": "account", "id": "42"}, {"type": "test", "id": "43"}, SEALED],
        "origin": {"ip": "203.0.113.9", "user_agent": 'Fire"fox\\ \u017ftra\xdfe'},
        "producer": {"id": "billing-7f", "seq": 9007199254740993},
        "attributes": {
            "amount": 1000,
            "big": 18446744073709551615,
            "ratio": 2.5,
            "text": "1000",
            "mfa": False,
            "nothing": None,
            "empty": {},
            "secret": SEALED,
            "tags": ["red", ["green", 7]],
            "items": [{"name": "one"}, {"name": "two", "a.b": 1}],
            "map": {"key": "value"},
        },
    },
}


def selects(text, entry=ENTRY):
    return compile_predicate(parse(text))(entry)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'actor.id = "Alice"',
        "actor.id : Alice",
        'actor.id = "Ali*"',
        'actor.id = "*ice"',
        'actor.id = "*lic*"',
        'actor.id != "alice"',
        "NOT actor.id = bob",
        "actor.id > Ada AND actor.id < Bob",
        "tenant = acme AND (action = none OR outcome = FAILURE)",
        "log = 'audit.example.com/main'",
        "index = 41 AND index >= 41 AND index < 42 AND index != 40",
        "index < 99999999999999999999999999",
        "caller.sub = svc-billing AND caller.kind : token",
        "recorded_at = 2026-11-24T00:26:13.123456Z",
        "recorded_at < 2026-11-24T00:26:13.1234561Z",
        "recorded_at >= 2026-11-24T01:26:13.123456+01:00",
        "time = 2026-11-24T00:26:13.1Z AND time > 2026-11-24T00:26:13Z",
        "time <= 2026-11-24T00:26:13.100000000Z",
        "outcome != SUCCESS",
        "producer.seq = 9007199254740993 AND producer.seq > 9007199254740992",
        "origin.ip = 203.0.113.0/24 AND origin.ip != 203.0.113.8 AND origin.ip : 203.0.113.9",
        'origin.ip = "::ffff:203.0.113.9"',
        "actor.roles = ops",
        "actor.roles : admin",
        'actor.roles = "ad*"',
        "resources.id = 42 AND resources.id : 43",
        "resources.type : test AND resources.type != other",
        "actor:* AND resources:* AND attributes:* AND actor.roles:*",
        "attributes.amount = 1000 AND attributes.amount > 999.5 AND attributes.amount != 1e4",
        "attributes.big = 18446744073709551615 AND attributes.big > 18446744073709551614",
        "attributes.ratio = 2.50",
        'attributes.text = "1000" AND attributes.text = 1000',
        "attributes.mfa = false AND attributes.mfa != true",
        "attributes.nothing = null AND attributes.nothing:*",
        "attributes.tags = red AND attributes.tags : green AND attributes.tags = 7",
        "attributes.items.name = two",
        'attributes.items."a.b" = 1',
        "attributes.map : key AND attributes.map.key = value AND attributes:amount",
        "reason:* AND actor.name:* AND attributes.secret:*",
        '"ALICE" AND billing AND "user.log"',
        '"fire\\"FOX\\\\"',
        '"STRASSE" AND STRAßE',
        "two AND value",
    ],
)
def test_selects(text):
    assert selects(text)


@pytest.mark.parametrize(
    "text",
    [
        "actor.id = alice",
        'actor.id = "ali*"',
        'actor.id = "A*" AND actor.id = "B*"',
        "NOT actor.id = Alice",
        "actor.id > Bob",
        "tenant < acme",
        'actor.session_id = ""',
        "actor.session_id != x",
        "actor.session_id:*",
        "actor.session_id < zzz",
        "device OR origin.device_id:*",
        "recorded_at < 2026-11-24T00:26:13.123456Z",
        "time != 2026-11-24T00:26:13.1Z",
        "producer.seq = 9007199254740992",
        "origin.ip = 203.0.112.0/24",
        'origin.ip = "::/0"',
        "actor.roles != ops",
        "actor.roles = adminops",
        "resources.id = 44",
        "resources.id != 42",
        'resources.id = "4243"',
        "attributes.amount = 1001",
        'attributes.amount = "1000"',
        "attributes.big = 18446744073709551614",
        "attributes.text > 1",
        "attributes.mfa = 0",
        "attributes.mfa < 1",
        "attributes.nothing != null",
        "attributes.empty:*",
        "attributes.absent = null",
        "attributes.absent != 1",
        "attributes.map = key",
        "attributes.map.key.deeper:*",
        "attributes.items.absent:*",
        "amount",
        "saltsalt",
        "svc-billing",
        "fieldless",
    ],
)
def test_does_not_select(text):
    assert not selects(text)


@pytest.mark.parametrize("field", ["reason", "actor.name", "attributes.secret", "attributes.secret.sealed"])
@pytest.mark.parametrize("comparison", ['= "9f86*"', "!= x", "> 0", ': "sealed"', "= null"])
def test_a_sealed_value_is_compared_with_nothing(field, comparison):
    assert not selects(f"{field} {comparison}")


def test_free_text_does_not_look_into_sealed_values():
    assert not selects("9f86d081")


def test_a_sealed_group_has_no_fields():
    entry = {"event": {"actor": SEALED, "attributes": SEALED}}
    assert selects("actor:* AND attributes:*", entry)
    assert not selects("actor.id:* OR attributes.x:* OR attributes.sealed:*", entry)


NO_SEALS = ["x", {"sealed": 1}, {**SEALED, "more": 1}, {}, ["sealed"], None, {"sealed": "0" * 63}, {"sealed": "F" * 64}]


@pytest.mark.parametrize("value", NO_SEALS, ids=str)
def test_only_an_object_with_one_hash_called_sealed_is_sealed(value):
    assert is_sealed(SEALED)
    assert not is_sealed(value)


def test_nothing_that_a_caller_can_send_hides_what_it_says():
    entry = {"event": {"attributes": {"case": {"sealed": "wire transfer"}}}}
    for text in ("transfer", 'attributes.case.sealed = "wire*"', "attributes.case:sealed", "attributes.case.sealed:*"):
        assert selects(text, entry), text


def test_numbers_beyond_64_bits_are_compared_as_doubles():
    entry = {"event": {"attributes": {"n": float(2**64 + 1)}}}
    assert selects("attributes.n = 18446744073709551617", entry)


@pytest.mark.parametrize("address", ["2001:db8::1", "2001:0DB8:0:0::0001", "2001:db8::1%eth0"])
def test_every_spelling_of_an_address_is_that_address(address):
    entry = {"event": {"origin": {"ip": address}}}
    assert selects('origin.ip = "2001:db8::1"', entry)
    assert selects('origin.ip = "2001:db8::/32"', entry)


def test_a_value_put_into_the_tree_is_literal():
    scope = Comparison(("tenant",), "=", Text("ac*"))
    assert not compile_predicate(scope)(ENTRY)
    assert compile_predicate(scope)({"event": {"tenant": "ac*"}})


def test_nothing_selects_where_an_or_has_no_terms():
    assert not compile_predicate(Or(()))(ENTRY)
    assert compile_predicate(Not(Or(())))(ENTRY)


VALUES = ["k", "K", "\u212a", "\u017fs", "ß", 'a"b', "a\\b", "a/b", "é", "\n", "plain", "PLAIN"]
FILTERS = [
    "k",
    "K",
    '"ss"',
    '"ß"',
    '"a\\"b"',
    '"a\\\\b"',
    '"é"',
    "plain",
    "attributes.x = k",
    'attributes.x = "p*"',
]
FILTERS += [
    'attributes.x = "a\\"b"',
    "attributes.x : plain OR é",
    "attributes.x != k",
    "NOT k",
    "plain AND attributes.x = plain",
]


@given(
    st.recursive(
        st.sampled_from(VALUES),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(VALUES), inner, max_size=3),
        max_leaves=6,
    ),
    st.booleans(),
    st.sampled_from(FILTERS),
)
def test_the_test_over_bytes_never_loses_what_the_predicate_selects(value, ascii_only, text):
    leaf = json.dumps({"event": {"attributes": {"x": value}}}, ensure_ascii=ascii_only).encode()
    tree = parse(text)
    raw = compile_raw(tree)
    if raw is not None and compile_predicate(tree)(json.loads(leaf)):
        assert raw(leaf)


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        pytest.param("attributes.x = k", rb'{"event":{"attributes":{"x":"\u006b"}}}', id="escaped letter"),
        pytest.param('attributes.x = "k*"', rb'{"event":{"attributes":{"x":"\u006bl"}}}', id="escaped beginning"),
        pytest.param('attributes.x = "a/b"', rb'{"event":{"attributes":{"x":"a\/b"}}}', id="escaped slash"),
        pytest.param("K", rb'{"event":{"attributes":{"x":"\u006b"}}}', id="free text, escaped"),
        pytest.param("K", '{"event":{"attributes":{"x":"\u212a"}}}'.encode(), id="free text, Kelvin sign"),
        pytest.param("kelvin", '{"event":{"attributes":{"x":"\u212aELVIN"}}}'.encode(), id="word with a Kelvin sign"),
        pytest.param('"\xc9t\xe9"', '{"event":{"attributes":{"x":"\xe9T\xc9"}}}'.encode(), id="free text beyond ASCII"),
    ],
)
def test_the_test_over_bytes_knows_other_spellings(text, leaf):
    tree = parse(text)
    assert compile_predicate(tree)(json.loads(leaf))
    assert compile_raw(tree)(leaf)


def test_the_test_over_bytes_tells_most_leaves_apart():
    raw = compile_raw(parse("attributes.x = alice AND plain"))
    assert raw(b'{"x":"alice","y":"PLAIN"}')
    assert not raw(b'{"x":"bob","y":"plain"}')
    assert not raw(b'{"x":"alice","y":"fancy"}')
    assert compile_raw(parse("index > 3")) is None
    assert compile_raw(parse("index > 3 OR plain")) is None
