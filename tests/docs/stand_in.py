"""What a shell runs as `auditlog` where the pages' commands are many: a fork of ours, which starts within milliseconds.

The stand-in hands folder, environment and files on to whoever runs the tests, passes signals on, and ends as the
command ends.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forked import AUDITLOG, fork

_PROGRAM = """\
#!{python} -IS
import _socket, json, os, signal, sys

PASSED_ON = signal.SIGINT, signal.SIGTERM
signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
asking.connect({address!r})
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
asking.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
child = int(asking.recv(64))
for number in PASSED_ON:
    signal.signal(number, lambda number, _: os.kill(child, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
os._exit(int(asking.recv(64)))
"""
_MAX_REQUEST = 1 << 18


@contextmanager
def stand_in(folder: Path) -> Iterator[None]:
    """Put a program `auditlog` into a folder, which works as long as the block runs."""
    program = folder / "auditlog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind("")
        listening.listen(64)
        text = _PROGRAM.format(python=sys.executable, address=listening.getsockname())
        program.write_text(text, encoding="utf-8")
        program.chmod(0o700)
        answering = threading.Thread(target=_answer_all, args=(listening,))
        answering.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            answering.join()


def _answer_all(listening: socket.socket) -> None:
    answering = []
    while True:
        try:
            asking, _ = listening.accept()
        except OSError:
            break
        answering.append(threading.Thread(target=_answer, args=(asking,)))
        answering[-1].start()
    for each in answering:
        each.join()


def _answer(asking: socket.socket) -> None:
    with asking:
        request, files, _, _ = socket.recv_fds(asking, _MAX_REQUEST, 3)
        arguments, folder, environment = json.loads(request)
        child = fork([AUDITLOG, *arguments], folder, environment, files)
        for file in files:
            os.close(file)
        asking.send(str(child).encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asking.send(str(status if status >= 0 else 128 - status).encode())
