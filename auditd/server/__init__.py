"""The gRPC server of a folder of logs: configuration, services, lifecycle."""

from auditd.server._check import FolderReport, check_folder
from auditd.server._config import Config, load_config
from auditd.server._config_check import Checked, check_config
from auditd.server._folder import LOG_NAMES, Made, make_folder
from auditd.server._issuers import local_issuer
from auditd.server._serve import serve

__all__ = [
    "LOG_NAMES",
    "Checked",
    "Config",
    "FolderReport",
    "Made",
    "check_config",
    "check_folder",
    "load_config",
    "local_issuer",
    "make_folder",
    "serve",
]
