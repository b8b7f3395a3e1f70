"""The front door of the package."""

import auditd_client
from auditd_client import errors


def test_exports_are_sorted_and_complete():
    assert sorted(auditd_client.__all__) == auditd_client.__all__
    for name in auditd_client.__all__:
        assert getattr(auditd_client, name) is not None
    public = {
        name
        for name, value in vars(auditd_client).items()
        if not name.startswith("_")
        and name not in {"TYPE_CHECKING", "Any", "import_module"}
        and not hasattr(value, "__path__")
        and not hasattr(value, "__spec__")
    }
    assert public == set(auditd_client.__all__)


def test_every_error_is_exported():
    made = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert made <= set(auditd_client.__all__)
