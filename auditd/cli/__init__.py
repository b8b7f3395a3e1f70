"""The commands of `auditlog` that need a server folder."""

from auditd.cli._check import check
from auditd.cli._init import init
from auditd.cli._serve import serve
from auditd.cli._token import issue_from_folder

__all__ = ["check", "init", "issue_from_folder", "serve"]
