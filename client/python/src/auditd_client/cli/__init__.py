"""The command `auditlog`."""

from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._escape import shown, shown_json, shown_lines
from auditd_client.cli._main import main
from auditd_client.cli._progress import Bars

__all__ = ["Bars", "CommandError", "ExitStatus", "main", "shown", "shown_json", "shown_lines"]
