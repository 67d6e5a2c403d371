"""What a case is: what is sent, and which answers are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .client import PATIENCE_S, Client, Seen, connected
from .frames import Code, ping

MARK = b"the mark"

Step = bytes | Callable[[Client], object]
Verdict = bool | None
"""Whether what was seen is this answer; None: it may still become it."""


@dataclass(frozen=True)
class Answer:
    """One of the answers that a case allows."""

    words: str
    verdict: Callable[[Seen], Verdict]


@dataclass(frozen=True)
class Case:
    """``steps`` are bytes, or what the client does between them; consecutive bytes leave in one piece. A ping
    follows them, unless the case is ``bare``. ``raw``: without a greeting in front."""

    section: str
    what: str
    steps: Sequence[Step]
    allowed: Sequence[Answer]
    instead: Answer | None = None
    """What naiad does though the RFC says otherwise, on purpose ..."""
    reason: str = ""
    """... and why."""
    raw: bool = False
    bare: bool = False

    @property
    def name(self) -> str:
        return f"{self.section}: {self.what}"


class NotApplicableError(Exception):
    """The server has no such limit as the case goes beyond."""


def connection_error(*codes: Code) -> Answer:
    """GOAWAY with one of the codes and the end of the connection, or its end alone (section 5.4.1)."""

    def verdict(seen: Seen) -> Verdict:
        if seen.goaways and seen.goaways[-1][0] not in codes:
            return False
        return True if seen.closed else None

    return Answer(f"connection error {_names(codes)}", verdict)


def stream_error(stream: int, *codes: Code) -> Answer:
    """RST_STREAM with one of the codes while the connection lives; that may be ended too (section 5.4.2)."""
    whole = connection_error(*codes)

    def verdict(seen: Seen) -> Verdict:
        if seen.closed or seen.goaways:
            return whole.verdict(seen)
        if stream in seen.resets and seen.resets[stream] not in (*codes, Code.NO_ERROR):
            return False
        return True if seen.resets.get(stream) in codes and MARK in seen.pongs else None

    return Answer(f"stream {stream} reset {_names(codes)}", verdict)


def malformed(stream: int = 1) -> Answer:
    """A request that is malformed is a stream error PROTOCOL_ERROR (section 8.1.1) ..."""
    return stream_error(stream, Code.PROTOCOL)


def http_status(stream: int, *statuses: str) -> Answer:
    """... but a server may say so with a status before (section 8.1.1)."""

    def verdict(seen: Seen) -> Verdict:
        if stream not in seen.ended:
            return False if seen.closed else None
        return seen.fields[stream].get(":status") in statuses

    return Answer(f"HTTP status {' or '.join(statuses)}", verdict)


def grpc_status(stream: int, *statuses: int) -> Answer:
    """The answer of the stream, to its end; the connection lives."""

    def verdict(seen: Seen) -> Verdict:
        if stream in seen.ended:
            return seen.grpc_status(stream) in [str(status) for status in statuses]
        return False if seen.closed or seen.goaways or seen.resets.get(stream) else None

    return Answer(f"stream {stream} answered with grpc-status {statuses}", verdict)


def served(stream: int = 1) -> Answer:
    """The right answer of ServerLive."""
    status = grpc_status(stream, 0)

    def verdict(seen: Seen) -> Verdict:
        found = status.verdict(seen)
        return seen.bodies.get(stream) == b"\0\0\0\0\2\x08\1" if found else found

    return Answer(f"stream {stream} is served", verdict)


def _alive(seen: Seen) -> Verdict:
    if seen.closed or seen.goaways or any(seen.resets.values()):
        return False
    return True if MARK in seen.pongs else None


ALIVE = Answer("the connection goes on", _alive)


def alive_and(words: str, true: Callable[[Seen], bool]) -> Answer:
    """The connection goes on, and something has come; while it has not, it is waited for."""

    def verdict(seen: Seen) -> Verdict:
        found = _alive(seen)
        return (True if true(seen) else None) if found else found

    return Answer(words, verdict)


def ended(stream: int) -> Step:
    """Waits for the end of an answer."""
    return lambda client: client.until(lambda: stream in client.seen.ended)


def acked(client: Client) -> None:
    """Waits until the SETTINGS behind the first ones have been acknowledged."""
    client.until(lambda: client.seen.acks > 1)


def run(address: str, case: Case, patience_s: float = PATIENCE_S) -> Seen:
    """Sends the steps of a case, and reads until what has come decides."""
    with connected(address) as client:
        if not case.raw:
            client.start()
        sent = b""
        for step in case.steps:
            if isinstance(step, bytes):
                sent += step
                continue
            client.send(sent)
            sent = b""
            step(client)
        client.send(sent + (b"" if case.bare else ping(MARK)))
        answers = [*case.allowed, *([case.instead] if case.instead else [])]
        client.until(
            lambda: any(verdicts := [each.verdict(client.seen) for each in answers]) or None not in verdicts,
            patience_s,
        )
        return client.seen


def answered(case: Case, seen: Seen) -> bool:
    """As the RFC has it."""
    return any(each.verdict(seen) for each in case.allowed)


def _names(codes: Sequence[Code]) -> str:
    return " or ".join(code.name for code in codes)
