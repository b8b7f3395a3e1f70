"""What makes an event the same event: what the caller sent, never what the server added (promise 5)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auditd.entry import (
    Actor,
    Event,
    EventLike,
    LeafTemplate,
    Origin,
    Producer,
    Resource,
    difference,
    encode_caller,
    encode_event,
    recorded_at_text,
)
from auditd.errors import DamagedError

TEMPLATE = LeafTemplate("audit.example.com/main")


def leaf_of(event: EventLike) -> bytes:
    return TEMPLATE.leaf(7, recorded_at_text(1), bytes(16), encode_caller("server"), encode_event(event).json)


def test_same_event_in_another_form(full: Event, form: Callable[[Event], EventLike]) -> None:
    assert difference(leaf_of(full), encode_event(form(full))) is None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"action": "user.logout"}, "event.action", id="changed text"),
        pytest.param({"tenant": ""}, "event.tenant", id="member gone"),
        pytest.param({"outcome": 1}, "event.outcome", id="outcome"),
        pytest.param({"actor": Actor(id="bob")}, "event.actor.type", id="actor's member gone"),
        pytest.param({"actor": Actor("user", "bob")}, "event.actor.id", id="actor's id"),
        pytest.param({"actor": Actor()}, "event.actor", id="actor gone"),
        pytest.param(
            {"actor": Actor("user", "alice", "Alice", ("admin", "boss"), "s-1", "password")},
            "event.actor.roles[1]",
            id="a role",
        ),
        pytest.param({"resources": (Resource("account", "42", "Main"),)}, "event.resources", id="one resource less"),
        pytest.param(
            {"resources": (Resource("account", "42", "Main"), Resource(id="44"))},
            "event.resources[1].id",
            id="a resource's id",
        ),
        pytest.param({"origin": Origin()}, "event.origin", id="origin gone"),
        pytest.param({"producer": Producer("billing-7f", 1042)}, "event.producer.seq", id="sequence number"),
        pytest.param({"attributes_json": '{"mfa": false}'}, "event.attributes", id="attributes spelled otherwise"),
        pytest.param({"attributes_json": ""}, "event.attributes", id="attributes gone"),
    ],
)
def test_names_the_first_member_that_differs(full: Event, change: dict[str, Any], path: str) -> None:
    other = replace(full, **change)
    assert difference(leaf_of(full), encode_event(other)) == path
    assert difference(leaf_of(other), encode_event(full)) is not None


def test_finds_a_member_that_only_the_new_event_has(full: Event) -> None:
    assert difference(leaf_of(replace(full, tenant="")), encode_event(full)) == "event.tenant"
    assert difference(leaf_of(replace(full, attributes_json="")), encode_event(full)) == "event.attributes"


def test_white_space_that_the_leaf_keeps_as_spaces_is_the_same(full: Event) -> None:
    stored = leaf_of(replace(full, attributes_json='{\n"mfa": false}'))
    assert difference(stored, encode_event(replace(full, attributes_json='{\t"mfa": false}'))) is None


def test_what_the_server_added_does_not_count(full: Event) -> None:
    stored = leaf_of(full).replace(b'"identity":"asserted"', b'"identity":"verified"')
    assert difference(stored, encode_event(full)) is None
    changed = stored.replace(b'"alice"', b'"bob"')
    assert difference(changed, encode_event(full)) == "event.actor.id"


def test_a_sealed_member_differs_from_any_text(full: Event) -> None:
    sealed = b'{"sealed":"' + b"0" * 64 + b'"}'
    stored = leaf_of(full).replace(b'"alice"', sealed)
    assert difference(stored, encode_event(full)) == "event.actor.id"
    whole = leaf_of(replace(full, actor=Actor(id="x"))).replace(b'{"id":"x","identity":"asserted"}', sealed)
    assert difference(whole, encode_event(full)) == "event.actor"


def test_refuses_to_compare_with_what_is_no_leaf(full: Event) -> None:
    with pytest.raises(DamagedError):
        difference(b"{}", encode_event(full))
