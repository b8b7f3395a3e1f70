"""Keys come and go at the provider: asked for in time, once at a time, and never believed for too long."""

import asyncio
import json

import pytest

from auditd.errors import UnavailableError
from auditd.identity import Issuer, IssuerConfig, KeyRotation, _key_rotation
from auditd.identity._http import FetchError
from auditd.identity._jwks import parse_jwks
from auditd.identity._key_sources import Fetched

MIN_S, STALE_S, NEXT_S = 60, 7_200, 600


class Time:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Source:
    """Gives what it is told to, and counts how often it is asked."""

    min_age_s = MIN_S

    def __init__(self, forge):
        self._forge = forge
        self.asked = 0
        self.answer = forge.jwks(forge.jwk("ed25519"))
        self.next_in_s = NEXT_S
        self.clock_ahead_s = None
        self.gate = asyncio.Event()
        self.gate.set()

    def publish(self, *names):
        self.answer = self._forge.jwks(*(self._forge.jwk(name) for name in names))

    def fail(self):
        self.answer = FetchError("no answer within 10 s")

    async def fetch(self):
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Fetched(self.answer and parse_jwks(self.answer), self.next_in_s, self.clock_ahead_s)


class Rotating:
    """One issuer's rotation under a clock of its own, and the sets it was trusted with."""

    def __init__(self, forge, known=()):
        self.time, self.source, self.trusted, self.refuse = Time(), Source(forge), [], None
        config = IssuerConfig(issuer=forge.issuer, jwks_url="https://idp.example.com/jwks", jwks_max_stale_s=STALE_S)
        keys = parse_jwks(forge.jwks(*(forge.jwk(name) for name in known))) if known else None
        self.rotation = KeyRotation(Issuer(config, keys), self.source, self._apply, self.time)

    async def _apply(self, issuer):
        if self.refuse:
            raise self.refuse
        self.trusted.append(issuer.key_set and tuple(key.kid for key in issuer.key_set.keys))

    async def after(self, seconds):
        self.time.now += seconds
        await self.rotation.step()


@pytest.fixture
async def rotating(forge):
    """An issuer whose key ed25519 was fetched a moment ago."""
    made = Rotating(forge)
    await made.rotation.step()
    assert made.trusted == [("ed25519",)]
    return made


# In time


async def test_keys_are_asked_for_when_their_time_is_over_and_not_before(rotating):
    await rotating.after(NEXT_S - 1)
    assert rotating.source.asked == 1
    await rotating.after(1)
    assert rotating.source.asked == 2
    assert rotating.rotation.next_step_at == rotating.time.now + NEXT_S


async def test_set_that_did_not_change_has_no_token_verified_afresh(rotating):
    await rotating.after(NEXT_S)
    assert rotating.trusted == [("ed25519",)]


async def test_new_keys_are_trusted_and_absent_ones_no_longer(rotating):
    rotating.source.publish("ed25519", "rsa")
    await rotating.after(NEXT_S)
    rotating.source.publish("rsa")
    await rotating.after(NEXT_S)
    assert rotating.trusted == [("ed25519",), ("ed25519", "rsa"), ("rsa",)]


# Failures


async def test_last_good_set_is_kept_through_failures_and_asked_for_ever_more_seldom(rotating):
    rotating.source.fail()
    waits = []
    await rotating.after(NEXT_S)
    for _ in range(8):
        waits.append(rotating.rotation.next_step_at - rotating.time.now)
        await rotating.after(waits[-1])
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    assert rotating.trusted == [("ed25519",)]


@pytest.mark.parametrize("bad", [b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "OKP", "d": "AA"}]}'])
async def test_bad_set_does_not_take_the_place_of_a_good_one(forge, rotating, bad):
    with pytest.raises(ValueError, match=r"not JSON|none is usable|private") as caught:
        parse_jwks(bad)
    rotating.source.answer = FetchError(str(caught.value))
    await rotating.after(NEXT_S)
    assert rotating.trusted == [("ed25519",)]


async def test_set_that_grew_too_old_is_trusted_no_longer(rotating):
    rotating.source.fail()
    await rotating.after(STALE_S - 1)
    assert rotating.trusted == [("ed25519",)]
    await rotating.after(1)
    assert rotating.trusted == [("ed25519",), None]
    rotating.source.publish("ed25519")
    await rotating.after(300)
    assert rotating.trusted == [("ed25519",), None, ("ed25519",)]


