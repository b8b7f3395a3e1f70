"""Every provider names its claims its own way, so the operator says which is subject, role, session, tenant, method."""

from pathlib import Path

import pytest

from auditd.identity import ClaimMapping
from auditd.settings import Reading, read_table

KEYCLOAK = {
    "realm_access": {"roles": ["audit-team", "offline_access"]},
    "session_state": "0f0b…",
    "org": {"id": "acme", "https://acme.example/unit": "north"},
    "amr": ["pwd", "otp"],
}


def mapping(**claims):
    """The mapping as it is read from a table, and what is wrong with it."""
    reading = Reading()
    return read_table(ClaimMapping, claims, "claims.", Path(), reading), reading.mistakes


def trust(forge, role_mapping=None, **claims):
    read, found = mapping(**claims)
    assert found == []
    return forge.trust(claims=read, roles=role_mapping)


def test_claims_are_found_inside_others(forge):
    server = trust(
        forge,
        {"audit-team": ("auditor",)},
        roles=("realm_access", "roles"),
        session=("session_state",),
        tenant=("org", "id"),
    )
    caller = server.authenticate(forge.token(claims=forge.claims(**KEYCLOAK)))
    assert (caller.roles, caller.session, caller.tenant) == (("auditor",), "0f0b…", "acme")
    assert caller.method == "pwd otp"


def test_name_that_holds_dots_is_given_in_an_array(forge):
    claims = forge.claims(**{"https://acme.example/roles": ["reader"], "roles": ["admin"]}, **KEYCLOAK)
    server = trust(forge, roles=["https://acme.example/roles"], tenant=["org", "https://acme.example/unit"])
    caller = server.authenticate(forge.token(claims=claims))
    assert (caller.roles, caller.tenant) == (("reader",), "north")


def test_standard_claims_are_taken_where_nothing_is_set(forge, server):
    caller = server.authenticate(forge.token(claims=forge.claims(sid="s-1", amr=["pwd"], tenant="acme")))
    assert (caller.session, caller.method, caller.tenant) == ("s-1", "pwd", None)
    plain = server.authenticate(forge.token())
    assert (plain.session, plain.method, plain.tenant) == (None, None, None)


def test_subject_may_be_another_claim(forge):
    server = trust(forge, subject="azp")
    assert server.authenticate(forge.token(claims=forge.claims(azp="svc-web"))).subject == "svc-web"
    assert forge.reason(server, forge.token()) == "TOKEN_CLAIMS"


def test_scope_is_text_with_spaces(forge):
    server = trust(forge, {"audit:write": ("writer",), "audit:read": ("reader", "auditor")}, roles="scope")
    token = forge.token(claims=forge.claims(scope="openid audit:read audit:write audit:read"))
    assert server.authenticate(token).roles == ("reader", "auditor", "writer")


def test_role_that_the_mapping_does_not_name_is_nothing(forge):
    server = trust(forge, {"audit-team": ("reader",)})
    caller = server.authenticate(forge.token(claims=forge.claims(roles=["admin", "audit-team", "Audit-Team"])))
    assert caller.roles == ("reader",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sid", 7),
        ("sid", ""),
        ("sid", "a\x00"),
        ("sid", "s" * 257),
        ("sid", ["s"]),
        ("amr", 7),
        ("amr", ["pwd", 7]),
        ("amr", ["a\n"]),
        ("amr", ["m" * 65]),
        ("tenant", {"id": "acme"}),
        ("tenant", "t" * 129),
        ("org", "acme"),
        ("realm_access", ["roles"]),
        ("realm_access", {"roles": "admin"}),
        ("realm_access", {"roles": {"admin": True}}),
    ],
    ids=str,
)
def test_mapped_claim_of_another_type_refuses_the_token(forge, name, value):
    mapped = {"roles": "realm_access.roles"} if name == "realm_access" else {}
    mapped |= {"tenant": "org.id" if name == "org" else "tenant"}
    token = forge.token(claims=forge.claims(**{name: value}))
    assert forge.reason(trust(forge, **mapped), token) == "TOKEN_CLAIMS"


@pytest.mark.parametrize("inner", [{}, {"other": 1}])
def test_path_that_leads_nowhere_is_no_role(forge, inner):
    server = trust(forge, roles="realm_access.roles")
    assert server.authenticate(forge.token(claims=forge.claims(realm_access=inner, roles=["admin"]))).roles == ()


@pytest.mark.parametrize("path", ["", "a..b", ".a", [], [""], ["a", 7], "a.b.c.d.e.f.g.h.i", 7, "a\n", ["x" * 513]])
def test_path_that_is_none_is_a_mistake(path):
    _, found = mapping(roles=path)
    assert [one.field for one in found] == ["claims.roles"]


def test_empty_mapping_of_roles_gives_none(forge):
    assert trust(forge, {}).authenticate(forge.token()).roles == ()
