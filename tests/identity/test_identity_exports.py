"""The package's front door."""

import auditd.identity
from auditd.errors import UnauthenticatedError
from auditd.identity import TokenError, TokenReason


def test_all_is_sorted_and_complete():
    names = auditd.identity.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    public = {name for name in vars(auditd.identity) if not name.startswith("_")}
    assert public == set(names)


def test_every_refusal_of_a_token_is_an_unauthenticated_error_with_a_stable_reason():
    for reason in TokenReason:
        error = TokenError(reason, "why")
        assert isinstance(error, UnauthenticatedError)
        assert type(error.reason) is str
        assert error.reason == f"TOKEN_{reason.name}"
