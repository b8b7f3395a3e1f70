"""The actor as its token has it, spliced into events that are encoded already; and what makes such events the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.entry import (
    Actor,
    ContradictionError,
    EncodedEvent,
    Event,
    LeafTemplate,
    Origin,
    Producer,
    Resource,
    Time,
    TokenActor,
    difference,
    difference_of,
    encode_caller,
    encode_event,
    parse_leaf,
    recorded_at_text,
    splice_unjudged,
)

TEMPLATE = LeafTemplate("audit.example.com/main")
CREDENTIAL, OTHER = "ab" * 32, "cd" * 32
BARE = Event(id="e-1", time=Time(1_795_479_973), action="a.b")


def token(**changes: Any) -> TokenActor:
    members = {"id": "alice", "roles": ("admin", "staff"), "session_id": "s-1", "auth_method": "password"} | changes
    return TokenActor(**{"credential": CREDENTIAL, **members})


def leaf_of(event: EncodedEvent) -> bytes:
    return TEMPLATE.leaf(7, recorded_at_text(1), bytes(16), encode_caller("server"), event.json)


def recorded(event: EncodedEvent) -> dict[str, Any]:
    return parse_leaf(leaf_of(event))["event"]


texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
tricky = st.sampled_from(
    ['","actor":{', '"identity":"asserted"}', ',"tenant":"x"', ',"action":"', "\\", '"', "é", "{", "}"]
)
some = st.one_of(st.just(""), texts, st.lists(tricky, max_size=2).map("".join))


@given(
    some, some, some, some, some, some,
    st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["", '{"a":1}', '{"actor":{"id":"x","identity":"asserted"},"tenant":"y","action":"z"}']),
)  # fmt: skip
def test_nothing_else_of_an_event_changes(
    tenant: str, reason: str, kind: str, name: str, agent: str, action: str,
    resources: bool, origin: bool, producer: bool, attributes: str,
) -> None:  # fmt: skip
    event = encode_event(
        replace(
            BARE,
            tenant=tenant,
            action=action or "a",
            reason=reason,
            actor=Actor(type=kind[:20], name=name),
            resources=(Resource("t", agent),) if resources else (),
            origin=Origin(user_agent=agent) if origin else Origin(),
            producer=Producer("p", 1) if producer else Producer(),
            attributes_json=attributes,
        )
    )
    before, spliced = recorded(event), token(tenant="acme").splice(event)
    after = recorded(spliced)
    actor, stated = after.pop("actor"), before.pop("actor", {})
    assert after == before | {"tenant": tenant or "acme"}
    assert list(after) == [name for name in MEMBERS if name in after]
    assert actor["verified"] == [
        "id",
        "roles",
        "session_id",
        "auth_method",
        *(["tenant"] if tenant in ("", "acme") else []),
    ]
    assert {member: actor.get(member, "") for member in ("type", "name")} == {"type": kind[:20], "name": name}
    assert spliced.attributes == event.attributes
    assert spliced.sent_fields == event.fields
    unjudged = recorded(splice_unjudged(event, "TOKEN_EXPIRED", CREDENTIAL))
    assert unjudged.pop("actor") == stated | {
        "identity": "asserted", "identity_reason": "TOKEN_EXPIRED", "credential": CREDENTIAL
    }  # fmt: skip
    assert unjudged == before


MEMBERS = ("id", "time", "tenant", "action", "outcome", "reason", "resources", "origin", "producer", "attributes")


def test_members_stand_in_the_order_of_a_leaf(full: Event) -> None:
    spliced = token(tenant="acme").splice(encode_event(full))
    assert list(recorded(spliced)["actor"]) == [
        "type", "id", "name", "roles", "session_id", "auth_method", "identity", "verified", "credential"
    ]  # fmt: skip
    assert recorded(spliced)["actor"]["verified"][-1] == "tenant"


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        (Actor(id="bob"), "actor.id"),
        (Actor(id="alice", roles=("staff", "admin")), "actor.roles"),
        (Actor(roles=("admin",)), "actor.roles"),
        (Actor(session_id="s-2"), "actor.session_id"),
        (Actor(auth_method="pwd"), "actor.auth_method"),
    ],
)
def test_a_contradiction_names_the_member_and_both_sides(stated: Actor, field: str) -> None:
    with pytest.raises(ContradictionError) as caught:
        token().splice(encode_event(replace(BARE, actor=stated)))
    assert caught.value.field == field
    assert "the actor's token says" in caught.value.description


@pytest.mark.parametrize(
    "roles", [("r" * 129,), tuple(f"r{n}" for n in range(65)), ("a\nb",), ("",), ()], ids=lambda roles: str(len(roles))
)
def test_roles_that_an_entry_cannot_hold_are_left_in_the_token(roles: tuple[str, ...]) -> None:
    actor = recorded(token(roles=roles).splice(encode_event(BARE)))["actor"]
    assert "roles" not in actor
    assert "roles" not in actor["verified"]


def spliced(event: Event, **changes: Any) -> EncodedEvent:
    return token(**changes).splice(encode_event(event))


def unjudged(event: Event, credential: str = CREDENTIAL) -> EncodedEvent:
    return splice_unjudged(encode_event(event), "TOKEN_UNKNOWN_KEY", credential)


ALICE = replace(BARE, actor=Actor(id="alice"))
SAME: dict[str, tuple[EncodedEvent, EncodedEvent]] = {
    "verified twice": (spliced(BARE), spliced(BARE)),
    "stated too the second time": (spliced(BARE), spliced(ALICE)),
    "stated too the first time": (spliced(ALICE), spliced(BARE)),
    "judged only the first time": (spliced(BARE), unjudged(BARE)),
    "judged only the second time": (unjudged(BARE), spliced(BARE)),
    "read by another mapping": (spliced(BARE), spliced(BARE, id="alice@example.com", roles=(), tenant="acme")),
    "the tenant from the token": (spliced(BARE, tenant="acme"), unjudged(BARE)),
}
DIFFERENT: dict[str, tuple[EncodedEvent, EncodedEvent, str]] = {
    "another token": (spliced(BARE), spliced(BARE, credential=OTHER), "event.actor_token"),
    "no token any more": (spliced(BARE), encode_event(BARE), "event.actor_token"),
    "no token before": (encode_event(ALICE), spliced(ALICE), "event.actor_token"),
    "a token that was none": (spliced(BARE), unjudged(BARE, ""), "event.actor_token"),
    "another name": (spliced(replace(BARE, actor=Actor(name="A"))), spliced(BARE), "event.actor"),
    "another type": (spliced(BARE), spliced(replace(BARE, actor=Actor("user"))), "event.actor"),
    "stated where it was not judged": (unjudged(BARE), unjudged(ALICE), "event.actor"),
    "another tenant": (spliced(BARE, tenant="acme"), spliced(replace(BARE, tenant="b")), "event.tenant"),
}


@pytest.mark.parametrize("how", SAME)
def test_the_same_event_with_the_same_token(how: str) -> None:
    first, second = SAME[how]
    assert difference(leaf_of(first), second) is None
    assert difference_of(first, second) is None


@pytest.mark.parametrize("how", DIFFERENT)
def test_another_event_or_another_token(how: str) -> None:
    first, second, path = DIFFERENT[how]
    assert difference(leaf_of(first), second) == path
    assert difference_of(first, second) == path


def test_a_token_may_be_known_by_another_name() -> None:
    first, second = spliced(BARE), spliced(BARE, credential=OTHER)
    asked: list[str] = []
    same: Callable[[str], bool] = lambda stored: asked.append(stored) or True  # type: ignore[func-returns-value]  # noqa: E731
    assert difference(leaf_of(first), second, same) is None
    assert asked == [CREDENTIAL]


def test_what_was_spliced_is_one_json_text(full: Event) -> None:
    for event in (spliced(full), unjudged(full)):
        assert json.loads(event.json)["attributes"] == json.loads(full.attributes_json)
