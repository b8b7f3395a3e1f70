"""Settings come from flags, then variables, then a profile."""

from __future__ import annotations

import pytest


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Write the profile file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text):
        folder = tmp_path / "auditlog"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(text)
        return folder

    return write


def token_of(call):
    return call.metadata["authorization"].removeprefix("Bearer ")


def test_flags_go_before_variables_and_variables_before_the_profile(double, address, auditlog, profile):
    profile(f'[profiles.default]\naddress = "{address}"\ntoken = "profile"\nlog = "profile"\n')
    variables = {"AUDITLOG_TOKEN": "variable", "AUDITLOG_LOG": "variable"}
    flags = ["--token", "flag", "--log", "flag"]
    auditlog("get", "0")
    auditlog("get", "0", env=variables)
    auditlog("get", "0", *flags, env=variables)
    assert [(token_of(call), call.request.log) for call in double.calls] == [
        ("profile", "profile"), ("variable", "variable"), ("flag", "flag")
    ]  # fmt: skip


def test_the_log_is_main_unless_told_otherwise(connected, auditlog):
    auditlog("get", "0")
    assert connected.sent("Get")[0].log == "main"


def test_a_profile_is_taken_by_name(double, address, auditlog, profile):
    profile(
        f'[profiles.a]\naddress = "{address}"\ntoken = "of-a"\n[profiles.b]\naddress = "{address}"\ntoken = "of-b"\n'
    )
    auditlog("get", "0", "--profile", "a")
    auditlog("get", "0", env={"AUDITLOG_PROFILE": "b"})
    assert [token_of(call) for call in double.calls] == ["of-a", "of-b"]


def test_a_token_file_counts_where_it_is_named(connected, auditlog, tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    auditlog("get", "0", "--token-file", "token", env={"AUDITLOG_TOKEN": "variable"})
    auditlog("get", "0", "--token", "flag", env={"AUDITLOG_TOKEN": "", "AUDITLOG_TOKEN_FILE": "token"})
    assert [token_of(call) for call in connected.calls] == ["from-file", "flag"]


def test_paths_in_a_profile_start_at_its_folder(double, address, auditlog, profile):
    folder = profile(f'[profiles.default]\naddress = "{address}"\ntoken_file = "token"\n')
    (folder / "token").write_text("beside\n")
    auditlog("get", "0")
    assert token_of(double.calls[0]) == "beside"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (
            "[profiles.a]\ncolour = 1\n",
            ["--profile", "a"],
            "profiles.a.colour: unknown setting; known are address",
        ),
        ("[profiles.a]\naddress = 1\n", ["--profile", "a"], "profiles.a.address: expected text"),
        ("[profiles.a]\ninsecure = 1\n", ["--profile", "a"], "profiles.a.insecure: expected true or false"),
        ("[profiles.a]\n", ["--profile", "b"], "no profile 'b'; it has 'a'"),
        ("profiles = 1", [], "profiles is no table"),
        ("[profiles", [], "config.toml: "),
    ],
    ids=["unknown", "number", "flag", "missing", "no table", "no TOML"],
)
def test_refuses_an_unfit_profile_file_in_one_line(auditlog, profile, text, arguments, message):
    profile(text)
    result = auditlog("get", "0", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_refuses_a_named_profile_without_a_file(auditlog):
    result = auditlog("get", "0", "--profile", "a")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: profile 'a': there is no file ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "auditlog: no server named: give --address HOST:PORT, AUDITLOG_ADDRESS or a profile\n"),
        (["--address", "nowhere"], "auditlog: address: 'nowhere', expected HOST:PORT"),
        (["--address", "h:1", "--key", "a+b+c"], "auditlog: --key: verifier key: "),
        (["--address", "h:1", "--token-file", "none"], "auditlog: none: No such file or directory\n"),
        (["--address", "h:1", "--ca", "none"], "auditlog: ca: cannot read 'none'"),
        (
            ["--address", "h:1", "--token", "a", "--token-file", "b"],
            "auditlog: a token and a token file are both given; give one of them\n",
        ),
        (["--address", "h:1", "--timeout", "0"], "auditlog: Invalid value for '--timeout'"),
    ],
    ids=["no address", "address", "key", "token file", "ca", "two tokens", "timeout"],
)
def test_refuses_unfit_settings_in_one_line(auditlog, arguments, message):
    result = auditlog("get", "0", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_never_shows_a_token(connected, auditlog):
    for token in ("sécret", "se cret", "secret\u202e"):
        result = auditlog("get", "0", "--token", token)
        assert result.exit_code == 2
        assert "cret" not in result.output
