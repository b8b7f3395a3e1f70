"""The tokens of actors in a request: judged, and what they say put into the events."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from auditd.entry import ActorEdit, ContradictionError, EncodedEvent, NativeBatch, TokenActor, splice_unjudged
from auditd.errors import InvalidRequestError, UnavailableError, Violation
from auditd.identity import ActorJudge, JudgedActor, UnknownKeyError
from auditd.log import Credential
from auditd.query import member_terms
from auditd.server._caller import Learn

JUDGED_AT_ONCE = 8
"""Tokens verified before other calls have their turn: about a millisecond."""
MAX_EDITS = 64
"""Ways of stating an actor that are remembered of each token."""
NS_PER_S = 1_000_000_000
REASONS = frozenset({"ACTOR_TOKEN_REFUSED", "ACTOR_CONTRADICTED"})


@dataclass(slots=True)
class ActedEvents:
    """Events with what their actors' tokens say, or none where a batch holds them.

    With them the credentials of the tokens, and by position why an event is refused.
    """

    events: list[EncodedEvent]
    credentials: dict[int, Credential] = field(default_factory=dict)
    refused_if_new: dict[int, InvalidRequestError] = field(default_factory=dict)


NO_ACTORS = ActedEvents([])
"""Of events none of which brings a token; not to be changed."""


@dataclass(slots=True)
class _Known:
    """A token found good: as of when first, and under which version of what decides."""

    actor: TokenActor
    credential: Credential
    good_from: float
    good_until: float
    version: tuple[int, int]
    edits: dict[tuple[bytes, bytes], tuple[bytes, bytes, str]] = field(default_factory=dict)

    def edit(self, stated: tuple[bytes, bytes]) -> tuple[bytes, bytes, str]:
        """Return the members actor and tenant of an event that states these, and their index terms."""
        edit = self.edits.get(stated)
        if edit is None:
            actor, tenant = self.actor.members(*stated)
            members = orjson.loads(b"{" + (tenant + actor)[1:] + b"}")
            edit = actor, tenant, member_terms(members)
            if len(self.edits) < MAX_EDITS:
                self.edits[stated] = edit
        return edit


class ActorTokens:
    """Takes the tokens of actors. Belongs to the event loop's thread.

    At most `cache_size` good tokens are remembered; the one unused for longest goes first. A token is judged as of its
    event's time if that lies within `max_event_age_s` before now, else as of now.
    """

    def __init__(
        self,
        judge: ActorJudge,
        learn: Learn,
        clock: Callable[[], float],
        *,
        cache_size: int,
        max_event_age_s: int,
    ) -> None:
        self._judge = judge
        self._learn = learn
        self._clock = clock
        self._cache_size = cache_size
        self._max_event_age_s = max_event_age_s
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def take_known(self, batch: NativeBatch) -> tuple[NativeBatch, ActedEvents] | None:
        """Return the batch as it is to be recorded, and the credentials of its actors.

        None where a token is not known to be good, or contradicts its event, and where some events are old and others
        not, all of which `take` then judges.
        """
        now = self._clock()
        oldest = now - self._max_event_age_s
        edits: list[ActorEdit] = []
        credentials: dict[int, Credential] = {}
        for act in batch.acts():
            first, last = act.earliest_ns / NS_PER_S, act.latest_ns / NS_PER_S
            if first < oldest:
                if last >= oldest:
                    return None
                first = last = now
            known = self._find(act.token, first, last)
            if known is None:
                return None
            try:
                edits.append((act.positions, *known.edit((act.actor, act.tenant))))
            except ContradictionError:
                return None
            credentials |= dict.fromkeys(act.positions, known.credential)
        return batch.with_actors(edits), ActedEvents([], credentials)

    async def take(self, tokens: Mapping[int, str], events: list[EncodedEvent]) -> ActedEvents:
        """Return the encoded `events` as they are to be recorded, given the tokens of their actors by position.

        A token that is no good, and a stated actor that contradicts one, are refusals of their event if it is new; a
        token that could not be judged leaves its event's actor asserted, and the event says why.
        """
        acted = ActedEvents(events)
        now = self._clock()
        judged = 0
        for position, token in tokens.items():
            if acted.events is events:
                acted.events = list(events)
            event = events[position]
            at = self._judged_at(event.time_ns, now)
            found: _Known | JudgedActor | None = self._find(token, at, at)
            if found is None:
                judged += 1
                if judged % JUDGED_AT_ONCE == 0:
                    await asyncio.sleep(0)
                found = await self._verify(token, at)
            if isinstance(found, _Known):
                _splice(acted, position, event, found)
            else:
                _leave_asserted(acted, position, event, found)
        return acted

    def _judged_at(self, time_ns: int, now: float) -> float:
        at = time_ns / NS_PER_S
        return at if at >= now - self._max_event_age_s else now

    def _find(self, token: str, first: float, last: float) -> _Known | None:
        """Return a token that was found good and is so from `first` to `last`."""
        known = self._known.get(token)
        if known is None or known.version != self._judge.version:
            return None
        if first < known.good_from or last >= known.good_until:
            return None
        self._known.move_to_end(token)
        return known

    async def _verify(self, token: str, at: float) -> _Known | JudgedActor:
        version = self._judge.version
        judged = self._judge.judge(token, at)
        if judged.unknown_key is not None and await self._may_try_again(judged.unknown_key):
            version = self._judge.version
            judged = self._judge.judge(token, at)
        if judged.actor is None:
            return judged
        actor, credential = judged.actor, _credential(judged)
        known = self._known[token] = _Known(
            TokenActor(
                credential=credential.credential.hex(),
                id=actor.subject,
                roles=actor.roles,
                session_id=actor.session or "",
                auth_method=actor.method or "",
                tenant=actor.tenant or "",
            ),
            credential,
            at,
            actor.expires_at,
            version,
        )
        self._known.move_to_end(token)
        if len(self._known) > self._cache_size:
            self._known.popitem(last=False)
        return known

    async def _may_try_again(self, error: UnknownKeyError) -> bool:
        try:
            return await self._learn(error)
        except UnavailableError:
            # The issuer cannot be asked now; its word would only change the entry's `identity_reason`.
            return False


def _splice(acted: ActedEvents, position: int, event: EncodedEvent, known: _Known) -> None:
    acted.credentials[position] = known.credential
    try:
        acted.events[position] = known.actor.splice(event)
    except ContradictionError as error:
        # As it would stand in a leaf, so that what is recorded under the same name can be held against it.
        acted.events[position] = splice_unjudged(event, "ACTOR_CONTRADICTED", known.actor.credential)
        path = f"events[{position}].{error.field}"
        acted.refused_if_new[position] = InvalidRequestError(
            "ACTOR_CONTRADICTED", f"{path}: {error.description}", [Violation(path, error.description)]
        )


def _leave_asserted(acted: ActedEvents, position: int, event: EncodedEvent, judged: JudgedActor) -> None:
    name = ""
    if judged.credential is not None:
        acted.credentials[position] = _credential(judged)
        name = judged.credential.credential_id.hex()
    refusal = judged.refusal
    reason = judged.unjudged if refusal is None else refusal.reason
    acted.events[position] = splice_unjudged(event, reason, name)
    if refusal is not None:
        path = f"events[{position}].actor_token"
        acted.refused_if_new[position] = InvalidRequestError(
            "ACTOR_TOKEN_REFUSED",
            f"{path}: {refusal.message}",
            [Violation(path, refusal.message)],
            {"token_reason": refusal.reason},
        )


def _credential(judged: JudgedActor) -> Credential:
    evidence = judged.credential
    assert evidence is not None
    return Credential(
        credential=evidence.credential_id,
        issuer=evidence.issuer,
        header=evidence.header,
        payload=evidence.payload,
        signature=evidence.signature,
        signature_hash=evidence.signature_hash,
        expires_at=evidence.expires_at,
        key_thumbprint=judged.key_thumbprint,
        key_jwk=judged.key_jwk,
    )
