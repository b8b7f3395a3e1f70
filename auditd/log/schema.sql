-- The evidence of one log. Rows are only ever added: any SQL client that neither alters this schema nor
-- disables triggers is refused everything else (promise 3).

CREATE TABLE log (
    origin TEXT NOT NULL UNIQUE,
    verifier_key TEXT NOT NULL
) STRICT;

-- leaf: a zstd frame of the entry's exact bytes; key: what makes an event name unique.
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 16),
    leaf BLOB NOT NULL
) STRICT;

-- Full tiles only: 256 hashes of 32 bytes.
CREATE TABLE tiles (
    level INTEGER NOT NULL,
    tile INTEGER NOT NULL,
    hashes BLOB NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, tile)
) STRICT;

-- peers: a signed note naming size and root of every other log of the folder at that time.
CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    note TEXT NOT NULL,
    peers TEXT
) STRICT;

-- Header and payload are the token's first two parts as received; the signature follows when it has expired.
CREATE TABLE credentials (
    credential BLOB NOT NULL UNIQUE CHECK (length(credential) = 32),
    issuer TEXT NOT NULL,
    header TEXT NOT NULL,
    payload TEXT NOT NULL,
    signature_hash BLOB NOT NULL CHECK (length(signature_hash) = 32),
    key_thumbprint TEXT NOT NULL
) STRICT;

CREATE TABLE credential_signatures (
    credential BLOB NOT NULL UNIQUE CHECK (length(credential) = 32),
    signature TEXT NOT NULL
) STRICT;

CREATE TABLE issuer_keys (
    thumbprint TEXT NOT NULL UNIQUE,
    issuer TEXT NOT NULL,
    jwk TEXT NOT NULL
) STRICT;

-- id: the one that frames name; rows stand in the order of their first use.
CREATE TABLE dictionaries (
    id INTEGER NOT NULL UNIQUE,
    dictionary BLOB NOT NULL
) STRICT;

CREATE TRIGGER log_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'log: rows are never changed'); END;
CREATE TRIGGER log_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'log: rows are never deleted'); END;
CREATE TRIGGER log_insert BEFORE INSERT ON log WHEN EXISTS (SELECT 1 FROM log)
BEGIN SELECT RAISE(ABORT, 'log: rows are never replaced'); END;

CREATE TRIGGER entries_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries: rows are never changed'); END;
CREATE TRIGGER entries_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries: rows are never deleted'); END;
-- INSERT OR REPLACE deletes without firing delete triggers, through any unique column, so both are guarded here.
CREATE TRIGGER entries_insert BEFORE INSERT ON entries
WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM entries)
BEGIN SELECT RAISE(ABORT, 'entries: idx is not the next one'); END;
CREATE TRIGGER entries_replace BEFORE INSERT ON entries WHEN EXISTS (SELECT 1 FROM entries WHERE key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'entries: key is recorded already'); END;

CREATE TRIGGER tiles_update BEFORE UPDATE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles: rows are never changed'); END;
CREATE TRIGGER tiles_delete BEFORE DELETE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles: rows are never deleted'); END;
CREATE TRIGGER tiles_insert BEFORE INSERT ON tiles
WHEN NEW.tile IS NOT (SELECT coalesce(max(tile) + 1, 0) FROM tiles WHERE level = NEW.level)
OR EXISTS (SELECT 1 FROM tiles WHERE rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'tiles: tile is not the next one of its level'); END;

CREATE TRIGGER checkpoints_update BEFORE UPDATE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints: rows are never changed'); END;
CREATE TRIGGER checkpoints_delete BEFORE DELETE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints: rows are never deleted'); END;
CREATE TRIGGER checkpoints_insert BEFORE INSERT ON checkpoints
WHEN NEW.id IS NOT (SELECT coalesce(max(id) + 1, 0) FROM checkpoints)
OR NEW.size < (SELECT size FROM checkpoints ORDER BY id DESC LIMIT 1)
BEGIN SELECT RAISE(ABORT, 'checkpoints: id is not the next one, or size shrinks'); END;

CREATE TRIGGER credentials_update BEFORE UPDATE ON credentials
BEGIN SELECT RAISE(ABORT, 'credentials: rows are never changed'); END;
CREATE TRIGGER credentials_delete BEFORE DELETE ON credentials
BEGIN SELECT RAISE(ABORT, 'credentials: rows are never deleted'); END;
CREATE TRIGGER credentials_insert BEFORE INSERT ON credentials
WHEN EXISTS (SELECT 1 FROM credentials WHERE credential = NEW.credential OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'credentials: rows are never replaced'); END;

CREATE TRIGGER credential_signatures_update BEFORE UPDATE ON credential_signatures
BEGIN SELECT RAISE(ABORT, 'credential_signatures: rows are never changed'); END;
CREATE TRIGGER credential_signatures_delete BEFORE DELETE ON credential_signatures
BEGIN SELECT RAISE(ABORT, 'credential_signatures: rows are never deleted'); END;
CREATE TRIGGER credential_signatures_insert BEFORE INSERT ON credential_signatures
WHEN EXISTS (SELECT 1 FROM credential_signatures WHERE credential = NEW.credential OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'credential_signatures: rows are never replaced'); END;

CREATE TRIGGER issuer_keys_update BEFORE UPDATE ON issuer_keys
BEGIN SELECT RAISE(ABORT, 'issuer_keys: rows are never changed'); END;
CREATE TRIGGER issuer_keys_delete BEFORE DELETE ON issuer_keys
BEGIN SELECT RAISE(ABORT, 'issuer_keys: rows are never deleted'); END;
CREATE TRIGGER issuer_keys_insert BEFORE INSERT ON issuer_keys
WHEN EXISTS (SELECT 1 FROM issuer_keys WHERE thumbprint = NEW.thumbprint OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'issuer_keys: rows are never replaced'); END;

CREATE TRIGGER dictionaries_update BEFORE UPDATE ON dictionaries
BEGIN SELECT RAISE(ABORT, 'dictionaries: rows are never changed'); END;
CREATE TRIGGER dictionaries_delete BEFORE DELETE ON dictionaries
BEGIN SELECT RAISE(ABORT, 'dictionaries: rows are never deleted'); END;
CREATE TRIGGER dictionaries_insert BEFORE INSERT ON dictionaries
WHEN EXISTS (SELECT 1 FROM dictionaries WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'dictionaries: rows are never replaced'); END;
