"""A mistyped setting is an error and not a surprise: file, line and key of every mistake, all at once."""

import re

import pytest

from auditd.errors import ConfigError, FolderError
from auditd.server import load_config

GOOD = """\
format = 1
origin = "audit.example.com"
"""


def read(tmp_path, text):
    (tmp_path / "auditd.toml").write_text(text, encoding="utf-8")
    return load_config(tmp_path)


def mistakes(tmp_path, text):
    """Line, key and problem of each mistake, having checked that each names the file."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.reason == "CONFIG_INVALID"
    assert str(caught.value) == "\n".join(caught.value.lines)
    found = []
    for line in caught.value.lines:
        match = re.fullmatch(re.escape(str(tmp_path / "auditd.toml")) + r":(\d+): ([^:]+): (.+)", line)
        assert match is not None, line
        found.append((int(match[1]), match[2], match[3]))
    return found


def test_every_mistake_is_named_with_its_line(tmp_path):
    text = """\
format = 1
origin = "https://audit.example.com"
colour = "red"

[limits]
drain_s = 0
max_query_s = "20"

[[issuers]]
issuer = "https://idp.example.com"
leeway_s = 61
algorithms = [
    "EdDSA",
    "HS256",
]

[[issuers]]
jwks_file = "b.json"
typ = "JWT"

[issuers.claims]
roles = "a..b"
rolls = "roles"

[issuers.roles]
boss = "root"

[tls]
certificate = ""
"""
    found = [(line, key) for line, key, _ in mistakes(tmp_path, text)]
    assert found == [
        (2, "origin"),
        (3, "colour"),
        (6, "limits.drain_s"),
        (7, "limits.max_query_s"),
        (10, "issuers[0].issuer"),
        (11, "issuers[0].leeway_s"),
        (12, "issuers[0].algorithms"),
        (17, "issuers[1].issuer"),
        (19, "issuers[1].typ"),
        (22, "issuers[1].claims.roles"),
        (23, "issuers[1].claims.rolls"),
        (25, "issuers[1].roles"),
        (28, "tls.key"),
        (29, "tls.certificate"),
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("audience = 7", (3, "audience", "7, must be text")),
        ("listen = true", (3, "listen", "True, must be text")),
        ("issuers = 5", (3, "issuers", "must be an array of tables")),
        ("issuers = [5]", (3, "issuers[0]", "must be a table")),
        ("tls = 1", (3, "tls", "must be a table")),
        ("limits = [1]", (3, "limits", "must be a table")),
        ("tls = { key = 'k', certificate = 7 }", (3, "tls.certificate", "7, must be a path")),
        ('keys = "a\\u0000b"', (3, "keys", "'a\\x00b', must be a path")),
        ("\n# why\n\n[local_issuer]\nenabled = 1", (7, "local_issuer.enabled", "1, must be true or false")),
        ("limits.drain_s = 1.5", (3, "limits.drain_s", "1.5, must be a whole number")),
        ("limits.drain_s = true", (3, "limits.drain_s", "True, must be a whole number")),
        ('"a.b" = 1', (3, "a.b", "is no setting; known are audience, certificates, format, http, index")),
        ('text = "x"\nfolder = "/"', (3, "text", "is no setting")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_mistake_of_each_kind(tmp_path, more, expected):
    line, key, problem = mistakes(tmp_path, GOOD + more)[0]
    assert (line, key) == expected[:2]
    assert problem.startswith(expected[2])


def test_missing_settings_are_named(tmp_path):
    assert [(line, key) for line, key, _ in mistakes(tmp_path, "# nothing\n")] == [(1, "format"), (1, "origin")]


def test_two_issuers_of_one_name(tmp_path):
    issuer = '[[issuers]]\nissuer = "https://idp.example.com"\njwks_file = "a.json"\n'
    other = issuer.replace("idp", "other")
    assert mistakes(tmp_path, GOOD + issuer + other + issuer) == [
        (10, "issuers[2].issuer", "is that of issuers[0] already")
    ]
    wrong_besides = issuer + "leeway_s = 99\n"
    assert [(line, key) for line, key, _ in mistakes(tmp_path, GOOD + wrong_besides + issuer)] == [
        (6, "issuers[0].leeway_s"),
        (8, "issuers[1].issuer"),
    ]


def test_two_callers_by_one_certificate(tmp_path):
    tls = '[tls]\ncertificate = "c"\nkey = "k"\nclient_ca = "ca"\n'
    caller = '[[certificates]]\nsubject = "a"\nroles = ["writer"]\nname = "DNS:billing"\n'
    assert mistakes(tmp_path, GOOD + tls + caller + caller.replace("billing", "other") + caller) == [
        (18, "certificates[2].name", "is that of certificates[0] already")
    ]


@pytest.mark.parametrize("path", ["local", "certificates"])
def test_an_issuer_that_has_the_name_of_the_folders_own(tmp_path, path):
    issuer = f'[[issuers]]\nissuer = "https://audit.example.com/{path}"\njwks_file = "a.json"\n'
    assert [(line, key) for line, key, _ in mistakes(tmp_path, GOOD + issuer)] == [(4, "issuers[0].issuer")]


def test_lines_that_are_no_toml_are_named_together_with_everything_else(tmp_path):
    text = """\
