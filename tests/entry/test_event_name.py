"""The key of an event's name, byte by byte (promise 5)."""

from hashlib import sha256
from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from auditd.entry import KEY_BYTES, KeyMaker, event_key, time_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def test_key_of_a_known_event() -> None:
    time, time_ns = "2026-11-24T00:26:13.100Z", 1_795_479_973_100_000_000
    key = event_key("https://idp.example.com", "svc-billing", "e-1", time, time_ns)
    assert key.hex() == "01a20af22cec600c1e352da0282ec568"


@given(TEXT, TEXT, TEXT, st.integers(0, 253_402_300_799), st.integers(0, 999_999_999))
def test_key_is_time_then_hash_of_the_name(issuer: str, subject: str, event_id: str, s: int, nanos: int) -> None:
    time = time_text(s, nanos)
    parts = [text.encode() for text in (issuer, subject, event_id, time)]
    digest = sha256(b"".join(pack(">I", len(part)) + part for part in parts)).digest()
    expected = pack(">Q", s * 1_000 + nanos // 1_000_000)[2:] + digest[:10]
    assert len(expected) == KEY_BYTES
    assert event_key(issuer, subject, event_id, time, s * 10**9 + nanos) == expected


def test_one_maker_makes_many_independent_keys() -> None:
    maker = KeyMaker("i", "s")
    first = maker("a", "2026-11-24T00:26:13Z", 1)
    maker("b", "2026-11-24T00:26:13Z", 1)
    assert maker("a", "2026-11-24T00:26:13Z", 1) == first


def test_moving_text_between_parts_makes_another_name() -> None:
    names = {
        event_key(issuer, subject, event_id, "2026-11-24T00:26:13Z", 0)
        for issuer, subject, event_id in (
            ("ab", "c", "d"),
            ("a", "bc", "d"),
            ("a", "b", "cd"),
            ("", "abc", "d"),
        )
    }
    assert len(names) == 4


def test_times_within_a_millisecond_make_other_names() -> None:
    one = event_key("i", "s", "e", time_text(5, 1), 5_000_000_001)
    two = event_key("i", "s", "e", time_text(5, 2), 5_000_000_002)
    assert one[:6] == two[:6]
    assert one != two
