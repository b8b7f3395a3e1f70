"""Where to connect and as whom: flags, then `AUDITLOG_*` variables, then a profile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from auditd_client.cli._errors import CommandError
from auditd_client.cli._profile import read_profile

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_LOG = "main"
DEFAULT_TIMEOUT_S = 10.0
MAX_NUMBER = (1 << 63) - 1
"""Largest index and size that a log can have."""

_KEY_OPTION = click.option(
    "--key",
    envvar="AUDITLOG_KEY",
    metavar="VKEY",
    help="The log's verifier key, `name+id+base64`, or a file that holds it.  [env: AUDITLOG_KEY]",
)
_PROFILE_OPTION = click.option(
    "--profile",
    envvar="AUDITLOG_PROFILE",
    metavar="NAME",
    help="Profile to take settings from.  [env: AUDITLOG_PROFILE]",
)
_CONNECTION_OPTIONS = (
    click.option(
        "--address",
        envvar="AUDITLOG_ADDRESS",
        metavar="HOST:PORT",
        help="The server.  [env: AUDITLOG_ADDRESS]",
    ),
    click.option(
        "--token",
        envvar="AUDITLOG_TOKEN",
        metavar="JWT",
        help="Your token. Others on this machine can see flags: prefer the variable.  [env: AUDITLOG_TOKEN]",
    ),
    click.option(
        "--token-file",
        envvar="AUDITLOG_TOKEN_FILE",
        metavar="FILE",
        help="A file that holds your token.  [env: AUDITLOG_TOKEN_FILE]",
    ),
    click.option(
        "--ca",
        envvar="AUDITLOG_CA",
        metavar="FILE",
        help="Certificates (PEM) that vouch for the server.  [env: AUDITLOG_CA]",
    ),
    click.option(
        "--certificate",
        envvar="AUDITLOG_CERTIFICATE",
        metavar="FILE",
        help="Your own certificate (PEM), where the server asks for one.  [env: AUDITLOG_CERTIFICATE]",
    ),
    click.option(
        "--private-key",
        envvar="AUDITLOG_PRIVATE_KEY",
        metavar="FILE",
        help="The private key (PEM) of your certificate.  [env: AUDITLOG_PRIVATE_KEY]",
    ),
    click.option(
        "--insecure",
        is_flag=True,
        default=None,
        envvar="AUDITLOG_INSECURE",
        help="Talk plaintext to a server that is not on this machine.  [env: AUDITLOG_INSECURE]",
    ),
    _KEY_OPTION,
    click.option(
        "--log",
        envvar="AUDITLOG_LOG",
        metavar="NAME",
        help="The log's name; `main` by default.  [env: AUDITLOG_LOG]",
    ),
    _PROFILE_OPTION,
)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What the flags, variables and profile say together; what nobody set is empty.

    `key` is a verifier key; `ca`, `certificate` and `private_key` are paths; `log` a name, `main` by default,
    `timeout_s` seconds for one call; `token_file` is where the token was read from, if it was a file.
    """

    address: str = ""
    token: str = field(default="", repr=False)
    ca: str = ""
    certificate: str = ""
    private_key: str = ""
    key: str = ""
    log: str = DEFAULT_LOG
    insecure: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    token_file: str = ""

    def refreshed(self) -> ConnectionSettings:
        """Return the settings with the token as its file has it now: whoever works for days needs a newer one.

        Raises CommandError if the file cannot be read.
        """
        return replace(self, token=_read_small(Path(self.token_file))) if self.token_file else self


def connection_options(timeout_s: float = DEFAULT_TIMEOUT_S) -> Callable[[_F], Any]:
    """Give a command the options of a connection, and call it with `settings`."""
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=timeout_s,
        metavar="SECONDS",
        help=f"How long one call may take, all its tries together.  [default: {timeout_s:g}]",
    )
    return lambda function: _with_options(function, (*_CONNECTION_OPTIONS, timeout))


def key_options(function: _F) -> Any:  # noqa: ANN401 - click has no type for it
    """Give an offline command the option `--key`, and call it with `settings`."""
    return _with_options(function, (_KEY_OPTION, _PROFILE_OPTION))


def _with_options(function: _F, options: tuple[Callable[[Any], Any], ...]) -> Any:  # noqa: ANN401 - as above
    files = ("token_file", "ca", "certificate", "private_key")
    names = ("address", "token", *files, "insecure", "key", "log", "profile", "timeout")

    @functools.wraps(function)
    def called(*args: Any, **values: Any) -> Any:  # noqa: ANN401 - whatever the command takes
        own = {name: values.pop(name) for name in names if name in values}
        settings = _settled(click.get_current_context(), own)
        return function(*args, settings=settings, **values)

    decorated: Any = called
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _settled(context: click.Context, own: Mapping[str, Any]) -> ConnectionSettings:
    profile = read_profile(own.get("profile") or None)

    def first(name: str) -> str:
        return str(own.get(name) or profile.get(name) or "").strip()

    insecure = own.get("insecure")
    token, token_file = _token(context, own, profile) if "token" in own else ("", "")
    return ConnectionSettings(
        address=first("address"),
        token=token,
        ca=first("ca"),
        certificate=first("certificate"),
        private_key=first("private_key"),
        key=_key(first("key")),
        log=first("log") or DEFAULT_LOG,
        insecure=bool(profile.get("insecure") if insecure is None else insecure),
        timeout_s=own.get("timeout", DEFAULT_TIMEOUT_S),
        token_file=token_file,
    )


def _token(context: click.Context, own: Mapping[str, Any], profile: Mapping[str, Any]) -> tuple[str, str]:
    """Return the token of the first place that has one, and the file it was read from, if it was."""
    places: list[Mapping[str, Any]] = [
        {name: own[name] for name in ("token", "token_file") if context.get_parameter_source(name) is source}
        for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    ]
    for place in (*places, profile):
        token, path = place.get("token"), place.get("token_file")
        if token and path:
            raise CommandError("a token and a token file are both given; give one of them")
        if token:
            return str(token).strip(), ""
        if path:
            return _read_small(Path(path)), str(path)
    return "", ""


def _key(text: str) -> str:
    """Return a verifier key given as itself or as a file; keys hold two plus signs, file names rarely do."""
    if text.count("+") >= 2 or not text:
        return text
    return _read_small(Path(text))


def _read_small(path: Path) -> str:
    """Return the text of a file that holds one line."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8").strip()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: no UTF-8 at byte {error.start}") from error
