"""A frame is trusted with nothing: whatever is not one sound frame of a leaf names the entry and costs no memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest
import zstandard

from auditd.errors import DamagedError
from auditd.log._frames import MAX_LEAF_BYTES, FrameCodec
from auditd.log._leaves import require_leaf
from auditd.merkle import leaf_hash

LEAF = b'{"v":1,"log":"audit.example.com/main","index":41}'


@pytest.fixture(scope="module")
def dictionaries():
    """Two trained dictionaries of different ids."""
    words = [b"user.login", b"user.logout", b"record.read", b"SUCCESS", b"FAILURE", b"203.0.113.9", b"acme"]
    made = []
    for seed in (1, 2):
        choose = random.Random(seed)
        samples = [b'{"action":"%b","n":%d}' % (b" ".join(choose.choices(words, k=8)), i) for i in range(2_000)]
        made.append(zstandard.train_dictionary(2_048, samples, level=1).as_bytes())
    return made


def compress(data, **options):
    return zstandard.ZstdCompressor(level=1, **options).compress(data)


def with_dictionary(data, dictionary):
    return compress(data, dict_data=zstandard.ZstdCompressionDict(dictionary))


SKIPPABLE = bytes.fromhex("502a4d18") + b"\x04\0\0\0junk"
FRAMES = {
    "empty": b"",
    "not zstd": b"garbage, and no frame",
    "four magic bytes": compress(LEAF)[:4],
    "cut short": compress(LEAF)[:-3],
    "one byte flipped in the header": bytes([compress(LEAF)[0] ^ 1]) + compress(LEAF)[1:],
    "without content size": compress(LEAF, write_content_size=False),
    "a byte behind the frame": compress(LEAF) + b"\0",
    "two frames": compress(LEAF) + compress(LEAF),
    "a skippable frame behind the frame": compress(LEAF) + SKIPPABLE,
    "a skippable frame alone": SKIPPABLE,
    "one byte larger than a leaf may be": compress(bytes(MAX_LEAF_BYTES + 1)),
    "a bomb of 300 MB": compress(bytes(300_000_000)),
    "a size that is not the content's": compress(LEAF).replace(bytes([len(LEAF)]), bytes([len(LEAF) + 1]), 1),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_refuses(frame):
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError) as caught:
            FrameCodec().decompress(frame, 41)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.reason, caught.value.facts) == ("LEAF_DAMAGED", {"index": "41"})
    assert caught.value.message.startswith("entry 41: ")
    assert peak < 1_000_000


def test_refuses_a_frame_of_a_dictionary_that_the_log_does_not_have(dictionaries):
    first, second = dictionaries
    with pytest.raises(DamagedError, match=r"entry 41: frame names dictionary \d+, which the log does not have"):
        FrameCodec([first]).decompress(with_dictionary(LEAF, second), 41)


@pytest.mark.parametrize("length", [1, 100, MAX_LEAF_BYTES])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_what_was_compressed_comes_back(length, count):
    codec = FrameCodec()
    leaves = [random.Random(number).randbytes(length) for number in range(count)]
    frames = codec.compress(leaves)
    assert [codec.decompress(frame, index) for index, frame in enumerate(frames)] == leaves


def test_frames_of_every_dictionary_of_the_log_are_read_and_the_newest_is_written(dictionaries):
    codec = FrameCodec()
    frames = codec.compress([LEAF])
    for dictionary in dictionaries:
        dictionary_id = codec.add(dictionary)
        frames += codec.compress([LEAF, LEAF])
        assert zstandard.get_frame_parameters(frames[-1]).dict_id == dictionary_id == codec.dictionary_id
    assert [codec.decompress(frame, index) for index, frame in enumerate(frames)] == [LEAF] * 5
    assert [codec.twin().decompress(frame, index) for index, frame in enumerate(frames)] == [LEAF] * 5
    assert all(codec.knows(dictionary) for dictionary in dictionaries)
    assert not FrameCodec(dictionaries[:1]).knows(dictionaries[1])


@pytest.mark.parametrize("data", [b"", b"text", bytes.fromhex("37a430ec07000000") + bytes(100)])
def test_refuses_a_damaged_dictionary(data):
    with pytest.raises(DamagedError) as caught:
        FrameCodec([data])
    assert caught.value.reason == "DICTIONARY_DAMAGED"


def test_a_leaf_is_the_trees_or_nobodys():
    require_leaf(LEAF, 41, leaf_hash(LEAF))
    with pytest.raises(DamagedError) as caught:
        require_leaf(LEAF + b" ", 41, leaf_hash(LEAF))
    assert caught.value.facts["index"] == "41"
