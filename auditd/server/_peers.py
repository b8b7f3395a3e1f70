"""How often one address may call without being known, and how those who ask for too much wait."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Callable
from urllib.parse import unquote

import grpc

from auditd.errors import ExhaustedError
from auditd.server._pace import BURST_S, HOLD_S, Rate, too_much

MAX_HELD = 8_192
_MAX_PEERS = 10_000
_IPV6_NETWORK = 64


class PeerRates:
    """So many a second from each address, and as many at once as five seconds allow. Belongs to one thread."""

    def __init__(self, max_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_per_s = max_per_s
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def take(self, ip: str) -> bool:
        """Count one more from an address; return False where that is too much. Other networks have their own."""
        peer = _network(ip)
        rate = self._rates.get(peer)
        if rate is None:
            if len(self._rates) >= _MAX_PEERS:
                self.forget_idle()
            # With so many addresses at once, those that come new share one rate.
            key = peer if len(self._rates) < _MAX_PEERS else ""
            rate = self._rates.setdefault(key, Rate(self._max_per_s, self._clock, BURST_S))
        return rate.take()

    def forget_idle(self) -> None:
        """Forget those that have been quiet for a while."""
        self._rates = {known: rate for known, rate in self._rates.items() if not rate.idle}

    @property
    def seen(self) -> bool:
        """Whether there were any of late."""
        return bool(self._rates)

    def full(self, ip: str) -> bool:
        """Whether one more from an address would be too much."""
        rate = self._rates.get(_network(ip))
        return rate is not None and rate.full


class Held:
    """Has those who ask for too much wait before they are told, so that they cannot ask again at once.

    A connection has only so many calls at once, so what it can ask in a second is bounded. Beyond 8,192 that wait,
    answers go out at once: who waits costs memory.
    """

    def __init__(self) -> None:
        self._held = 0

    async def hold(self) -> None:
        """Return after four seconds, or at once where too many wait."""
        if self._held >= MAX_HELD:
            return
        self._held += 1
        try:
            # Not all at the same moment, or the next ones would come together too.
            await asyncio.sleep(HOLD_S * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        finally:
            self._held -= 1


def peer_ip(context: grpc.aio.ServicerContext) -> str:
    """Return the address of a call's peer as text; empty where it has none."""
    scheme, _, rest = str(context.peer()).partition(":")
    if scheme == "ipv4":
        return rest.rpartition(":")[0]
    if scheme == "ipv6":
        return unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    return ""


def peer_too_fast(said: str, max_per_s: int) -> ExhaustedError:
    """Return the error for an address that calls too often; `said` is what it calls."""
    return too_much("PEER_TOO_FAST", said, "max_refused_per_s_per_peer", max_per_s)


def _network(ip: str) -> str:
    """Return what counts as one peer: an address, or of IPv6 the network that one customer has."""
    if ":" not in ip:
        return ip
    try:
        return str(ipaddress.IPv6Network((ip, _IPV6_NETWORK), strict=False))
    except ValueError:
        return ip
