"""What every call has: token, deadline, retries and a protected connection."""

import datetime
import threading

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auditd_client import (
    Client,
    DeadlineExceededError,
    ExhaustedError,
    RetryPolicy,
    Settings,
    SettingsError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
)


def test_carries_the_token_and_calls_for_a_new_one_before_each_try(double, connect, service):
    double.fail(service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY"))
    tokens = iter(["first", "second\n"])
    connect(token=lambda: next(tokens)).logs()
    assert [call.metadata["authorization"] for call in double.calls] == ["Bearer first", "Bearer second"]


def test_goes_without_a_token(double, connect):
    connect(token=None).logs()
    assert "authorization" not in double.calls[0].metadata


@pytest.mark.parametrize("token", ["", "se cret", "se\ncret", "sécret", "se\x7fcret"])
def test_refuses_a_malformed_token_without_quoting_it(double, connect, token):
    with pytest.raises(SettingsError, match="token") as caught:
        connect(token=token).logs()
    assert "cret" not in str(caught.value)
    assert double.calls == []


def test_shows_no_token(double, connect, service):
    double.fail(service.Failure(grpc.StatusCode.UNAUTHENTICATED, "token expired", "TOKEN_EXPIRED"))
    client = connect(token="secret")
    with pytest.raises(UnauthenticatedError) as caught:
        client.logs()
    shown = [
        repr(client),
        str(client),
        repr(caught.value),
        repr(caught.value.__cause__),
        str(vars(caught.value)),
    ]
    assert not [text for text in shown if "secret" in text]
    assert "secret" not in repr(Settings(token="secret"))


def test_pauses_longer_and_longer_between_tries(double, connect, service, pauses):
    double.fail(*[service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY")] * 8)
    connect().append({"action": "a"})
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_comes_back_when_the_server_says(double, connect, service, pauses):
    busy = [service.retry_info(0.25)]
    double.fail(
        service.Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="QUEUE_FULL", details=busy),
        service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY", details=busy),
    )
    connect(retry=RetryPolicy(random=lambda: 0.5)).append({"action": "a"})
    assert pauses == pytest.approx([0.275, 0.275])


def test_does_not_come_back_to_an_exhausted_server_that_names_no_time(double, connect, service, pauses):
    double.fail(service.Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="QUOTA"))
    with pytest.raises(ExhaustedError):
        connect().append({"action": "a"})
    assert (len(double.calls), pauses) == (1, [])


def test_does_not_wait_beyond_the_deadline(double, connect, service, pauses):
    busy = [service.retry_info(20)]
    double.fail(service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY", details=busy))
    with pytest.raises(UnavailableError) as caught:
        connect().append({"action": "a"}, timeout_s=10)
    assert caught.value.retry_after_s == 20
    assert (len(double.calls), pauses) == (1, [])


def test_tries_again_when_the_server_gave_up_before_our_deadline(double, connect, service):
    double.fail(service.Failure(grpc.StatusCode.DEADLINE_EXCEEDED, reason="TOO_SLOW"))
    assert connect().append({"action": "a"}).receipts[0].index == 0


def test_stops_after_the_most_tries_allowed(double, connect, service):
    double.fail(*[service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY")] * 5)
    with pytest.raises(UnavailableError):
        connect(retry=RetryPolicy(max_attempts=3)).logs()
    assert len(double.calls) == 3


def test_gives_up_at_the_deadline_of_a_call_that_hangs(double, connect):
    hanging = threading.Event()
    double.fail(lambda _: hanging.wait(10))
    try:
        with pytest.raises(DeadlineExceededError) as caught:
            connect().append({"action": "a"}, timeout_s=0.05)
    finally:
        hanging.set()
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_sends_the_time_left_as_the_deadline_of_each_try(double, connect, monkeypatch):
    timeouts = []
    client = connect(timeout_s=7)
    logs = client._stub.ListLogs
    monkeypatch.setattr(client._stub, "ListLogs", lambda *a, **k: timeouts.append(k["timeout"]) or logs(*a, **k))
    client.logs()
    client.logs(timeout_s=3)
    assert timeouts == [pytest.approx(7, abs=1), pytest.approx(3, abs=1)]


def test_says_that_no_server_answered(pauses):
    client = Client("127.0.0.1:1", "token", retry=RetryPolicy(max_attempts=2), sleep=pauses.append)
    with client, pytest.raises(UnreachableError) as caught:
        client.logs()
    assert (caught.value.reason, caught.value.code) == ("UNREACHABLE", "UNAVAILABLE")


@pytest.mark.parametrize(
    ("address", "plaintext"),
    [
        ("127.0.0.1:7443", True),
        ("127.8.8.8:1", True),
        ("localhost:65535", True),
        ("LocalHost:1", True),
        ("[::1]:7443", True),
        ("audit.example.com:443", False),
        ("10.0.0.1:7443", False),
        ("0.0.0.0:7443", False),
        ("[2001:db8::1]:7443", False),
        ("localhost.example.com:1", False),
    ],
)
def test_speaks_plaintext_to_loopback_alone(address, plaintext):
    with Client(address) as client:
        assert (client._target.credentials is None) == plaintext


def test_speaks_plaintext_elsewhere_only_if_told_so():
    with Client("audit.example.com:80", insecure=True) as client:
        assert client._target.credentials is None


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "localhost:", ":443", "localhost:0", "localhost:65536", "::1:443", "http://localhost:1",
     "user@host:1", "a b:1", "host:1\n", "host:\u0661"],
)  # fmt: skip
def test_refuses_a_malformed_address(address):
    with pytest.raises(SettingsError, match=r"^address: "):
        Client(address)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"ca": "/nowhere/ca.pem"}, "ca: cannot read", id="no such file"),
        pytest.param({"ca": b"no certificate"}, "ca: holds no PEM", id="no PEM"),
        pytest.param({"certificate": b"-----BEGIN X"}, "belong together", id="certificate without key"),
        pytest.param({"ca": b"-----BEGIN X", "insecure": True}, "contradicts", id="insecure with a CA"),
        pytest.param({"known": "note"}, "needs the log's key", id="known checkpoint without key"),
    ],
)
def test_refuses_settings_that_do_not_fit(options, message):
    with pytest.raises(SettingsError, match=message):
        Client("localhost:1", **options)


