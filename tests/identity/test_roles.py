"""What each built-in role may do with which log."""

import pytest

from auditd.errors import PermissionDeniedError
from auditd.identity import ROLES, SYSTEM_LOGS, Permission

READ = {"get", "query", "checkpoint"}
ALLOWED = {
    # role: permissions on an ordinary log, permissions on `control` and `access`
    "writer": ({"append"}, set()),
    "importer": ({"append", "import"}, set()),
    "reader": (READ, set()),
    "auditor": (READ | {"prove"}, READ | {"prove"}),
    "admin": (READ | {"prove", "append", "import"}, READ | {"prove", "administer", "back_up"}),
    "backup": (set(), {"back_up"}),
}


@pytest.fixture
def caller_with(forge, server):
    return lambda *roles: server.authenticate(forge.token(claims=forge.claims(roles=list(roles))))


def test_built_in_roles_are_these_six():
    assert sorted(ROLES) == sorted(ALLOWED)
    assert sorted(SYSTEM_LOGS) == ["access", "control"]


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("log", ["main", "payments", "control", "access"])
def test_role_allows_exactly_its_permissions(caller_with, role, log):
    caller = caller_with(role)
    expected = ALLOWED[role][log in ("control", "access")]
    assert {permission for permission in Permission if caller.may(permission, log)} == expected
    for permission in Permission:
        if permission in expected:
            caller.require(permission, log)
        else:
            with pytest.raises(PermissionDeniedError):
                caller.require(permission, log)


def test_roles_add_up(caller_with):
    caller = caller_with("writer", "reader")
    caller.require(Permission.APPEND, "main")
    caller.require(Permission.QUERY, "main")
    assert not caller.may(Permission.PROVE, "main")


def test_roles_of_different_reach_do_not_lend_it_to_each_other(caller_with):
    caller = caller_with("importer", "auditor")
    assert caller.may(Permission.APPEND, "main")
    assert caller.may(Permission.QUERY, "control")
    assert not caller.may(Permission.APPEND, "control")


@pytest.mark.parametrize("roles", [[], ["superuser"], ["Admin"], ["admin "], ["*"], [""], ["append"]], ids=str)
def test_unknown_roles_give_nothing(caller_with, roles):
    caller = caller_with(*roles)
    assert not any(caller.may(permission, "main") for permission in Permission)
    with pytest.raises(PermissionDeniedError, match="some permission is needed"):
        caller.require_any()


@pytest.mark.parametrize("role", ALLOWED)
def test_every_role_may_list_the_logs(caller_with, role):
    caller_with(role).require_any()


def test_denial_names_permission_log_and_the_roles_that_would_do(caller_with):
    with pytest.raises(PermissionDeniedError) as caught:
        caller_with("writer").require(Permission.PROVE, "main")
    assert caught.value.reason == "PERMISSION_DENIED"
    assert str(caught.value) == "prove on log 'main' needs the role auditor or admin; the caller has 'writer'"
    assert caught.value.facts == {"permission": "prove", "log": "main", "roles": "auditor,admin"}


def test_denial_of_what_nobody_may_do(caller_with):
    with pytest.raises(PermissionDeniedError) as caught:
        caller_with().require(Permission.APPEND, "control")
    assert str(caught.value) == "append on log 'control' is allowed to no role; the caller has no role"


def test_denial_stays_short_and_printable_whatever_the_names(caller_with):
    caller = caller_with(*["\x1b[2J" + "r" * 300] * 20)
    with pytest.raises(PermissionDeniedError) as caught:
        caller.require(Permission.GET, "\x00" * 5000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200
    assert len(caught.value.facts["log"]) <= 64
