"""What the quickstart and the guides show is what happens."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a guide takes for granted; a command in the background is waited for by the lines that it prints.
SERVER = """\
$ auditlog init server --origin audit.example.com > keys.txt
$ auditlog serve server &
auditd is ready on 127.0.0.1:7443
$ export AUDITLOG_ADDRESS=127.0.0.1:7443 AUDITLOG_KEY=$(grep -o 'audit.*/main+.*' keys.txt)
$ export AUDITLOG_TOKEN=$(auditlog token issue server --sub svc --role admin)
"""


def test_the_quickstart_is_real(run_page_as_installed):
    run_page_as_installed("docs/quickstart.md", tools=("sqlite3",))


def test_the_guide_to_appending_is_real(run_page):
    run_page("docs/guides/appending.md", before=SERVER)


def test_the_guide_to_importing_is_real(run_page):
    run_page("docs/guides/importing.md", before=SERVER)


def test_the_guide_to_monitoring_is_real(run_page):
    events = """\
$ auditlog append --action user.login --actor-id bob > receipts
$ auditlog append --action user.read --actor-id bob > receipts
"""
    run_page("docs/guides/monitoring.md", before=SERVER + events)


def test_the_go_excerpt_is_part_of_the_program_that_is_tested():
    page = (ROOT / "docs/guides/appending.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- from: (\S+) -->\n```go\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[2] in (ROOT / found[1]).read_text(encoding="utf-8")


def test_the_guide_to_following_and_counting_is_real(run_page):
    run_page("docs/guides/following.md", before=SERVER)


def test_the_guide_to_verifying_is_real(run_page):
    events = """\
$ auditlog append --action user.login --actor-id bob > receipts
$ auditlog append --action user.read --actor-id bob > receipts
"""
    run_page("docs/guides/verifying.md", before=SERVER + events, tools=("sqlite3", "zstd", "openssl"))


def test_the_guide_to_rotating_is_real(run_page):
    run_page("docs/guides/rotating.md", before="$ auditlog init server --origin audit.example.com > keys.txt\n")


def test_the_guide_to_evidence_packages_is_real(run_page):
    events = """\
$ auditlog append --action user.login --actor-id bob > receipts
$ auditlog append --action user.login --actor-id alice > receipts
$ auditlog append --action user.read --actor-id bob > receipts
"""
    run_page("docs/guides/evidence-package.md", before=SERVER + events)


def test_the_guide_names_the_hash_of_the_small_verifier():
    source = (ROOT / "client/python/src/auditd_client/evidence/standalone.py").read_bytes()
    page = (ROOT / "docs/guides/evidence-package.md").read_text(encoding="utf-8")
    # The session above takes any hash for any other, so that times and salts may differ.
    assert f"{hashlib.sha256(source).hexdigest()}  verify.py" in page


def test_the_guide_to_exporting_is_real(run_page):
    events = """\
$ auditlog append --action user.login --actor-id bob > receipts
$ auditlog append --action user.read --actor-id bob > receipts
"""
    run_page("docs/guides/exporting.md", before=SERVER + events)


def test_the_guide_to_backups_is_real(run_page):
    run_page("docs/guides/backup.md", before=SERVER)
