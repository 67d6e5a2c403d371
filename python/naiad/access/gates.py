"""The gate of each port: its routes, what is restricted, and the keys that are good."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.access.keys import Keys
from naiad.access.routes import grpc_table, http_table, metrics_table, openai_table
from naiad.access.scopes import WITHOUT_KEY
from naiad.engine import AccessGate, GuessLimit, RouteTable
from naiad.settings import ServerSettings

_GRPC_PREFIX = "triton-grpc-protocol-"
"""Of the metadata that a restricted protocol expects, as Triton has it."""


class Gates:
    """Of all ports, with the same keys."""

    def __init__(self, settings: ServerSettings) -> None:
        """Raises InvalidArgument when the keys cannot be used."""
        access = settings.access
        self.keys = Keys(access.keys_file, access.keys_text) if access.needs_keys else None
        # One for all ports: a client that guesses may ask any of them.
        self._guesses = GuessLimit(access.max_wrong_keys) if access.max_wrong_keys else None
        self.http = self._gate(http_table(), settings.http.restricted, "API")
        self.grpc = self._gate(
            grpc_table(),
            {
                group: (_GRPC_PREFIX + name.lower(), value)
                for group, (name, value) in settings.grpc.restricted.items()
            },
            "protocol",
        )
        # The same API as under the HTTP port.
        self.openai = self._gate(openai_table(), {}, "API")
        # The dashboard leads to what the HTTP port serves, by no easier way.
        self.metrics = self._gate(metrics_table(), settings.http.restricted, "API")

    def _gate(self, routes: RouteTable, restricted: Mapping[str, tuple[str, str]], what: str) -> AccessGate:
        return AccessGate(
            routes,
            restrictions=restricted,
            what=what,
            keys=None if self.keys is None else self.keys.ring,
            guesses=self._guesses,
            without_key=WITHOUT_KEY,
        )
