"""Whatever is changed in a token, it no longer gets in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.identity import TokenError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def tokens(forge):
    return {algorithm: forge.token(algorithm) for algorithm in forge.key_of_algorithm}


@pytest.fixture(scope="module")
def trusting(forge):
    return forge.trust()


@given(st.data())
def test_token_with_one_character_replaced_is_refused(tokens, trusting, data):
    token = data.draw(st.sampled_from(sorted(tokens.values())))
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from([*ALPHABET, ".", "=", " ", "\n"]).filter(lambda c: c != token[at]))
    with pytest.raises(TokenError):
        trusting.authenticate(token[:at] + character + token[at + 1 :])


@given(st.data())
def test_token_with_a_piece_cut_out_doubled_or_added_is_refused(tokens, trusting, data):
    token = data.draw(st.sampled_from(sorted(tokens.values())))
    start, end = sorted(data.draw(st.lists(st.integers(0, len(token)), min_size=2, max_size=2, unique=True)))
    piece = data.draw(st.sampled_from(["", token[start:end] * 2, "A" * (end - start), "\x00"]))
    mutant = token[:start] + piece + token[end:]
    if mutant != token:
        with pytest.raises(TokenError):
            trusting.authenticate(mutant)


@given(st.text(max_size=200) | st.lists(st.text(ALPHABET, max_size=40), max_size=6).map(".".join))
def test_any_text_at_all_is_refused_and_nothing_else_happens(trusting, text):
    with pytest.raises(TokenError):
        trusting.authenticate(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "roles", "cnf"]),
)
def test_any_value_of_a_claim_is_taken_or_refused(forge, trusting, value, name):
    try:
        caller = trusting.authenticate(forge.token(claims={**forge.claims(), name: value}))
    except TokenError:
        return
    assert caller.subject


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "cty", "jwk", "jku", "x5c", "enc"]),
)
def test_any_value_of_a_header_member_is_taken_or_refused(forge, trusting, value, name):
    try:
        caller = trusting.authenticate(forge.token(header={**forge.header(), name: value}))
    except TokenError:
        return
    assert caller.subject == "svc-billing"
