"""`docs/reference/event.md` says what the code does."""

import re
from pathlib import Path

import pytest

from auditd.entry import Limits, event_key, leaf_schema, parse_time
from auditd.entry import _fields as rules
from auditd.entry import _limits as limit
from auditd_proto.v1 import event_pb2

PAGE = (Path(__file__).parents[2] / "docs/reference/event.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.split("\n")
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
DEFINITIONS = leaf_schema()["$defs"]
PARTS = {"actor": "actor", "resources": "resource", "origin": "origin", "producer": "producer"}


def documented(prefix: str) -> list[str]:
    """Names of the members under `prefix`, in the order of the page."""
    return [name.removeprefix(prefix) for name in ROWS if re.fullmatch(re.escape(prefix) + "[a-z_]+", name)]


def test_every_member_of_the_schema_has_its_row_in_order() -> None:
    leaf = list(leaf_schema()["properties"])
    sent_alone = ["actor_token"]
    assert documented("") == [*DEFINITIONS["event"]["properties"], *sent_alone, *leaf]
    assert documented("caller.") == list(DEFINITIONS["caller"]["properties"])
    for member, definition in PARTS.items():
        assert documented(f"{member}.") == list(DEFINITIONS[definition]["properties"])


def test_every_field_of_the_proto_has_a_row() -> None:
    message = event_pb2.Event.DESCRIPTOR
    names = {field.name for field in message.fields} - {"attributes_json"} | {"attributes"}
    for member in PARTS:
        names |= {f"{member}.{field.name}" for field in message.fields_by_name[member].message_type.fields}
    assert names <= set(ROWS)


@pytest.mark.parametrize(
    ("prefix", "fields"),
    [
        ("", rules.EVENT_TEXTS),
        ("actor.", rules.ACTOR_TEXTS),
        ("resources.", rules.RESOURCE_TEXTS),
        ("origin.", rules.ORIGIN_TEXTS),
        ("producer.", rules.PRODUCER_TEXTS),
    ],
)
def test_text_rows_give_kind_and_limit(prefix: str, fields: tuple[rules.TextField, ...]) -> None:
    for field in fields:
        kind = ("prose" if field.prose else "text") + (", required" if field.required else "")
        assert ROWS[prefix + field.name][1:] == [kind, f"{field.max_bytes:,} bytes"]


def test_other_rows_give_their_limits() -> None:
    assert ROWS["actor.roles"][-1] == f"{limit.MAX_ROLES} roles, each {limit.MAX_ROLE_BYTES} bytes"
    assert ROWS["resources"][-1] == f"{limit.MAX_RESOURCES} resources"
    assert ROWS["producer.seq"][-1] == f"1 to {limit.MAX_SEQ:,}"
    assert ROWS["index"][-1] == f"0 to {limit.MAX_INDEX:,}"
    assert ROWS["attributes"][-1] == f"{limit.MAX_ATTRIBUTES_BYTES:,} bytes, depth {limit.MAX_ATTRIBUTES_DEPTH}"
    for outcome in rules.OUTCOMES.values():
        assert f"`{outcome}`" in ROWS["outcome"][1]


def test_prose_gives_the_limits_of_time_and_size() -> None:
    assert f"more than {Limits().max_ahead_s} seconds ahead" in PAGE
    assert f"than {Limits().max_event_age_s:,} seconds (30 days) ago" in PAGE
    assert f"most {limit.MAX_LEAF_BYTES:,} bytes" in PAGE
    assert f"at most {limit.MAX_VIOLATIONS} of them" in PAGE
    assert f"nesting deeper than {limit.MAX_ATTRIBUTES_DEPTH}," in PAGE


def test_example_key_is_right() -> None:
    example = PAGE[PAGE.index("For issuer") :]
    issuer, subject, event_id, time, key = re.findall(r"`([^`]+)`", example)[:5]
    assert event_key(issuer, subject, event_id, time, parse_time(time)).hex() == key
