"""The types, read from `login.json` beside this module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event, which its `action` names.

    - `action`: the event's member of that name.
    - `summary`: when to record one, in a line.
    - `required`: members that every such event should have, such as `actor.id`; each with what it says.
    - `optional`: members that it may have beside those, with what they say.
    - `example`: a whole event as JSON has it, but for `id` and `time`.
    """

    action: str
    summary: str
    required: Mapping[str, str]
    optional: Mapping[str, str]
    example: Mapping[str, Any]


def _read() -> dict[str, EventType]:
    text = Path(__file__).with_name("login.json").read_text("utf-8")
    return {members["action"]: EventType(**members) for members in json.loads(text)}


EVENT_TYPES: Mapping[str, EventType] = _read()
"""The types of the login side, by action."""
