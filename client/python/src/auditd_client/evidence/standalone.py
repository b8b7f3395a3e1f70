"""Verifies an evidence package of auditd, offline, with nothing but the log's verifier key.

    python3 verify.py --key 'audit.example.com/main+1a2b3c4d+AZ…' [PACKAGE.zip or FOLDER]

Without an argument it verifies the folder it lies in. It needs Python 3.10 or later and nothing else. Read it before
you run it: it reads files, prints, and does no more. Have the key from a place you trust, not from whoever handed you
the package. The exit status is 0 if the package is genuine, 1 if not, 2 if it could not be tried.

A yes says: the key's holder signed a tree; each line of entries.jsonl is, byte for byte, the entry of that tree with
the index that it states; between them nothing is missing but what is counted as left out. It does not say that events
are true or that the filter was the one named; `auditlog verify` also holds report.html and omitted.txt against them.
"""

import base64
import errno
import hashlib
import json
import re
import struct
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

NAMES = ("entries.jsonl", "proof.hashes", "credentials.jsonl", "report.html", "verify.py", "README.txt")
OTHERS = re.compile(r"omitted\.txt|manifest\.json|checkpoint-\d{1,19}|consistency-\d{1,19}-\d{1,19}\.hashes", re.ASCII)
MAX_FILES, MAX_LEAF, MAX_LINE = 140, 65_535, 1 << 20


class NotGenuineError(Exception):
    """The package does not verify; the text says why."""


def require(condition: object, why: str) -> None:
    """Raise NotGenuineError unless the condition holds."""
    if not condition:
        raise NotGenuineError(why)


# --- Ed25519: RFC 8032 section 5.1. A point (x, y) is held as (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z. ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]


def add(p: Point, q: Point) -> Point:
    """Return the sum of two points (section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, p: Point) -> Point:
    """Return a point added to itself `scalar` times."""
    result = (0, 1, 1, 0)
    for bit in reversed(range(scalar.bit_length())):
        result = add(result, result)
        result = add(result, p) if scalar >> bit & 1 else result
    return result


def decode_point(data: bytes) -> Point:
    """Return the point that 32 bytes encode (section 5.1.3)."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    require(len(data) == 32 and y < P and (x * x - square) % P == 0 and (x or not sign), "no point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = decode_point(bytes([0x58]) + bytes([0x66]) * 31)


def require_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Raise NotGenuineError unless the holder of `public_key` signed `message` (section 5.1.7)."""
    why = "the signature does not fit"
    require(len(signature) == 64 and int.from_bytes(signature[32:], "little") < L, why)
    a, r = decode_point(public_key), decode_point(signature[:32])
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    p, q = multiply(int.from_bytes(signature[32:], "little"), BASE), add(r, multiply(k, a))
    require((p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0, why)


# --- Verifier keys and signed checkpoints: C2SP signed-note, tlog-checkpoint. ---


def unbase64(text: str) -> bytes:
    """Return the bytes that `text` is the one base64 of."""
    data = base64.b64decode(text, validate=True)
    require(base64.b64encode(data).decode() == text, "base64 with stray bits")
    return data


def read_key(vkey: str) -> tuple[str, bytes, bytes]:
    """Return name, key ID and public key of a verifier key `name+key ID+base64`."""
    name, key_id, encoded = vkey.strip().split("+", 2)
    material = unbase64(encoded)
    computed = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    require(name and len(material) == 33 and material[0] == 1 and computed.hex() == key_id, "not a verifier key")
    return name, computed, material[1:]


def open_checkpoint(note: bytes, key: tuple[str, bytes, bytes]) -> tuple[int, bytes]:
    """Return size and root of the tree of a checkpoint that the key signed."""
    text, _, signatures = note.decode().rpartition("\n\n")
    text, signed = text + "\n", False
    for line in signatures.removesuffix("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        blob = unbase64(encoded)
        require(dash == "\N{EM DASH}" and name and len(blob) > 4, "malformed signature line")
        if (name, blob[:4]) == key[:2]:
            require_signature(key[2], blob[4:], text.encode())
            signed = True
    require(signed and signatures.endswith("\n"), f"not signed by the key of {key[0]!a}")
    origin, size, root, *_ = text.split("\n")
    require(origin == key[0], f"a checkpoint of another log: {origin!a}")
    require(re.fullmatch(r"0|[1-9][0-9]{0,18}", size, re.ASCII) and len(unbase64(root)) == 32, "malformed checkpoint")
    return int(size), unbase64(root)


# --- The Merkle tree: RFC 6962 section 2.1. ---


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Walk:
    """The split of the tree, down to the entries given; what holds none of them takes its hash from the proof."""

    def __init__(self, entries: Iterator[tuple[int, bytes]], proof: "Hashed") -> None:
        self.entries, self.proof = entries, proof
        self.first = self.last = -1
        self.count = 0
        self.index: int | None
        self.index, self.digest = next(entries, (None, b""))

    def root(self, start: int, end: int) -> bytes:
        """Return the hash over the leaves [start, end) of the tree."""
        if self.index is None or self.index >= end:
            return self.proof.read(32)
        if end - start == 1:
            digest, self.last, self.count = self.digest, self.index, self.count + 1
            self.first = self.index if self.first < 0 else self.first
            self.index, self.digest = next(self.entries, (None, b""))
            return digest
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        left = self.root(start, middle)
        return node(left, self.root(middle, end))


def require_extends(old: tuple[int, bytes], new: tuple[int, bytes], proof: list[bytes]) -> None:
    """Raise NotGenuineError unless one tree, (size, root), extends another (RFC 9162 section 2.1.4.2)."""
    why = f"the tree of {new[0]} entries is not shown to extend that of {old[0]}"
    require(0 < old[0] < new[0] and proof, why)
    path = [old[1], *proof] if old[0] & (old[0] - 1) == 0 else proof
    fn, sn = old[0] - 1, new[0] - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        require(sn, why)
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0 and (fr, sr) == (old[1], new[1]), why)


# --- The package: a zip, or a folder, of the files that manifest.json lists. ---


def read_json(data: bytes) -> dict[str, Any]:
    """Return the JSON object that `data` is; a name that stands twice in one could be read in two ways."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len(dict(pairs)) == len(pairs), "a JSON object names a member twice")
        return dict(pairs)

    def number(text: str) -> int | str:
        return int(text) if len(text) < 20 else text  # longer ones are text here, for Python would calculate

    value = json.loads(data.decode(), object_pairs_hook=unique, parse_int=number, parse_float=str)
    require(isinstance(value, dict), "not a JSON object")
    return dict(value)