def certificate():
    """A self-signed certificate for localhost, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def test_speaks_mutual_tls_and_refuses_a_server_it_does_not_trust(service, tmp_path, pauses):
    (cert, key), (other, other_key) = certificate(), certificate()
    credentials = grpc.ssl_server_credentials([(key, cert)], other, require_client_auth=True)
    server, address = service.serve(service.LogDouble(), credentials)
    address = address.replace("127.0.0.1", "localhost")
    (tmp_path / "ca.pem").write_bytes(cert)
    options = {"retry": RetryPolicy(max_attempts=1), "certificate": other, "private_key": other_key}
    try:
        with Client(address, "token", ca=tmp_path / "ca.pem", **options) as client:
            assert client.logs()[0].name == "main"
        with Client(address, "token", ca=other, **options) as client, pytest.raises(SettingsError, match="vouch"):
            client.logs()
    finally:
        server.stop(None).wait()


def test_reads_settings_from_the_environment(double, address):
    settings = Settings.from_environment(
        {"AUDITLOG_ADDRESS": address, "AUDITLOG_TOKEN": "t", "AUDITLOG_CA": "", "AUDITLOG_LOG": "billing"}
    )
    assert settings == Settings(address, "t", None, None, "billing")
    with Client.from_settings(settings) as client:
        client.append({"action": "a"})
    with Client.from_settings(settings, log="other") as client:
        client.append({"action": "b"})
    assert [request.log for request in double.sent("Append")] == ["billing", "other"]
    assert double.calls[0].metadata["authorization"] == "Bearer t"


def test_asks_for_an_address():
    assert Settings.from_environment({}) == Settings(log="main")
    with pytest.raises(SettingsError, match="AUDITLOG_ADDRESS"):
        Client.from_settings(Settings())


def test_reads_the_environment_of_the_process(monkeypatch):
    monkeypatch.setenv("AUDITLOG_KEY", "vkey")
    assert Settings.from_environment().key == "vkey"


def test_ctrl_c_is_not_held_up_by_a_connection_that_does_not_close(monkeypatch):
    """As gRPC's does not where the signal came in the midst of beginning a call."""
    released = threading.Event()
    monkeypatch.setattr("grpc._channel.Channel.close", lambda _: released.wait(60))
    client = Client("127.0.0.1:1")
    try:
        with pytest.raises(KeyboardInterrupt), client:
            raise KeyboardInterrupt
        assert not released.is_set()
        assert [thread for thread in threading.enumerate() if thread.name == "closing"], "it is left behind"
    finally:
        released.set()
