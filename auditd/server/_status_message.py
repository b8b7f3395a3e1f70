"""The state of a server as a message of the API."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from auditd.measures import Distribution
from auditd.server._snapshot import LogStatus, MethodStatus, ServerStatus
from auditd_proto.v1 import admin_service_pb2 as pb

MAX_DAMAGE = 100

_INDEX = {
    "CURRENT": pb.LogStatus.INDEX_CURRENT,
    "BEHIND": pb.LogStatus.INDEX_BEHIND,
    "UNUSABLE": pb.LogStatus.INDEX_UNUSABLE,
    "OFF": pb.LogStatus.INDEX_OFF,
}


def status_message(status: ServerStatus) -> pb.GetStatusResponse:
    """Return the message for a state."""
    message = pb.GetStatusResponse(
        origin=status.origin,
        version=status.version,
        started_at=_timestamp(status.started_at),
        problems=status.problems,
        logs=map(_log, status.logs),
        methods=map(_method, status.methods),
        tails=status.tails,
        disk_free_bytes=status.disk_free_bytes,
        disk_size_bytes=status.disk_total_bytes,
        clock=pb.ClockStatus(
            synchronized=status.clock.synchronized, stepped_s=status.clock.stepped_s, suspect=status.clock.suspect
        ),
        damage_met=status.damage_met,
    )
    if status.last_check is not None:
        check = status.last_check
        ended_at = _timestamp(check.ended_at)
        message.last_check.CopyFrom(
            pb.LastCheck(ended_at=ended_at, sound=check.sound, findings=check.findings, entries=check.entries)
        )
    for one in status.damage[:MAX_DAMAGE]:
        met_at = _timestamp(one.first_met_at)
        message.damage.add(log=one.log, index=one.index, reason=one.reason, message=one.message, first_met_at=met_at)
    return message


def _log(log: LogStatus) -> pb.LogStatus:
    fields, text, times = (log.indexes[name] for name in ("fields", "text", "times"))
    return pb.LogStatus(
        name=log.name,
        origin=log.origin,
        tree_size=log.size,
        problem=log.problem,
        queued_events=log.waiting_events,
        queued_bytes=log.waiting_bytes,
        commits=log.commits,
        failed_commits=log.failed_commits,
        entries=log.entries,
        duplicates=log.duplicates,
        record=_durations(log.stages["record"]),
        store=_durations(log.stages["store"]),
        index=_INDEX[fields.state],
        index_covered=fields.covered,
        file_bytes=log.files,
        text_index=_INDEX[text.state],
        text_index_covered=text.covered,
        time_index=_INDEX[times.state],
        time_index_covered=times.covered,
        successor=log.successor,
    )


def _method(method: MethodStatus) -> pb.MethodStatus:
    message = pb.MethodStatus(
        name=method.name,
        under_way=method.under_way,
        answered=method.answered,
        broken_off=method.broken_off,
        work=_durations(method.stages["work"]),
    )
    for (_, reason), count in method.refused.items():
        message.refused[reason] += count
    return message


def _durations(times: Distribution) -> pb.Durations:
    return pb.Durations(count=times.count, mean_s=times.mean, p50_s=times.at_most(0.5), p99_s=times.at_most(0.99))


def _timestamp(moment: float) -> Timestamp:
    made = Timestamp()
    made.FromMicroseconds(int(moment * 1_000_000))
    return made