async def test_file_that_comes_back_unchanged_after_too_long_is_trusted_again(rotating):
    rotating.source.fail()
    await rotating.after(STALE_S)
    rotating.source.answer = None  # the very file that was read last
    await rotating.after(300)
    assert rotating.trusted == [("ed25519",), None, ("ed25519",)]


async def test_staleness_begins_anew_with_each_good_answer(rotating):
    for _ in range(20):
        await rotating.after(NEXT_S)
    assert rotating.trusted == [("ed25519",)]


async def test_keys_that_cannot_be_recorded_are_not_used(rotating):
    rotating.source.publish("rsa")
    rotating.refuse = UnavailableError("NOT_RECORDED", "the disk is full")
    await rotating.after(NEXT_S)
    assert rotating.trusted == [("ed25519",)]
    rotating.refuse = None
    await rotating.after(5)
    assert rotating.trusted == [("ed25519",), ("rsa",)]


async def test_defect_does_not_end_the_watch(forge, monkeypatch, caplog):
    made = Rotating(forge)
    monkeypatch.setattr(_key_rotation, "FIRST_RETRY_S", 0)
    made.source.answer = ZeroDivisionError()
    task = asyncio.ensure_future(made.rotation.run())
    while made.source.asked < 3:
        await asyncio.sleep(0)
    made.source.publish("rsa")
    while not made.trusted:
        await asyncio.sleep(0)
    task.cancel()
    assert made.trusted == [("rsa",)]
    assert "could not be kept fresh" in caplog.text


# Unknown keys


async def test_unknown_key_has_the_set_asked_for_at_once(rotating):
    rotating.source.publish("ed25519", "rsa")
    assert await rotating.rotation.learn("rsa")
    assert rotating.trusted[-1] == ("ed25519", "rsa")


async def test_many_callers_with_unknown_keys_share_one_request(rotating):
    rotating.source.gate.clear()
    rotating.source.publish("ed25519", "rsa")
    calls = [asyncio.ensure_future(rotating.rotation.learn(kid)) for kid in ["rsa", "x", "rsa", *map(str, range(500))]]
    for _ in range(3):
        await asyncio.sleep(0)
    assert rotating.source.asked == 2
    rotating.source.gate.set()
    results = await asyncio.gather(*calls)
    assert (results[0], results[2]) == (True, True)
    assert rotating.source.asked == 2


async def test_flood_of_unknown_keys_makes_one_request_a_minute(rotating):
    for second in range(180):
        for number in range(50):
            await rotating.rotation.learn(f"{second}-{number}")
        rotating.time.now += 1
    assert rotating.source.asked == 1 + 3


async def test_key_that_was_not_found_is_not_asked_for_again_for_a_while(rotating):
    assert not await rotating.rotation.learn("nobody")
    rotating.time.now += MIN_S
    assert not await rotating.rotation.learn("nobody")
    assert rotating.source.asked == 2
    rotating.time.now += 4 * MIN_S
    await rotating.rotation.learn("nobody")
    assert rotating.source.asked == 3


async def test_key_that_was_not_found_is_found_once_the_set_has_it(rotating):
    await rotating.rotation.learn("rsa")
    rotating.source.publish("rsa")
    await rotating.after(NEXT_S)
    assert rotating.trusted[-1] == ("rsa",)
    rotating.source.publish("p256")
    assert await rotating.rotation.learn("p256")


async def test_changed_set_makes_a_name_worth_asking_for_again(rotating):
    rotating.source.next_in_s = MIN_S
    await rotating.rotation.learn("rsa")
    rotating.source.publish("ed25519", "p256")
    await rotating.after(MIN_S)
    rotating.source.publish("ed25519", "p256", "rsa")
    assert await rotating.rotation.learn("rsa")


async def test_names_that_were_not_found_are_forgotten_first_come_first(rotating, monkeypatch):
    monkeypatch.setattr(_key_rotation, "MAX_MISSING", 3)
    for kid in "abcd":
        rotating.time.now += MIN_S
        await rotating.rotation.learn(kid)
    assert list(rotating.rotation._missing) == ["b", "c", "d"]


