"""`auditlog serve DIR --check-config`: everything that would keep a server from running, before it is run."""

from __future__ import annotations

import json

import pytest

from auditd.errors import ConfigError
from auditd.server import load_config
from tests.providers import Provider, self_signed

HEAD = 'format = 1\norigin = "audit.example.com"\n'


@pytest.fixture
def folder(make_server):
    return make_server(start=False).folder


@pytest.fixture
def checked(folder, auditlog):
    """Check the folder with these settings; return the status and what was said."""

    def check(settings):
        (folder / "auditd.toml").write_text(settings)
        done = auditlog("serve", str(folder), "--check-config")
        return done.returncode, (done.stdout + done.stderr).replace(f"auditlog: {folder}/auditd.toml:", "").splitlines()

    return check


def test_new_folder_has_no_mistakes(folder, auditlog):
    done = auditlog("serve", str(folder), "--check-config")
    assert (done.returncode, done.stdout) == (0, f"{folder}/auditd.toml: no mistakes\n")


def test_an_issuer_without_a_name_is_a_mistake_even_with_discovery(checked):
    status, said = checked(HEAD + "[[issuers]]\ndiscovery = true\n")
    assert (status, said) == (2, ["3: issuers[0].issuer: is missing"])


def test_files_that_are_named_are_read_and_each_fault_has_its_line(folder, checked, tmp_path):
    provider = Provider("")
    private = provider.jwks("a")[:-3] + b', "d": "c2VjcmV0"}]}'
    (folder / "private.json").write_bytes(private)
    (folder / "ca.pem").write_text("no certificate")
    (folder / "keys" / "pages.key").write_bytes(b"short")
    (folder / "keys" / "issuer.pem").chmod(0o644)
    certificate, _ = self_signed(tmp_path)
    other, _ = self_signed(tmp_path, "127.0.0.2")
    status, said = checked(
        HEAD
        + f"""listen = "somewhere"

[tls]
certificate = "{certificate}"
key = "{other.with_suffix(".key")}"

[[issuers]]
issuer = "https://a.example"
jwks_file = "private.json"

[[issuers]]
issuer = "https://b.example"
jwks_file = "none.json"

[[issuers]]
issuer = "https://c.example"
discovery = true
ca_file = "ca.pem"
"""
    )
    assert status == 2
    assert [line.split(": ")[:2] for line in said] == [
        ["1", "keys"],
        ["1", "local_issuer"],
        ["3", "listen"],
        ["5", "tls"],
        ["11", "issuers[0].jwks_file"],
        ["15", "issuers[1].jwks_file"],
        ["20", "issuers[2].ca_file"],
    ]
    assert "a private key" in said[4]
    assert "c2VjcmV0" not in "".join(said)


def test_mistakes_of_all_kinds_are_named_in_one_run(folder, checked, tmp_path):
    (folder / "weak.json").write_text('{"keys": [{"kty": "oct", "k": "AA"}]}')
    (folder / "keys" / "main.pem").write_text("no key")
    (folder / "keys" / "control.pem").unlink()
    (folder / "keys" / "issuer.pem").write_text("no key")
    status, said = checked(
        HEAD
        + """listen = "0.0.0.0:7443
colour = "red"

[limits]
drain_s = "10"
unheard_of = 1

[http]
listen = "0.0.0.0:9000"
allow_remote = 1

[tls]
certificate = "none.pem"
key = "none.key"
client_ca = "none.ca"
listen_without_certificate = "somewhere"
cipher = "x"

[[issuers]]
issuer = "https://a.example"
jwks_file = "none.json"
leeway_s = 99
drop_claims = ["sub"]

[[issuers]]
issuer = "https://a.example"
jwks_file = "weak.json"
ca_file = "none.ca"
algorithms = ["HS256"]

[[certificates]]
subject = "billing"
roles = ["root"]
"""
    )
    assert status == 2
    assert [line.split(": ")[:2] for line in said] == [
        ["1", "keys"],
        ["1", "keys"],
        ["1", "local_issuer"],
        ["3", "listen"],
        ["4", "colour"],
        ["7", "limits.drain_s"],
        ["8", "limits.unheard_of"],
        ["11", "http.listen"],
        ["12", "http.allow_remote"],
        ["15", "tls.certificate"],
        ["16", "tls.key"],
        ["17", "tls.client_ca"],
        ["18", "tls.listen_without_certificate"],
        ["19", "tls.cipher"],
        ["23", "issuers[0].jwks_file"],
        ["24", "issuers[0].leeway_s"],
        ["25", "issuers[0].drop_claims"],
        ["28", "issuers[1].issuer"],
        ["29", "issuers[1].jwks_file"],
        ["30", "issuers[1].ca_file"],
        ["31", "issuers[1].algorithms"],
        ["33", "certificates[0].sha256"],
        ["35", "certificates[0].roles"],
    ]


