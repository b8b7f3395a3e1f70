"""The entry point."""

from __future__ import annotations

import gc

import click

from auditd_client.cli._group import CommandGroup


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="auditd-client", prog_name="auditlog")
def main() -> None:
    """Record events in a provable audit log, read them, and prove them to others.

    Settings come from flags, then the variables AUDITLOG_ADDRESS, AUDITLOG_TOKEN, AUDITLOG_CA,
    AUDITLOG_CERTIFICATE, AUDITLOG_PRIVATE_KEY, AUDITLOG_KEY and AUDITLOG_LOG, then a profile in
    ~/.config/auditlog/config.toml.

    Exit status: 0 yes; 1 no (a proof does not verify, a log is damaged); 2 misuse or refused input;
    3 unreachable or not allowed.
    """
    # A command makes many small objects and no cycles worth the looking for; what is imported stays.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
