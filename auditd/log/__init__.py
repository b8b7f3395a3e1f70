"""One append-only log: evidence file, writer, recovery, verified reading."""

from auditd.log._closing import Closing, how_to_succeed, open_closing, sign_closing
from auditd.log._complaint import Complaint
from auditd.log._database import CHECKSUM_BYTES, bound_caches, checksum_vfs, plain_vfs
from auditd.log._durable import sync, sync_all
from auditd.log._increment import apply_increment
from auditd.log._keys import LogSigner, create_key_file, load_signer, verify_ed25519, write_private_file
from auditd.log._log import Log
from auditd.log._peers import sign_peers
from auditd.log._plain_files import bytes_of, chunks_of
from auditd.log._plan import CommitPlan, Part
from auditd.log._predecessors import Predecessors
from auditd.log._restored import mark_restored, restored_from, unmark_restored
from auditd.log._second_look import is_damage, judged_by_pages, look_again
from auditd.log._settings import Answers, LogSettings, Observer, QueueLimits, deliver_each
from auditd.log._snapshot import INCREMENT_NAME, Snapshot, are_of_one_moment, snapshot
from auditd.log._store import Credential, StoredCredential
from auditd.log._submission import Outcome, Recorded, Submission, Told, TreeHead
from auditd.log._tender import Tender

__all__ = [
    "CHECKSUM_BYTES",
    "INCREMENT_NAME",
    "Answers",
    "Closing",
    "CommitPlan",
    "Complaint",
    "Credential",
    "Log",
    "LogSettings",
    "LogSigner",
    "Observer",
    "Outcome",
    "Part",
    "Predecessors",
    "QueueLimits",
    "Recorded",
    "Snapshot",
    "StoredCredential",
    "Submission",
    "Tender",
    "Told",
    "TreeHead",
    "apply_increment",
    "are_of_one_moment",
    "bound_caches",
    "bytes_of",
    "checksum_vfs",
    "chunks_of",
    "create_key_file",
    "deliver_each",
    "how_to_succeed",
    "is_damage",
    "judged_by_pages",
    "load_signer",
    "look_again",
    "mark_restored",
    "open_closing",
    "plain_vfs",
    "restored_from",
    "sign_closing",
    "sign_peers",
    "snapshot",
    "sync",
    "sync_all",
    "unmark_restored",
    "verify_ed25519",
    "write_private_file",
]
