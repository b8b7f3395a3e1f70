"""The issuers of a server: their keys loaded, recorded before they are used, and kept fresh."""

from __future__ import annotations

import asyncio

from auditd.errors import FolderError
from auditd.identity import (
    Authenticator,
    Issuer,
    IssuerConfig,
    KeyRotation,
    UnknownKeyError,
    key_source,
    tell_unused_keys,
)
from auditd.server._config import ISSUER_KEY_NAME, Config
from auditd.server._key_register import KeyRegister
from auditd.server._local_issuer import local_issuer

FIRST_ANSWER_S = 3.0


class Issuers:
    """Whom a server trusts to say who calls. Belongs to the event loop's thread.

    Made, it has read all keys that lie in files; `start` asks for the others. A provider that cannot be reached keeps
    no server from starting: its own tokens wait for it, those of others do not.

    Raises FolderError: `NO_ISSUER`, or where a file of keys is unfit.
    """

    def __init__(self, config: Config) -> None:
        self._own = load_local_issuer(config)
        self._others = [_load(item) for item in config.issuers]
        if not self.trusted:
            raise FolderError("NO_ISSUER", "auditd.toml names no issuer and local_issuer is off: nobody could call")
        self._rotations: dict[str, KeyRotation] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trusted(self) -> list[Issuer]:
        """The issuers as they were made, the folder's own first."""
        return [*([self._own] if self._own else []), *self._others]

    async def start(self, authenticator: Authenticator, register: KeyRegister) -> None:
        """Record the keys at hand, ask for the others once, and keep them fresh from now on.

        Who does not answer within three seconds is waited for by its own tokens alone.
        """
        known = [issuer for issuer in self.trusted if issuer.key_set is not None]
        await asyncio.to_thread(register.keep_issuers, [issuer.config.issuer for issuer in self.trusted])
        for issuer in known:
            await asyncio.to_thread(_record, register, issuer)
            tell_unused_keys(issuer)

        async def apply(issuer: Issuer) -> None:
            if issuer.key_set is not None:
                await asyncio.to_thread(_record, register, issuer)
            authenticator.replace_issuer(issuer)

        for issuer in self._others:
            self._rotations[issuer.config.issuer] = KeyRotation(issuer, key_source(issuer.config), apply)
        rotations = self._rotations.values()
        if first := [asyncio.ensure_future(rotation.step()) for rotation in rotations]:
            answered, late = await asyncio.wait(first, timeout=FIRST_ANSWER_S)
            for one in answered:
                one.result()
            self._tasks.extend(late)
        self._tasks.extend(asyncio.create_task(rotation.run()) for rotation in rotations)

    async def learn(self, error: UnknownKeyError) -> bool:
        """Return whether a token by an unknown key may be tried again; raises as `KeyRotation.learn` does."""
        rotation = self._rotations.get(error.issuer)
        return rotation is not None and await rotation.learn(error.kid)

    def close(self) -> None:
        """Ask for keys no longer."""
        for task in self._tasks:
            task.cancel()
        for rotation in self._rotations.values():
            rotation.close()


def load_local_issuer(config: Config) -> Issuer | None:
    """Return the folder's own issuer with its public key, or None if it is off; raise FolderError for an unfit key."""
    if not config.local_issuer.enabled:
        return None
    own = IssuerConfig(
        issuer=config.local_issuer_name,
        jwks_file=config.keys / ISSUER_KEY_NAME,
        max_lifetime_s=config.local_issuer.max_lifetime_s,
        identifies=config.local_issuer.identifies,
    )
    return Issuer.from_jwks(own, local_issuer(config).jwks())


def _load(config: IssuerConfig) -> Issuer:
    return Issuer(config, None) if config.jwks_file is None else Issuer.from_jwks_file(config)


def _record(register: KeyRegister, issuer: Issuer) -> None:
    register.replace(issuer.config.issuer, issuer.keys, issuer.config.key_source)
