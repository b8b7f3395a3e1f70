"""What needs no token: health, reflection, and the answer to calls of what does not exist.

Anyone may ask for it, so all of it is waited for as if it were one caller's, and each address may ask only so often.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from auditd.errors import AuditdError, InvalidRequestError, UnsupportedError
from auditd.server._arriving import Arriving
from auditd.server._config import LimitSettings
from auditd.server._judging import malformed
from auditd.server._pace import Pace, too_much
from auditd.server._peers import Held, PeerRates, peer_ip, peer_too_fast
from auditd.server._status import status_of

_MAX_REQUEST_BYTES = 4 * 1024
"""Names are all they hold, and that of a service which is watched is kept."""
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"

Context: TypeAlias = "grpc.aio.ServicerContext"


class OpenMethods:
    """The handlers of all this; reflection names `services` too. Belongs to the event loop's thread."""

    def __init__(self, services: tuple[str, ...], arriving: Arriving, limits: LimitSettings) -> None:
        self.health = health.aio.HealthServicer()
        self._services = services
        self._reflector: Any = reflection.aio.ReflectionServicer(
            (*services, health.SERVICE_NAME, reflection.SERVICE_NAME, _REFLECTION_V1)
        )
        self._arriving = arriving
        self._limits = limits
        self._strangers = Pace(limits)
        self._asked = PeerRates(limits.max_refused_per_s_per_peer)
        self._held = Held()
        self._watches = 0

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers to register, after all others.

        As everywhere, a request is read by the method, and not before.
        """
        said = health_pb2.HealthCheckResponse.SerializeToString
        checks = {
            "Check": grpc.stream_unary_rpc_method_handler(self._check, response_serializer=said),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch, response_serializer=said),
        }
        # The messages of v1 are those of v1alpha, byte for byte, so one servicer answers under both names.
        reflect = grpc.stream_stream_rpc_method_handler(
            self._reflect, response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString
        )
        return [
            grpc.method_handlers_generic_handler(health.SERVICE_NAME, checks),
            *(
                grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": reflect})
                for name in (reflection.SERVICE_NAME, _REFLECTION_V1)
            ),
            _Anything(self._unknown),
        ]

    async def _check(self, _requests: object, context: Context) -> object:
        return await self.health.Check(await self._only(context), context)

    async def _watch(self, _requests: object, context: Context) -> None:
        most = self._limits.max_tails
        request = await self._only(context)
        if self._watches >= most:
            await _refuse(context, too_much("TOO_MANY_WATCHES", "health is watched too often", "max_tails", most))
        self._watches += 1
        try:
            await self.health.Watch(request, context)
        finally:
            self._watches -= 1

    async def _reflect(self, _requests: object, context: Context) -> AsyncIterator[object]:
        async for response in self._reflector.ServerReflectionInfo(self._each(context), context):
            yield response

    async def _unknown(self, method: str, context: Context) -> NoReturn:
        await self._require_pace(context)
        rule = f"this server has no method {method[:256]!r}; its services are {', '.join(self._services)}"
        await _refuse(context, UnsupportedError("METHOD_UNKNOWN", rule))

    async def _only(self, context: Context) -> Any:  # noqa: ANN401 -- of a package without types
        request = await self._read(health_pb2.HealthCheckRequest, context)
        if request is None:
            await _refuse(context, InvalidRequestError("MALFORMED_REQUEST", "the call ended without a request"))
        return request

    async def _each(self, context: Context) -> AsyncIterator[object]:
        while (request := await self._read(reflection_pb2.ServerReflectionRequest, context)) is not None:
            yield request

    async def _read(self, kind: Any, context: Context) -> Any:  # noqa: ANN401 -- of a package without types
        """Return the next request, or None after the last one."""
        data = await self._arriving.read(self._strangers, context.read, partial(_refuse, context))
        await self._require_pace(context)
        if not isinstance(data, bytes):
            return None
        if len(data) > _MAX_REQUEST_BYTES:
            rule = f"the request has {len(data)} bytes, limit {_MAX_REQUEST_BYTES}"
            await _refuse(context, InvalidRequestError("REQUEST_TOO_LARGE", rule))
        try:
            return kind.FromString(data)
        except DecodeError:
            await _refuse(context, malformed(kind, data))

    async def _require_pace(self, context: Context) -> None:
        if not self._asked.take(peer_ip(context)):
            await self._held.hold()
            said = "too many calls from this address were for health, reflection, or what does not exist"
            await _refuse(context, peer_too_fast(said, self._limits.max_refused_per_s_per_peer))


class _Anything:
    """Has a call of any method answered by `answer`, which takes its name."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401
        self._answer = answer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler, which reads nothing."""
        method = handler_call_details.method

        async def answer(_requests: object, context: Context) -> None:
            await self._answer(method, context)

        return grpc.stream_unary_rpc_method_handler(answer)


async def _refuse(context: Context, error: AuditdError) -> NoReturn:
    await context.abort(*status_of(error))
    raise error  # not reached: abort raises
