"""The revocations that are measured are real ones: the server that starts with them refuses."""

from auditd.identity import Revoked, RevokedKind
from auditd.server import load_config
from auditd.server._clock import Clock
from auditd.server._logs import Logs
from benchmarks._revocations import fill
from demo._server import auditlog


def test_what_is_filled_in_is_revoked(tmp_path):
    folder = tmp_path / "server"
    auditlog("init", str(folder), "--origin", "audit.example.com")
    fill(folder, 50)
    config = load_config(folder)
    logs = Logs(config, lambda _answers: None, lambda _name: None, Clock(config.limits.max_idle_s))
    try:
        issuer = "https://audit.example.com/local"
        for number in (0, 49):
            assert logs.revocations.same(Revoked(RevokedKind.JTI, issuer, f"token-{number:08d}"), None) is not None
        assert len(list(logs.revocations.from_index(0))) == 50
    finally:
        logs.close()
