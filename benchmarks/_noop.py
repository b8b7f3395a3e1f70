"""The limit of unary calls: the audit server's own stack, with a handler that answers a constant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATH = "/auditd.benchmarks.v1.NoopService/Noop"
_MAX_REQUEST_BYTES = 8 * 1024 * 1024


@contextmanager
def running_noop_server() -> Iterator[str]:
    """Run the server as a process of its own and give its address."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks._noop"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _serve() -> None:
    import grpc

    _, service, method = PATH.split("/")

    async def answer(_requests: object, context: grpc.aio.ServicerContext) -> bytes:
        await context.read()
        return b""

    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", _MAX_REQUEST_BYTES), ("grpc.so_reuseport", 0)]
    )
    handler = grpc.stream_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _calm_the_collector()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def _calm_the_collector() -> None:
    """As the audit server does."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    sys.setswitchinterval(0.0005)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
