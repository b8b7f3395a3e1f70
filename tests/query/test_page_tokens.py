"""A page token is good for one query of one caller, as it was sealed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.errors import InvalidRequestError
from auditd.query import Order, PageTokens, Position, QueryIdentity

KEY = bytes(range(32))
QUERY = QueryIdentity("audit.example.com/main", "a = 1", Order.NEWEST_FIRST, False, "https://idp", "alice")
SIZES = st.integers(0, 2**63 - 1)


def refuse(token, query=QUERY, key=KEY):
    with pytest.raises(InvalidRequestError) as caught:
        PageTokens(key).open(query, token)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"
    (violation,) = caught.value.violations
    assert violation.field == "page_token"


@given(SIZES, SIZES, SIZES, SIZES, st.text(), st.text(), st.text(), st.sampled_from(Order), st.booleans())
def test_a_token_opens_as_it_was_sealed(size, cursor, now, moment, text, issuer, subject, order, no_index):
    query = QueryIdentity("o", text, order, no_index, issuer, subject)
    token = PageTokens(KEY).seal(query, Position(size, cursor, now, moment))
    assert PageTokens(KEY).open(query, token) == Position(size, cursor, now, moment)
    assert len(token) == 88
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@pytest.mark.parametrize(
    "other",
    [
        {"origin": "audit.example.com/control"},
        {"filter": "a = 2"},
        {"order": Order.OLDEST_FIRST},
        {"no_index": True},
        {"issuer": "https://other"},
        {"subject": "bob"},
        {"issuer": "https://idpa", "subject": "lice"},
        {"filter": "a = 1https://idp", "issuer": ""},
    ],
    ids=str,
)
def test_a_token_of_another_query_is_refused(other):
    refuse(PageTokens(KEY).seal(QUERY, Position(10, 5)), replace(QUERY, **other))


@given(st.integers(0, 87), st.characters(codec="ascii"))
def test_a_token_with_any_character_changed_is_refused(place, character):
    token = PageTokens(KEY).seal(QUERY, Position(10, 5))
    changed = token[:place] + character + token[place + 1 :]
    if changed != token:
        refuse(changed)


@given(st.text() | st.text("A", max_size=70))
def test_any_other_text_is_refused(token):
    refuse(token)


@pytest.mark.parametrize("text", ["é" * 88, "A" * 86 + "==", "A" * 10_000_000, "+" * 88, "A" * 87 + "\n"])
def test_text_that_is_no_token_is_refused(text):
    refuse(text)


def test_a_token_of_another_key_is_refused():
    refuse(PageTokens(KEY).seal(QUERY, Position(10, 5)), key=bytes(32))


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="31 bytes"):
        PageTokens(bytes(31))
