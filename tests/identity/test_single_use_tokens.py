"""Tokens of an issuer that makes them for one call are refused the second time."""

import pytest

from auditd.errors import ExhaustedError
from auditd.identity import TokenError, _single_use


@pytest.fixture
def server(forge, clock):
    server = forge.trust(clock=clock, refuse_replayed_jti=True)
    clock.now += 60
    return server


def token(forge, clock, **claims):
    return forge.token(claims=forge.claims(iat=clock.now, exp=clock.now + 100, **claims))


def use(server, token):
    caller = server.authenticate(token)
    server.use_up(caller)
    return caller


def refusal(server, token):
    with pytest.raises(TokenError) as caught:
        use(server, token)
    return caught.value.reason


def test_replayed_jti_is_refused(forge, clock, server):
    first = token(forge, clock)
    assert use(server, first).jti == "token-1"
    assert refusal(server, first) == "TOKEN_REPLAYED"
    assert refusal(server, token(forge, clock, roles=["admin"])) == "TOKEN_REPLAYED"
    assert use(server, token(forge, clock, jti="token-2"))


def test_an_open_stream_is_no_replay(forge, clock, server):
    first = token(forge, clock)
    use(server, first)
    assert server.authenticate(first)


def test_token_from_before_the_start_may_have_been_used(forge, clock, server):
    assert refusal(server, forge.token(claims=forge.claims(iat=forge.now))) == "TOKEN_REPLAYED"


@pytest.mark.parametrize("claim", ["jti", "iat"])
def test_token_without_what_tells_is_refused(forge, clock, server, claim):
    claims = {"iat": clock.now, "exp": clock.now + 100, claim: None}
    assert refusal(server, forge.token(claims=forge.claims(**claims))) == "TOKEN_CLAIMS"


def test_expired_tokens_are_forgotten_and_too_many_are_refused(forge, clock, server, monkeypatch):
    monkeypatch.setattr(_single_use, "MAX_REMEMBERED", 2)
    for number in range(2):
        use(server, token(forge, clock, jti=f"a{number}"))
    with pytest.raises(ExhaustedError) as caught:
        use(server, token(forge, clock, jti="a2"))
    assert caught.value.reason == "TOO_MANY_TOKENS"
    clock.now += 200
    assert use(server, token(forge, clock, jti="a2"))


def test_other_issuers_tokens_may_be_used_again(forge, clock):
    server = forge.trust(clock=clock)
    first = forge.token()
    assert use(server, first) is use(server, first)
