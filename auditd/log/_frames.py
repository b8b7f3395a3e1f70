"""Leaves as zstd frames, and back, trusting no frame."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import zstandard

from auditd._native import native
from auditd.errors import DamagedError

LEVEL = 1
MAX_LEAF_BYTES = 65_535


class FrameCodec:
    """Compresses leaves with the newest dictionary of a log, and decompresses them with any of its own.

    One instance serves the writer thread, which alone compresses and adds dictionaries, and any number of
    readers, each with contexts of its own, since those of zstandard are not safe to share. `native` are the
    dictionaries for native code, where that is used.
    """

    def __init__(self, dictionaries: Iterable[bytes] = ()) -> None:
        self._dictionaries: dict[int, zstandard.ZstdCompressionDict] = {}
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        self._contexts = _Contexts()
        self.dictionary_id = 0
        self.native = native.Dictionaries([]) if native is not None else None
        for data in dictionaries:
            self.add(data)

    def add(self, data: bytes) -> int:
        """Use the dictionary `data` for reading and, from now on, for writing; return its id.

        Raises DamagedError if `data` is no trained dictionary.
        """
        dictionary = zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_FULLDICT)
        dictionary_id = dictionary.dict_id()
        try:
            dictionary.precompute_compress(level=LEVEL)
        except zstandard.ZstdError as error:
            raise _damaged_dictionary(dictionary_id) from error
        if dictionary_id == 0:
            raise _damaged_dictionary(dictionary_id)
        self._dictionaries[dictionary_id] = dictionary
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary, write_checksum=False)
        self.dictionary_id = dictionary_id
        if native is not None:
            self.native = native.Dictionaries([each.as_bytes() for each in self._dictionaries.values()])
        return dictionary_id

    def knows(self, data: bytes) -> bool:
        """Tell whether a dictionary with the id of `data` was added."""
        return zstandard.ZstdCompressionDict(data).dict_id() in self._dictionaries

    def twin(self) -> FrameCodec:
        """Return a codec with the same dictionaries, for use in another thread."""
        return FrameCodec(dictionary.as_bytes() for dictionary in self._dictionaries.values())

    def compress(self, leaves: Sequence[bytes]) -> list[bytes]:
        """Return one frame a leaf."""
        if len(leaves) == 1:
            return [self._compressor.compress(leaves[0])]
        # One call for the lot holds no GIL while it works.
        frames = self._compressor.multi_compress_to_buffer(list(leaves), threads=0)
        return [frames[position].tobytes() for position in range(len(leaves))]

    def decompress(self, frame: bytes, index: int) -> bytes:
        """Return the leaf in `frame`; raise DamagedError naming `index` for anything but one sound frame."""
        if not isinstance(frame, bytes):
            raise _damaged(index, f"no frame, but a value of type {type(frame).__name__}")
        try:
            parameters = zstandard.get_frame_parameters(frame)
            # zstandard ignores max_output_size where the frame states its size, so that is judged first.
            if parameters.content_size > MAX_LEAF_BYTES:
                raise _damaged(index, f"frame states no size or too large a one: {parameters.content_size}")
            return self._context(parameters.dict_id, index).decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise _damaged(index, str(error)) from error

    def _context(self, dictionary_id: int, index: int) -> zstandard.ZstdDecompressor:
        contexts = self._contexts.by_dictionary
        context = contexts.get(dictionary_id)
        if context is None:
            dictionary = self._dictionaries.get(dictionary_id)
            if dictionary_id and dictionary is None:
                raise _damaged(index, f"frame names dictionary {dictionary_id}, which the log does not have")
            context = contexts[dictionary_id] = zstandard.ZstdDecompressor(dict_data=dictionary)
        return context


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.by_dictionary: dict[int, zstandard.ZstdDecompressor] = {}


def _damaged(index: int, what: str) -> DamagedError:
    return DamagedError("LEAF_DAMAGED", f"entry {index}: {what}", {"index": str(index)})


def _damaged_dictionary(dictionary_id: int) -> DamagedError:
    return DamagedError(
        "DICTIONARY_DAMAGED",
        f"compression dictionary {dictionary_id} is damaged; run 'auditlog check', restore a backup",
        {"dictionary": str(dictionary_id)},
    )