async def test_flood_cannot_keep_a_new_key_away_for_longer_than_a_minute(rotating):
    await rotating.rotation.learn("attack-1")
    rotating.source.publish("ed25519", "rsa")
    assert not await rotating.rotation.learn("rsa")
    rotating.time.now += MIN_S
    await rotating.rotation.learn("attack-2")
    assert rotating.trusted[-1] == ("ed25519", "rsa")


async def test_token_without_a_key_name_is_tried_again_only_after_a_change(rotating):
    assert not await rotating.rotation.learn(None)
    rotating.time.now += 5 * MIN_S
    rotating.source.publish("rsa")
    assert await rotating.rotation.learn(None)


async def test_caller_is_told_to_come_back_when_the_provider_does_not_answer(rotating):
    rotating.source.fail()
    with pytest.raises(UnavailableError) as caught:
        await rotating.rotation.learn("rsa")
    assert (caught.value.reason, caught.value.retry_after_s) == ("ISSUER_UNAVAILABLE", 5)
    assert not await rotating.rotation.learn("rsa"), "asked a moment ago"
    assert rotating.source.asked == 2


async def test_caller_that_goes_away_does_not_end_the_request_of_others(rotating):
    rotating.source.gate.clear()
    rotating.source.publish("rsa")
    impatient, patient = (asyncio.ensure_future(rotating.rotation.learn("rsa")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    rotating.source.gate.set()
    assert await patient
    assert impatient.cancelled()


async def test_only_so_many_callers_wait(rotating, monkeypatch):
    monkeypatch.setattr(_key_rotation, "MAX_WAITING", 2)
    rotating.source.gate.clear()
    waiting = [asyncio.ensure_future(rotating.rotation.learn("rsa")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="too many wait"):
        await rotating.rotation.learn("rsa")
    rotating.source.gate.set()
    await asyncio.gather(*waiting)


async def test_request_that_was_due_anyway_serves_those_who_wait(rotating):
    rotating.source.gate.clear()
    rotating.source.publish("rsa")
    step = asyncio.ensure_future(rotating.after(NEXT_S))
    await asyncio.sleep(0)
    call = asyncio.ensure_future(rotating.rotation.learn("rsa"))
    await asyncio.sleep(0)
    rotating.source.gate.set()
    await step
    assert await call
    assert rotating.source.asked == 2


# What the operator is told


async def test_operator_is_told_once_of_the_same_failure(rotating, caplog):
    rotating.source.fail()
    for wait_s in (NEXT_S, 5, 10, 20):
        await rotating.after(wait_s)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["issuer 'https://idp.example.com': https://idp.example.com/jwks: no answer within 10 s"]


async def test_operator_is_told_of_keys_that_are_of_no_use(forge, caplog):
    made = Rotating(forge)
    made.source.answer = json.dumps(
        {"keys": [forge.jwk("ed25519"), forge.jwk("rsa", use="enc"), {"kty": "oct", "k": "c2VjcmV0"}]}
    ).encode()
    await made.rotation.step()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "issuer 'https://idp.example.com': key not used: keys[1]: use: 'enc', expected 'sig'",
        "issuer 'https://idp.example.com': key not used: keys[2]: kty: 'oct', expected 'OKP', 'EC' or 'RSA'",
    ]


def test_key_that_no_allowed_algorithm_is_for_is_named(forge):
    config = IssuerConfig(issuer=forge.issuer, jwks_file="idp.json", algorithms=("ES256",))
    issuer = Issuer.from_jwks(config, forge.jwks(forge.jwk("p256"), forge.jwk("rsa")))
    assert issuer.ignored_keys == ("kid 'rsa': is for PS256 or RS256, allowed are ES256",)


@pytest.mark.parametrize(("ahead_s", "side"), [(600.2, "600 s ahead of"), (-600.2, "600 s behind")])
async def test_operator_is_told_of_a_clock_ten_minutes_off(forge, caplog, ahead_s, side):
    made = Rotating(forge)
    made.source.clock_ahead_s = ahead_s
    await made.rotation.step()
    await made.after(NEXT_S)
    assert [side in record.getMessage() for record in caplog.records] == [True]
