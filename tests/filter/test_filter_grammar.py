"""How a filter's text is read."""

import pytest

from auditd.filter import (
    EVERYTHING,
    And,
    Comparison,
    Constant,
    FreeText,
    Network,
    Not,
    Number,
    Or,
    Pattern,
    Present,
    Text,
    Time,
    parse,
)

A, B, C = FreeText("a"), FreeText("b"), FreeText("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        pytest.param("", EVERYTHING, id="empty"),
        pytest.param(" \n\t", EVERYTHING, id="only spaces"),
        pytest.param("a", A, id="a bare word is free text"),
        pytest.param('"a b"', FreeText("a b"), id="quoted text is free text"),
        pytest.param("'a'", A, id="single quotes"),
        pytest.param("user.login", FreeText("user.login"), id="a bare word with a dot"),
        pytest.param("a AND b AND c", And((A, B, C)), id="and"),
        pytest.param("a OR b OR c", Or((A, B, C)), id="or"),
        pytest.param("a b c", And((A, B, C)), id="side by side means and"),
        pytest.param("a b AND c", And((A, B, C)), id="side by side and AND do not mix up"),
        pytest.param("NOT a", Not(A), id="not"),
        pytest.param("-a", Not(A), id="minus"),
        pytest.param("a -b", And((A, Not(B))), id="minus after a space"),
        pytest.param("a-b", FreeText("a-b"), id="minus within a word"),
        pytest.param("-30", Not(FreeText("30")), id="minus before a number is not its sign"),
        pytest.param("NOT(a)", Not(A), id="not before a parenthesis"),
        pytest.param("(a AND b) OR c", Or((And((A, B)), C)), id="parentheses around and"),
        pytest.param("a AND (b OR c)", And((A, Or((B, C)))), id="parentheses around or"),
        pytest.param("((a))", A, id="needless parentheses"),
        pytest.param("a AND NOT (b OR -c)", And((A, Not(Or((B, Not(C)))))), id="nested negations"),
        pytest.param(
            "ANDROID ORacle NOTE",
            And(tuple(map(FreeText, ("ANDROID", "ORacle", "NOTE")))),
            id="words that begin with a keyword",
        ),
    ],
)
def test_reads_terms_and_connectors(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "path", "operator", "value"),
    [
        pytest.param('actor.id = "x"', "actor.id", "=", Text("x"), id="quoted"),
        pytest.param("actor.id=x", "actor.id", "=", Text("x"), id="bare, without spaces"),
        pytest.param("action = user.login", "action", "=", Text("user.login"), id="bare with a dot"),
        pytest.param("actor.id = 42", "actor.id", "=", Text("42"), id="digits for a string field"),
        pytest.param("outcome != FAILURE", "outcome", "!=", Text("FAILURE"), id="enum"),
        pytest.param('outcome : "DENIED"', "outcome", ":", Text("DENIED"), id="quoted enum"),
        pytest.param('actor.id = "ali*"', "actor.id", "=", Pattern("ali", before=False, after=True), id="prefix"),
        pytest.param('actor.id = "*ice"', "actor.id", "=", Pattern("ice", before=True, after=False), id="suffix"),
        pytest.param('actor.id = "*lic*"', "actor.id", "=", Pattern("lic", before=True, after=True), id="middle"),
        pytest.param(r'actor.id = "ali\*"', "actor.id", "=", Text("ali*"), id="escaped star"),
        pytest.param(
            r'actor.id = "ali\\*"',
            "actor.id",
            "=",
            Pattern("ali\\", before=False, after=True),
            id="star after an escaped backslash",
        ),
        pytest.param(r'actor.id = "\"\'\\"', "actor.id", "=", Text("\"'\\"), id="escapes"),
        pytest.param('actor.id = "a\nb"', "actor.id", "=", Text("a\nb"), id="line break in quotes"),
        pytest.param("actor.id:*", "actor.id", ":", Present(), id="present"),
        pytest.param('actor.id = "*"', "actor.id", "=", Present(), id="equal to anything is present"),
        pytest.param("actor:*", "actor", ":", Present(), id="a group present"),
        pytest.param(
            "index >= 9223372036854775807", "index", ">=", Number(2**63 - 1, str(2**63 - 1)), id="whole number"
        ),
        pytest.param("attributes.n > -30", "attributes.n", ">", Number(-30, "-30"), id="negative number"),
        pytest.param("attributes.n = 2.5", "attributes.n", "=", Number(2.5, "2.5"), id="fraction"),
        pytest.param("attributes.n = 1e-3", "attributes.n", "=", Number(0.001, "1e-3"), id="exponent"),
        pytest.param("attributes.n = true", "attributes.n", "=", Constant(value=True, text="true"), id="true"),
        pytest.param('attributes.n = "true"', "attributes.n", "=", Text("true"), id="quoted true is text"),
        pytest.param(
            "time < 2026-11-24T01:00:00+01:00", "time", "<", Time("2026-11-24T00:00:00"), id="time with an offset"
        ),
        pytest.param('time < "2026-11-24t00:00:00.500z"', "time", "<", Time("2026-11-24T00:00:00.5"), id="quoted time"),
        pytest.param('origin.ip = "203.0.113.9"', "origin.ip", "=", Network(4, 0xCB007109, 0xCB007109), id="address"),
        pytest.param(
            "origin.ip = 203.0.113.0/24", "origin.ip", "=", Network(4, 0xCB007100, 0xCB0071FF), id="bare block"
        ),
        pytest.param(
            'origin.ip = "2001:DB8::/127"',
            "origin.ip",
            "=",
            Network(6, 0x20010DB8 << 96, (0x20010DB8 << 96) + 1),
            id="IPv6 block",
        ),
        pytest.param(
            'origin.ip = "::ffff:203.0.113.0/120"',
            "origin.ip",
            "=",
            Network(4, 0xCB007100, 0xCB0071FF),
            id="IPv4 block mapped into IPv6",
        ),
    ],
)
def test_reads_comparisons(text, path, operator, value):
    assert parse(text) == Comparison(tuple(path.split(".")), operator, value)


def test_reads_quoted_names_under_attributes():
    tree = parse("""attributes."a.b".'c d'.e = 1""")
    assert tree == Comparison(("attributes", "a.b", "c d", "e"), "=", Number(1, "1"))


def test_reads_integers_beyond_64_bits_as_leaves_are_read():
    assert parse("attributes.n = 18446744073709551615").value.value == 2**64 - 1
    assert isinstance(parse("attributes.n = 18446744073709551615").value.value, int)
    assert isinstance(parse("attributes.n = 18446744073709551616").value.value, float)


def test_gives_one_tree_for_one_text():
    assert parse("actor.id = x") is parse("actor.id = x")
