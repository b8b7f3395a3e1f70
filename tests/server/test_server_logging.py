"""What the server says: one event a line, in the form asked for, and never a secret."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from auditd.server import configure_logging, event_logger
from auditd.server._config import LoggingSettings

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def say(stream: io.StringIO, **settings: str) -> None:
    configure_logging(LoggingSettings(level="info", **settings), stream)
    logging.getLogger("auditd.log").warning("one\nline of %s", f"Bearer {TOKEN}")
    event_logger("auditd.server").info("two", token=TOKEN, cut=TOKEN[:40], key=KEY, count=3, many=["a", TOKEN])
    try:
        raise ValueError(TOKEN)
    except ValueError:
        logging.getLogger("auditd.server").exception("three")
    logging.getLogger("auditd.server").debug("left out")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_nothing_secret_is_said(stream):
    say(stream)
    assert not any(part in stream.getvalue() for part in (*TOKEN.split("."), "MC4CAQ"))
    assert "left out" not in stream.getvalue()


def test_in_a_file_each_event_is_a_line_of_json():
    stream = io.StringIO()
    say(stream)
    one, two, three = map(json.loads, stream.getvalue().splitlines())
    assert (one["level"], one["event"], one["logger"]) == ("warning", "one\nline of [secret]", "auditd.log")
    assert (two["event"], two["token"], two["count"], two["many"]) == ("two", "[secret]", 3, ["a", "[secret]"])
    assert "ValueError" in three["exception"]


def test_on_a_terminal_events_are_text_that_cannot_act_on_it():
    stream = Terminal()
    configure_logging(LoggingSettings(), stream)
    logging.getLogger("auditd.log").warning("a\x1b[2J\nb")
    assert stream.getvalue().endswith(" WARNING auditd.log: a\\x1b[2J\\nb\n")


@pytest.mark.parametrize(("form", "first"), [("json", "{"), ("text", "2")])
def test_the_form_can_be_asked_for(form, first):
    for stream in (io.StringIO(), Terminal()):
        say(stream, format=form)
        assert stream.getvalue()[0] == first


def test_what_is_long_is_cut():
    stream = io.StringIO()
    configure_logging(LoggingSettings(), stream)
    logging.getLogger("auditd").error("x" * 1_000_000)
    assert len(stream.getvalue()) < 5_000