format = 1
origin = audit.example.com
colour = "red"
[limits]
drain_s 5
max_query_s = 0
max_query_s = 20
[[issuers]]
issuer = "https://a.example.com"
jwks_file = a.json
[[issuers]]
issuer = "https://b.example.com"
jwks_file = "b.json"
[issuers.claims]
tenant = org
"""
    found = mistakes(tmp_path, text)
    assert found[0][2].endswith("; text stands in quotes")
    assert found[4] == (7, "limits.max_query_s", "is set above already")
    assert [(line, key) for line, key, _ in found] == [
        (2, "origin"),
        (3, "colour"),
        (5, "limits.drain_s"),
        (6, "limits.max_query_s"),
        (7, "limits.max_query_s"),
        (10, "issuers[0].jwks_file"),
        (15, "issuers[1].claims.tenant"),
    ]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("[limits\n", 3),
        ("[limits]\n[limits]\n", 4),
        ("x = [1,\n", 3),
        ("=\n", 3),
        ("[[issuers]]\nalgorithms = [\n  EdDSA,\n]\n", 5),
        ("x = " + "[" * 2_000, 3),
    ],
    ids=["half a header", "a table twice", "an array without end", "no key", "no text in an array", "deeply nested"],
)
def test_where_no_more_can_be_read_is_said_with_its_line(tmp_path, more, line):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD + more)
    assert any(said.startswith(f"{tmp_path}/auditd.toml:{line}: ") for said in caught.value.lines), caught.value.lines


def test_no_more_than_a_mebibyte_is_read(tmp_path):
    (tmp_path / "auditd.toml").write_bytes(GOOD.encode() + b"#" * 1024 * 1024)
    with pytest.raises(ConfigError, match=r"auditd\.toml: is longer than 1048576 bytes"):
        load_config(tmp_path)


def test_text_that_is_no_utf_8_is_placed(tmp_path):
    (tmp_path / "auditd.toml").write_bytes(GOOD.encode() + b'listen = "\xff"\n')
    with pytest.raises(ConfigError, match=r"auditd\.toml:3: is not UTF-8"):
        load_config(tmp_path)


def test_a_source_of_keys_that_is_wrong_in_itself_is_not_missing_as_well(tmp_path):
    issuer = '[[issuers]]\nissuer = "https://idp.example.com"\njwks_file = 7\n'
    assert mistakes(tmp_path, GOOD + issuer) == [(5, "issuers[0].jwks_file", "7, must be a path")]


def test_callers_by_certificate_are_not_blamed_for_a_mistake_in_tls(tmp_path):
    callers = '[[certificates]]\nsubject = "billing"\nroles = ["writer"]\nname = "DNS:billing"\n'
    tls = '[tls]\ncertificate = 7\nkey = "k"\nclient_ca = "ca"\n'
    assert [key for _, key, _ in mistakes(tmp_path, GOOD + tls + callers)] == ["tls.certificate"]
    assert [key for _, key, _ in mistakes(tmp_path, GOOD + callers)] == ["certificates"]


def test_newer_format_is_said_before_its_settings_are_judged(tmp_path):
    with pytest.raises(FolderError) as caught:
        read(tmp_path, "format = 2\nunheard_of = true\n")
    assert caught.value.reason == "NEWER_FORMAT"


def test_settings_that_are_right_are_read(tmp_path):
    config = read(tmp_path, GOOD + 'keys = "/k"\n[tls]\ncertificate = "c.pem"\nkey = "/etc/k.pem"\n')
    assert (config.audience, str(config.keys), str(config.tls.key)) == ("audit.example.com", "/k", "/etc/k.pem")
    assert config.tls.certificate == tmp_path.resolve() / "c.pem"
