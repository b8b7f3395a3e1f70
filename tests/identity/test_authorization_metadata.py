"""The `authorization` metadata of a call holds exactly one bearer token."""

import pytest

from auditd.identity import TokenError, parse_authorization


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_in_any_casing(scheme):
    assert parse_authorization([f"{scheme} abc.def.ghi"]) == "abc.def.ghi"


def test_no_authorization_at_all():
    with pytest.raises(TokenError, match="expected 'Bearer <token>'") as caught:
        parse_authorization([])
    assert caught.value.reason == "TOKEN_MISSING"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "abc.def.ghi", "Basic dTpw", "BearerX abc", " Bearer abc"])
def test_anything_but_a_bearer_token(value):
    with pytest.raises(TokenError) as caught:
        parse_authorization([value])
    assert caught.value.reason == "TOKEN_MALFORMED"
    assert "dTpw" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("value", ["Bearer  abc.def.ghi", "Bearer abc.def.ghi ", "Bearer \tabc.def.ghi"])
def test_blanks_around_the_token_are_named(value):
    with pytest.raises(TokenError, match="one space between and none behind") as caught:
        parse_authorization([value])
    assert caught.value.reason == "TOKEN_MALFORMED"
    assert "abc" not in str(caught.value)