def test_plaintext_off_loopback_is_a_mistake_unless_it_is_meant(folder, checked, auditlog):
    status, said = checked(HEAD + 'listen = "0.0.0.0:7443"\n')
    assert (status, said[0].partition(" is not loopback")[0]) == (2, "3: listen: 0.0.0.0:7443")
    assert auditlog("serve", str(folder), "--check-config", "--insecure").returncode == 0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", "5: issuers[0].issuer: expected one of jwks_file, jwks_url and discovery, none is given"),
        ('jwks_url = "https://a.example/jwks"\njwks_file = "a.json"', "6: issuers[0].jwks_url: expected one of"),
        ('discovery = true\njwks_url = "https://a.example/jwks"', "6: issuers[0].discovery: expected one of"),
        ('jwks_url = "http://a.example/jwks"', "6: issuers[0].jwks_url: plain http is allowed only for loopback"),
        (
            'allow_plain_http = true\njwks_url = "http://a.example/"',
            "7: issuers[0].jwks_url: plain http is allowed for",
        ),
        ('jwks_url = "a.example"', "6: issuers[0].jwks_url: expected a URL that begins with https://"),
        ("discovery = true\njwks_timeout_s = 61", "7: issuers[0].jwks_timeout_s: 61, expected 1 to 60"),
        (
            "discovery = true\njwks_min_age_s = 3600\njwks_max_age_s = 600",
            "8: issuers[0].jwks_max_age_s: 600, expected at least 3600, which is jwks_min_age_s",
        ),
        (
            "discovery = true\njwks_max_stale_s = 60",
            "7: issuers[0].jwks_max_stale_s: 60, expected at least 3600, which is jwks_max_age_s",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_source_of_keys_that_is_none(tmp_path, source, expected):
    issuer = '\n[[issuers]]\nissuer = "https://a.example"\n'
    (tmp_path / "auditd.toml").write_text(HEAD + issuer + source)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert len(caught.value.lines) == 1
    assert caught.value.lines[0].partition("auditd.toml:")[2].startswith(expected)


def test_discovery_needs_an_issuer_that_is_a_url(checked):
    status, said = checked(HEAD + '[[issuers]]\nissuer = "acme"\ndiscovery = true\n')
    assert (status, said) == (2, ["4: issuers[0].issuer: expected a URL that begins with https://"])


def test_keys_that_are_not_used_are_noted(folder, checked):
    provider = Provider("")
    jwks = {"keys": [provider.jwk("a"), {**provider.jwk("b"), "use": "enc"}, {"kty": "oct", "k": "AA"}]}
    (folder / "idp.json").write_text(json.dumps(jwks))
    issuer = '[[issuers]]\nissuer = "https://a.example"\njwks_file = "idp.json"\n'
    status, said = checked(HEAD + issuer)
    assert status == 0
    assert said[:2] == [
        "note: issuer https://a.example: key not used: keys[1]: use: 'enc', expected 'sig'",
        "note: issuer https://a.example: key not used: keys[2]: kty: 'oct', expected 'OKP', 'EC' or 'RSA'",
    ]


def test_nobody_who_could_call_is_a_mistake(checked):
    status, said = checked(HEAD + "[local_issuer]\nenabled = false\n")
    assert (status, said) == (2, ["4: local_issuer.enabled: is off and no issuer is named: nobody could call"])


def test_server_says_the_same_when_it_is_run(folder, make_server, auditlog):
    (folder / "auditd.toml").write_text(HEAD + "[limits]\ndrain_s = 0\nmax_query_s = 0\n")
    done = auditlog("serve", str(folder), "--listen", "127.0.0.1:0")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"auditlog: {folder}/auditd.toml:4: limits.drain_s: 0, expected 1 to 3600",
        f"auditlog: {folder}/auditd.toml:5: limits.max_query_s: 0, expected 1 to 3600",
    ]
