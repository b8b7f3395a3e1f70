"""The gRPC server of a folder of logs: configuration, services, lifecycle."""

from typing import TYPE_CHECKING

from auditd._lazy import lazy as _lazy

if TYPE_CHECKING:
    from auditd.server._backup import join_backups, make_backup, restore_backup, verify_backup
    from auditd.server._check import FolderReport, check_folder
    from auditd.server._check_indexes import check_indexes, covered_sizes
    from auditd.server._clock_confirmation import Confirmed, confirm_clock
    from auditd.server._config import Config, load_config
    from auditd.server._config_check import Checked, check_config
    from auditd.server._folder import LOG_NAMES, Made, make_folder
    from auditd.server._last_check import LastCheck, keep_last_check
    from auditd.server._local_issuer import local_issuer
    from auditd.server._logging import configure_logging, event_logger
    from auditd.server._logs import logs_there
    from auditd.server._manifest import Manifest
    from auditd.server._resume import Resumed, resume_logs
    from auditd.server._serve import Addresses, serve
    from auditd.server._succeed import Succeeded, succeed_log

__all__ = [
    "LOG_NAMES",
    "Addresses",
    "Checked",
    "Config",
    "Confirmed",
    "FolderReport",
    "LastCheck",
    "Made",
    "Manifest",
    "Resumed",
    "Succeeded",
    "check_config",
    "check_folder",
    "check_indexes",
    "configure_logging",
    "confirm_clock",
    "covered_sizes",
    "event_logger",
    "join_backups",
    "keep_last_check",
    "load_config",
    "local_issuer",
    "logs_there",
    "make_backup",
    "make_folder",
    "restore_backup",
    "resume_logs",
    "serve",
    "succeed_log",
    "verify_backup",
]

__getattr__ = _lazy(
    __name__,
    {
        "join_backups": "_backup",
        "Manifest": "_manifest",
        "make_backup": "_backup",
        "restore_backup": "_backup",
        "verify_backup": "_backup",
        "Resumed": "_resume",
        "resume_logs": "_resume",
        "FolderReport": "_check",
        "check_folder": "_check",
        "check_indexes": "_check_indexes",
        "covered_sizes": "_check_indexes",
        "logs_there": "_logs",
        "Confirmed": "_clock_confirmation",
        "confirm_clock": "_clock_confirmation",
        "Config": "_config",
        "load_config": "_config",
        "Checked": "_config_check",
        "check_config": "_config_check",
        "LOG_NAMES": "_folder",
        "Made": "_folder",
        "make_folder": "_folder",
        "local_issuer": "_local_issuer",
        "LastCheck": "_last_check",
        "keep_last_check": "_last_check",
        "configure_logging": "_logging",
        "event_logger": "_logging",
        "Addresses": "_serve",
        "serve": "_serve",
        "Succeeded": "_succeed",
        "succeed_log": "_succeed",
    },
)
