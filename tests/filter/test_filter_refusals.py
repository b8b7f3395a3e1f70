"""Which filters are refused, and how their authors are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.errors import InvalidRequestError
from auditd.filter import Limits, compile_predicate, compile_raw, parse


def refusal(text, **limits):
    with pytest.raises(InvalidRequestError) as caught:
        parse(text, Limits(**limits))
    error = caught.value
    assert error.reason == "INVALID_FILTER"
    (violation,) = error.violations
    assert violation.field == "filter"
    return error, violation.description


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        pytest.param("actor.id =", 11, "a value must stand", id="no value"),
        pytest.param("actor.id = = x", 12, "'=' stands where a value must", id="two operators"),
        pytest.param("actor.id == x", 11, "'=' stands where a value must", id="double equals"),
        pytest.param("actor.id = ali*", 15, "quotation marks", id="bare star"),
        pytest.param("actor.id = AND", 12, "quotation marks", id="keyword as value"),
        pytest.param('actor.id = ("a" OR "b")', 12, "'(' stands where a value must", id="list of values"),
        pytest.param('"actor.id" = x', 12, "must follow the name of a field", id="quoted field"),
        pytest.param("actor.id = 1 = 2", 14, "must follow the name of a field", id="chained comparison"),
        pytest.param("origin.ip = ::1", 13, "':' stands where a value must", id="bare IPv6 address"),
        pytest.param("AND a", 1, "write AND, or 'AND'", id="leading AND"),
        pytest.param("a and b", 3, "write AND, or 'and'", id="lower-case and"),
        pytest.param("a or b", 3, "write OR, or 'or'", id="lower-case or"),
        pytest.param("NOT NOT a", 5, "write NOT", id="double NOT"),
        pytest.param("a OR", 5, "ends where", id="trailing OR"),
        pytest.param("a && b", 3, "write AND or OR", id="C operators"),
        pytest.param("(a", 3, "a closing )", id="parenthesis never closed"),
        pytest.param("a)", 2, "closes nothing", id="parenthesis never opened"),
        pytest.param("()", 2, "a field, a word or a quoted text", id="empty parentheses"),
        pytest.param('a "b', 3, "never closed", id="quotation mark never closed"),
        pytest.param('"a"b', 4, "a space must stand here", id="word touching a text"),
        pytest.param('"a""b"', 4, "a space must stand here", id="text touching a text"),
        pytest.param("contains(a)", 9, "no functions such as 'contains'", id="function"),
        pytest.param("actor . id = x", 7, "without spaces", id="spaces around a dot"),
        pytest.param("actor.id =~ x", 11, "'~' must stand in quotation marks", id="regular expression"),
        pytest.param("tenant = ${claims.tenant}", 10, "'$' must stand in quotation marks", id="claim outside a scope"),
        pytest.param("actr.id = x", 1, "did you mean actor.id?", id="misspelt field"),
        pytest.param("ip = x", 1, "did you mean origin.ip?", id="field without its group"),
        pytest.param("zzzzzz = x", 1, "attributes.zzzzzz", id="unknown field"),
        pytest.param("actor.id.x = y", 1, "no field is called 'actor.id.x'", id="field below a field"),
        pytest.param('actor = "x"', 9, "actor is a group of fields", id="group compared"),
        pytest.param("index = x", 9, "index is a whole number", id="word for a number"),
        pytest.param("index = 1.0", 9, "index is a whole number", id="fraction for a whole number"),
        pytest.param("index = 1" + "0" * 80, 9, "index is a whole number", id="number of 81 digits"),
        pytest.param("outcome = failure", 11, "use SUCCESS, FAILURE, DENIED", id="unknown outcome"),
        pytest.param("outcome > FAILURE", 11, "has no order", id="order of an enum"),
        pytest.param("origin.ip < 1.2.3.4", 13, "has no order", id="order of an address"),
        pytest.param("attributes.x > true", 16, "has no order", id="order of a constant"),
        pytest.param("time >= 2026-13", 9, "no time that exists", id="month 13"),
        pytest.param("time >= 2026-1", 9, "no time such as", id="month of one digit"),
        pytest.param("time >= now-24", 9, "no time such as", id="distance without a unit"),
        pytest.param("time >= now-1000000w", 9, "10,000 years", id="too long ago"),
        pytest.param("caller.kind = bearer", 15, "use token, certificate", id="unknown kind of caller"),
        pytest.param('actor.identity = "ver*"', 18, "takes no *", id="star in an enum"),
        pytest.param("time >= 2026-02-30T00:00:00Z", 9, "no time that exists", id="30 February"),
        pytest.param("time >= 2026-01-01T00:00:60Z", 9, "no time that exists", id="leap second"),
        pytest.param("time >= 0001-01-01T00:00:00+01:00", 9, "no time that exists", id="before year 1"),
        pytest.param('time >= "2026-01-01T00:00:00.1234567890Z"', 9, "no time such as", id="ten digits of a second"),
        pytest.param('time = "2026*"', 8, "takes no *", id="star in a time"),
        pytest.param('origin.ip = "10.*"', 13, "write a CIDR block", id="star in an address"),
        pytest.param('origin.ip = "10.0.0.9/8"', 13, "write '10.0.0.0/8'", id="block with host bits"),
        pytest.param('origin.ip = "300.1.1.1"', 13, "no IP address", id="no address"),
        pytest.param('actor.id < "a*"', 12, "< takes no *", id="order of a pattern"),
        pytest.param('actor.id != "*"', 13, "write NOT actor.id:*", id="unequal to anything"),
        pytest.param('actor.id = "a*b"', 12, "first or last", id="star in the middle"),
        pytest.param(r'actor.id = "C:\dir"', 12, "a backslash is written as two", id="unknown escape"),
        pytest.param('"ali*"', 1, "leave out the *", id="star in free text"),
        pytest.param('""', 1, "must not be empty", id="empty free text"),
        pytest.param("attributes.n = 1e999", 16, "beyond the range", id="number beyond a double"),
        pytest.param("a \x00", 3, "must stand in quotation marks", id="NUL"),
        pytest.param("a \ud800", 3, "surrogate", id="half a surrogate pair"),
    ],
)
def test_refuses_and_says_where_and_why(text, column, problem):
    error, description = refusal(text)
    assert problem in description
    assert error.facts["column"] == str(column)
    assert description.endswith(f"(at column {column})")
    first, line, caret = error.message.split("\n")
    assert first == f"filter: {description}"
    assert len(line) == len(line.rstrip("\n"))
    assert caret.endswith("^")


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("a AND b OR c", ("a AND (b OR c)", "(a AND b) OR c")),
        ("a OR b AND c", ("(a OR b) AND c", "a OR (b AND c)")),
        ("a b OR -c", ("a AND (b OR -c)", "(a AND b) OR -c")),
        ('(a OR b) AND tenant = "x" OR c', ('(a OR b) AND (tenant = "x" OR c)', '((a OR b) AND tenant = "x") OR c')),
    ],
)
def test_refuses_a_mixture_of_and_and_or_with_both_readings(text, readings):
    _, description = refusal(text)
    assert all(reading in description for reading in readings)
    for reading in readings:
        parse(reading)


def test_accepts_a_mixture_within_parentheses_of_its_own():
    parse("(a AND b) OR (c AND d)")


def test_puts_the_caret_under_the_fault_in_a_long_filter():
    text = "a AND " * 30 + "actr.id = x" + " AND a" * 30
    error, _ = refusal(text)
    _, line, caret = error.message.split("\n")
    assert line[caret.index("^") :].startswith("actr.id = x")


def test_shows_no_control_characters():
    error, description = refusal('"\x1b[31m" AND b OR "\u202e"')
    assert "\x1b" not in error.message + description
    assert "\u202e" not in error.message + description


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("(" * 10_000, "parentheses", id="10 kB of opening parentheses"),
        pytest.param(")" * 10_000, "stands where", id="10 kB of closing parentheses"),
        pytest.param("-" * 10_000, "stands where", id="10 kB of minus"),
        pytest.param("NOT " * 2_500, "terms", id="10 kB of NOT"),
        pytest.param('"' * 9_999, "space", id="10 kB of quotation marks"),
        pytest.param("\\" * 10_000, "quotation marks", id="10 kB of backslashes"),
        pytest.param("a " * 5_000, "terms", id="10 kB of words"),
        pytest.param("a OR " * 2_000 + "a", "bytes", id="more than 10 kB"),
        pytest.param("\U0001f600" * 2_501, "bytes", id="more than 10 kB of four-byte characters"),
        pytest.param("." * 10_000, "dot", id="10 kB of dots"),
        pytest.param("a." * 5_000, "dot", id="10 kB of a path"),
        pytest.param("actor" + ".id" * 3_000 + " = 1", "no field", id="a path of 3,000 names"),
    ],
)
def test_refuses_hostile_text_without_effort(text, problem):
    _, description = refusal(text)
    assert problem in description


def test_holds_each_limit_exactly():
    parse("((a))", Limits(max_depth=2))
    refusal("(((a)))", max_depth=2)
    parse("a actor.id=b", Limits(max_terms=2))
    refusal("a actor.id=b c", max_terms=2)
    parse("é", Limits(max_bytes=2))
    refusal("éa", max_bytes=2)


ALPHABET = st.sampled_from(
    [
        "(",
        ")",
        '"',
        "'",
        "\\",
        "*",
        ".",
        "-",
        "=",
        "!=",
        "<",
        ">=",
        ":",
        " ",
        "AND",
        "OR",
        "NOT",
        "a",
        "1",
        "actor.id",
        "index",
        "attributes.x",
        "origin.ip",
        "time",
        "outcome",
        "2026-01-01T00:00:00Z",
        "\x00",
        "é",
    ]
)
ENTRY = {"index": 1, "event": {"actor": {"id": "a"}, "attributes": {"x": [1, {"y": None}]}}}


@given(st.text() | st.lists(ALPHABET).map("".join) | st.lists(ALPHABET).map(" ".join))
def test_any_text_is_either_read_or_refused(text):
    try:
        tree = parse(text)
    except InvalidRequestError as error:
        reason = error.reason
    else:
        reason = ""
        assert compile_predicate(tree)(ENTRY) in {True, False}
        raw = compile_raw(tree)
        assert raw is None or raw(b"{}") in {True, False}
    assert reason in {"", "INVALID_FILTER"}


def test_the_nearest_field_is_a_fact_of_the_refusal():
    error, _ = refusal("actr.id = x")
    assert error.facts == {"column": "1", "nearest": "actor.id"}


def test_the_caret_stands_below_its_column_whatever_the_width_of_the_letters():
    error, _ = refusal('"日本" actr.id = x')
    _, line, caret = error.message.split("\n")
    assert line == '  "日本" actr.id = x'
    assert caret == "  " + " " * 7 + "^"
