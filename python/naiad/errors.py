"""The errors of naiad.

::

    NaiadError
    |- InvalidArgument            the request or the file is wrong; the same again will fail again
    |  `- ConfigError             a model configuration, with its place in the file
    |- NotFound                   no such model, version, region ...
    |- AlreadyExists
    |- Unavailable                not now; later it may work
    |  |- QueueFull
    |  |- NotReady
    |  `- Stopping
    |- DeadlineExceeded
    |- Unsupported                a legal wish that this server does not serve
    |- Cancelled
    |- Internal                   a fault of the server
    |  `- BackendError            the framework or the model failed; the message is its own
    `- Unknown                    a model said so

Each class has a ``code``, the name by which the core raises it. HTTP and gRPC statuses are the edges'
business. A message goes to clients: it says what, where, got and expected, and holds no path, key, pointer or
traceback.
"""

from __future__ import annotations

from typing import ClassVar


class NaiadError(Exception):
    """Base of all errors that naiad raises on purpose. ``code`` names the kind."""

    code: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class InvalidArgument(NaiadError):
    """The caller gave something that can never be served."""

    code = "INVALID_ARGUMENT"


class ConfigError(InvalidArgument):
    """A model configuration is wrong.

    ``file`` is relative to the model repository, ``line`` and ``column`` count from 1, ``field`` is the
    dotted name of the field in the configuration. Each is None where it is not known. The text is
    ``file:line:column: reason``, as much of it as is known.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
    ) -> None:
        self.reason = reason
        self.file = file
        self.line = line
        self.column = column
        self.field = field
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {reason}" if place else reason)

    def __reduce__(self) -> tuple[object, ...]:
        # BaseException rebuilds from args alone, which would take the composed text for the reason.
        return _config_error, (self.reason, self.file, self.line, self.column, self.field)

    def in_file(self, file: str) -> ConfigError:
        """The same error, with the file named (relative to the model repository)."""
        return ConfigError(self.reason, file=file, line=self.line, column=self.column, field=self.field)


def _config_error(
    reason: str, file: str | None, line: int | None, column: int | None, field: str | None
) -> ConfigError:
    return ConfigError(reason, file=file, line=line, column=column, field=field)


class NotFound(NaiadError):
    """What was named does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(NaiadError):
    """What was to be made exists."""

    code = "ALREADY_EXISTS"


class Unavailable(NaiadError):
    """It cannot be served now."""

    code = "UNAVAILABLE"


class QueueFull(Unavailable):
    """The queue of the model holds as many requests as it may."""


class NotReady(Unavailable):
    """The model is known, but loading, unloading or failed."""


class Stopping(Unavailable):
    """The server or the model takes no new requests."""


class DeadlineExceeded(NaiadError):
    """The time that the request allowed has passed."""

    code = "DEADLINE_EXCEEDED"


class Unsupported(NaiadError):
    """A legal wish which this server, build or backend does not serve."""

    code = "UNSUPPORTED"


class Cancelled(NaiadError):
    """The caller took the request back."""

    code = "CANCELLED"


class Internal(NaiadError):
    """The server failed."""

    code = "INTERNAL"


class BackendError(Internal):
    """The framework or the model failed; the message is its own."""


class Unknown(NaiadError):
    """A failure of no known kind, such as a model reports with TritonError.UNKNOWN."""

    code = "UNKNOWN"


_BY_CODE: dict[str, type[NaiadError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        Unavailable,
        DeadlineExceeded,
        Unsupported,
        Cancelled,
        Internal,
        Unknown,
    )
}


def from_code(code: str, message: str) -> NaiadError:
    """The error which the core means by ``code``. A code outside the tree is itself a fault: ``Internal``."""
    kind = _BY_CODE.get(code)
    if kind is None:
        return Internal(f"{message} (error code {code!r} is not known)")
    return kind(message)