def count(value: object) -> int:
    """Return a value that is a whole number below 2^63, and no text or truth that could be taken for one."""
    require(type(value) is int and 0 <= value < 1 << 63, "a number is none, or out of range")
    return int(str(value))


class Hashed:
    """A file that is hashed as it is read, and that is no longer than it may be."""

    def __init__(self, stream: IO[bytes], name: str, size: int) -> None:
        self.stream, self.name, self.left, self.sha256 = stream, name, size, hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end."""
        return self._seen(self.stream.read(size))

    def lines(self, limit: int) -> Iterator[bytes]:
        """Yield each line without its line feed."""
        while line := self._seen(self.stream.readline(limit + 2)):
            require(line.endswith(b"\n"), f"{self.name}: a line is too long or cut off")
            yield line[:-1]

    def _seen(self, data: bytes) -> bytes:
        self.left -= len(data)
        require(self.left >= 0, f"{self.name} is longer than it may be")
        self.sha256.update(data)
        return data


class Package:
    """The files of a package, of which there are those that the manifest lists and no others."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self.files = files
        if path.is_dir():
            self.names = sorted(entry.name for entry in path.iterdir())
            require(not any((path / name).is_symlink() for name in self.names), "a file is a link")
            self.opened: Any = lambda name: (path / name).open("rb")
        else:
            with path.open("rb") as file:
                file.seek(max(file.seek(0, 2) - 22, 0))
                magic, count, directory_bytes, comment = struct.unpack("<4s6xHI4xH", file.read().ljust(22, b"\0"))
            require(magic == b"PK\5\6" and not comment, "not a zip file, or something stands behind it")
            require(count <= MAX_FILES and directory_bytes <= MAX_LINE, "more files than a package has")
            archive = files.enter_context(zipfile.ZipFile(path))
            require(min(file.header_offset for file in archive.infolist()) == 0, "something stands before the zip")
            self.names, self.opened = archive.namelist(), archive.open
        for name in self.names:
            require(name in NAMES or OTHERS.fullmatch(name), f"{name!a} does not belong to a package")
        self.manifest = read_json(self._opened("manifest.json", MAX_LINE).read(MAX_LINE + 1))
        require(self.manifest["format"] == "auditd.v1/evidence", "manifest.json is of another format")
        self.listed = {file["name"]: file for file in self.manifest["files"]}
        names = [*(file["name"] for file in self.manifest["files"]), "manifest.json"]
        require(set(NAMES) <= set(names), "a file is missing that every package has")
        require(set(names) == set(self.names), f"missing or added: {sorted(set(names) ^ set(self.names))!a}")
        in_order = self.names == (sorted(names) if path.is_dir() else names)
        require(in_order and len(set(names)) == len(names), "files are there twice or in another order")

    def open(self, name: str) -> Hashed:
        """Open a file for reading, to be ended with `finish`."""
        require(name in self.listed, f"{name} is missing")
        return self._opened(name, count(self.listed[name]["bytes"]))

    def _opened(self, name: str, size: int) -> Hashed:
        return Hashed(self.files.enter_context(self.opened(name)), name, size)

    def finish(self, file: Hashed) -> None:
        """Read what is left of a file, and raise NotGenuineError unless it is what the manifest says."""
        while file.read(MAX_LINE):
            pass
        is_same = file.left == 0 and file.sha256.hexdigest() == self.listed[file.name]["sha256"]
        require(is_same, f"{file.name} was changed: it is not as manifest.json says")

    def small(self, name: str) -> bytes:
        """Return a file whole."""
        file = self.open(name)
        require(file.left <= MAX_LINE, f"{name} is too long")
        data = file.read(MAX_LINE)
        self.finish(file)
        return data


