"""Generate `auditd_proto` from `proto/`; with `--check`, only say whether it is up to date."""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "client/python/src/auditd_proto/v1"
SOURCES = ("auditd/v1/event.proto", "auditd/v1/audit_log_service.proto", "auditd/v1/admin_service.proto")


def generate(folder: Path) -> None:
    """Write the modules of every proto file to `folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        include = str(resources.files("grpc_tools") / "_proto")
        status = protoc.main(
            [
                "protoc",
                f"-I{ROOT / 'proto'}",
                f"-I{include}",
                f"--python_out={scratch}",
                f"--pyi_out={scratch}",
                f"--grpc_python_out={scratch}",
                *SOURCES,
            ]
        )
        if status != 0:
            sys.exit(status)
        folder.mkdir(parents=True, exist_ok=True)
        for made in sorted(Path(scratch, "auditd/v1").iterdir()):
            # protoc derives the import from the proto path, which is the server's package name.
            text = made.read_text().replace("from auditd.v1 import", "from auditd_proto.v1 import")
            (folder / made.name).write_text(text)
        (folder / "__init__.py").write_text('"""Generated from `proto/auditd/v1`."""\n')


def main() -> None:
    """Generate, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if out of date")
    if not parser.parse_args().check:
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        names = [path.name for path in Path(fresh).iterdir()]
        _, different, missing = filecmp.cmpfiles(fresh, TARGET, names, shallow=False)
    if different or missing:
        sys.exit(f"auditd_proto is out of date ({', '.join(different + missing)}); run 'make protos'")


if __name__ == "__main__":
    main()
