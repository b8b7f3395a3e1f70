"""Which claims of a well-signed token are taken, at which time."""

import json

import pytest


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"])
def test_caller_is_what_the_token_says(forge, server, algorithm):
    caller = server.authenticate(forge.token(algorithm))
    assert (caller.kind, caller.issuer, caller.subject, caller.jti) == (
        "token",
        forge.issuer,
        "svc-billing",
        "token-1",
    )
    assert caller.roles == ("writer",)
    assert caller.kid == forge.key_of_algorithm[algorithm]
    assert len(caller.key_thumbprint) == 43


def test_audience_may_be_one_of_several(forge, server):
    assert server.authenticate(forge.token(claims=forge.claims(aud=["other", forge.audience])))


def test_audience_of_the_issuers_own_configuration_replaces_the_servers(forge):
    server = forge.trust(audience="api://audit")
    assert server.authenticate(forge.token(claims=forge.claims(aud="api://audit")))
    assert forge.reason(server, forge.token()) == "TOKEN_WRONG_AUDIENCE"


def test_any_type_is_taken_where_the_operator_said_so(forge):
    server = forge.trust(typ="any")
    for typ in (None, "JWT", "at+jwt"):
        assert server.authenticate(forge.token(header=forge.header(typ=typ)))


@pytest.mark.parametrize(
    ("now_minus_exp", "accepted"),
    [(-1, True), (0, True), (29, True), (29.999, True), (30, False), (31, False)],
)
def test_expiry_with_a_leeway_of_30_seconds(forge, clock, server, now_minus_exp, accepted):
    clock.now = forge.now + 600 + now_minus_exp
    if accepted:
        assert server.authenticate(forge.token()).expires_at == forge.now + 630
    else:
        assert forge.reason(server, forge.token()) == "TOKEN_EXPIRED"


def test_expiry_without_leeway_is_the_very_second(forge, clock):
    server = forge.trust(clock=clock, leeway_s=0)
    clock.now = forge.now + 599.999
    assert server.authenticate(forge.token())
    clock.now = forge.now + 600
    assert forge.reason(forge.trust(clock=clock, leeway_s=0), forge.token()) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize(("ahead_s", "accepted"), [(0, True), (30, True), (30.5, False), (3000, False)])
def test_not_before_and_issued_at_in_the_future(forge, server, name, ahead_s, accepted):
    token = forge.token(claims=forge.claims(**{name: forge.now + ahead_s}))
    if accepted:
        assert server.authenticate(token)
    else:
        assert forge.reason(server, token) == "TOKEN_NOT_YET_VALID"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1800000600", True, [1], {}, -1, 253_402_300_800, 10**400], ids=ascii)
def test_date_that_is_no_number_of_a_plausible_year(forge, server, name, value):
    token = forge.token(claims=forge.claims(**{name: value}))
    assert forge.reason(server, token) == "TOKEN_CLAIMS"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("text", ["1e400", "NaN", "Infinity"])
def test_date_that_is_no_number_at_all(forge, server, name, text):
    payload = json.dumps(forge.claims(**{name: None}))[:-1] + f', "{name}": {text}}}'
    assert forge.reason(server, forge.sign_text(json.dumps(forge.header()), payload)) == "TOKEN_MALFORMED"


def test_date_of_null_is_not_an_absent_one(forge, server):
    for name in ("exp", "nbf", "iat"):
        payload = json.dumps(forge.claims() | {name: None})
        assert forge.reason(server, forge.sign_text(json.dumps(forge.header()), payload)) == "TOKEN_CLAIMS"


def test_dates_may_be_fractions(forge, server):
    claims = forge.claims(iat=forge.now - 0.5, nbf=forge.now - 0.25, exp=forge.now + 60.75)
    assert server.authenticate(forge.token(claims=claims)).expires_at == forge.now + 60 + 30


def test_expiry_is_required(forge, server):
    assert forge.reason(server, forge.token(claims=forge.claims(exp=None))) == "TOKEN_CLAIMS"


@pytest.mark.parametrize(
    ("issued", "expires", "accepted"),
    [(-10, 3590, True), (-10, 3591, False), (-4000, 10, False), (None, 3630, True), (None, 3631, False)],
)
def test_lifetime_of_at_most_an_hour(forge, server, issued, expires, accepted):
    claims = forge.claims(iat=None if issued is None else forge.now + issued, exp=forge.now + expires)
    if accepted:
        assert server.authenticate(forge.token(claims=claims))
    else:
        assert forge.reason(server, forge.token(claims=claims)) == "TOKEN_LIFETIME"


@pytest.mark.parametrize(
    "value",
    [None, "", 7, ["a"], "a\x00b", "a\nb", "a\x7f", "a\x85", "é" * 129, "a" * 257],
    ids=["missing", "empty", "number", "array", "NUL", "LF", "DEL", "NEL", "258 bytes", "257 bytes"],
)
def test_subject_unfit_to_be_recorded(forge, server, value):
    assert forge.reason(server, forge.token(claims=forge.claims(sub=value))) == "TOKEN_CLAIMS"


@pytest.mark.parametrize("value", ["", 7, "a\x00b", "a" * 257])
def test_token_identifier_unfit_to_be_recorded(forge, server, value):
    assert forge.reason(server, forge.token(claims=forge.claims(jti=value))) == "TOKEN_CLAIMS"


def test_token_identifier_is_optional(forge, server):
    assert server.authenticate(forge.token(claims=forge.claims(jti=None))).jti is None


def test_longest_names_are_taken_as_they_are(forge, server):
    claims = forge.claims(sub="é" * 128, jti="~" * 256)
    caller = server.authenticate(forge.token(claims=claims))
    assert (caller.subject, caller.jti) == ("é" * 128, "~" * 256)


@pytest.mark.parametrize("roles", ["admin", {"admin": True}, ["admin", 5], 5, [["admin"]]], ids=str)
def test_roles_that_are_no_array_of_strings(forge, server, roles):
    assert forge.reason(server, forge.token(claims=forge.claims(roles=roles))) == "TOKEN_CLAIMS"


def test_no_roles_are_no_error(forge, server):
    assert server.authenticate(forge.token(claims=forge.claims(roles=None))).roles == ()


def test_time_is_judged_only_after_the_signature(forge, server):
    claims = forge.claims(exp=forge.now - 100)
    assert forge.reason(server, forge.token(claims=claims, key=forge.stranger)) == "TOKEN_BAD_SIGNATURE"


def test_refusal_names_the_claimed_subject(forge, server):
    error = forge.refusal(server, forge.token(claims=forge.claims(exp=forge.now - 100)))
    assert (error.reason, error.unverified_subject) == ("TOKEN_EXPIRED", "svc-billing")
    assert str(error) == "token claim exp: 100 s ago"