def entries_of(file: Hashed, origin: str, size: int, tokens: set[Any]) -> Iterator[tuple[int, bytes]]:
    """Yield index and leaf hash of each line, an entry that says itself which it is; add the tokens that it names."""
    before = -1
    for line in file.lines(MAX_LEAF):
        leaf = read_json(line)
        index = count(leaf["index"])
        require(
            count(leaf["v"]) == 1 and leaf["log"] == origin, f"the entry after {before} is of another log or version"
        )
        require(before < index < size, f"entry {index} is out of order, or not in the tree")
        tokens |= {leaf["caller"].get("credential"), leaf["event"].get("actor", {}).get("credential")}
        yield index, hashlib.sha256(b"\0" + line).digest()
        before = index


def verify(path: Path, vkey: str) -> str:
    """Verify a package and return what it holds; raise NotGenuineError, or whatever hostile bytes make Python raise."""
    with ExitStack() as files:
        return verify_files(Package(path, files), read_key(vkey))


def verify_files(package: Package, key: tuple[str, bytes, bytes]) -> str:
    """Verify the files of a package and return what it holds."""
    origin, size = key[0], count(package.manifest["tree_size"])
    sizes = sorted(int(name[11:]) for name in package.names if name.startswith("checkpoint-"))
    require(package.manifest["origin"] == origin, "manifest.json is of another log")
    trees = [open_checkpoint(package.small(f"checkpoint-{number}"), key) for number in sizes]
    require([tree[0] for tree in trees] == sizes and size in sizes, "a checkpoint is not of the size in its name")
    expected = {f"consistency-{old}-{new}.hashes" for old, new in pairwise(sizes)} | {f"checkpoint-{n}" for n in sizes}
    require(
        package.listed.keys() - {*NAMES, "omitted.txt"} == expected, "checkpoints and what connects them do not fit"
    )
    for old, new in pairwise(trees):
        data = package.small(f"consistency-{old[0]}-{new[0]}.hashes")
        require_extends(old, new, [data[at : at + 32] for at in range(0, len(data), 32)])

    entries, proof, credentials = map(package.open, ("entries.jsonl", "proof.hashes", "credentials.jsonl"))
    tokens: set[Any] = set()
    walk = Walk(entries_of(entries, origin, size, tokens), proof)
    require(walk.root(0, size) == dict(trees)[size], "these are not the entries of the tree that was signed")
    require(walk.count and walk.index is None, "no entry, or more than are in the tree")
    require(walk.count == count(package.manifest["entries"]), "not as many entries as manifest.json says")
    token_count = 0
    for line in credentials.lines(MAX_LINE):
        token, token_count = read_json(line), token_count + 1
        signed = hashlib.sha256(f"{token['header']}.{token['payload']}".encode()).digest()
        name = hashlib.sha256(signed + bytes.fromhex(token["signature_hash"])).hexdigest()
        require(name in tokens and name == token["credential"], "credentials.jsonl: a token twice, or of no entry")
        tokens.remove(name)
    require(not proof.read(1), "the proof has hashes left over")
    read = {file.name: file for file in (entries, proof, credentials)}
    for name in package.listed:
        package.finish(read.get(name) or package.open(name))
    between = walk.last - walk.first + 1
    return (
        f"GENUINE: {walk.count} entries of {origin}, from {walk.first} to {walk.last}, {between - walk.count or 'none'}"
        f" left out between, in a tree of {size}.\nSigned checkpoints, each extending the one before: {len(trees)}."
        f" Tokens that these entries commit to: {token_count}."
    )


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    if len(arguments) not in (2, 3) or arguments[0] != "--key":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(verify(Path(arguments[2] if len(arguments) == 3 else Path(__file__).resolve().parent), arguments[1]))
        return 0
    except NotGenuineError as error:
        print(f"NOT GENUINE: {error}", file=sys.stderr)
    except Exception as error:  # whatever hostile bytes make Python raise
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of a place before the file, which bytes named
            print(ascii(str(error)), file=sys.stderr)
            return 2
        what = "something is missing" if isinstance(error, KeyError) else "malformed"
        print(f"NOT GENUINE, {what}: {ascii(str(*error.args[-1:]))[:200]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
