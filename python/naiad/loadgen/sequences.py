"""Requests in their order: alone, or in sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

from naiad.loadgen.scenario import Scenario
from naiad.loadgen.wire import grpc_in_sequence, http_in_sequence


class Alone:
    """Requests that have nothing to do with each other."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._all = cycle(requests)

    def take(self) -> Iterator[bytes]:
        """Where a slot of the load has its requests from."""
        return self._all

    def give_back(self, requests: Iterator[bytes]) -> None:
        """The slot waits, or is gone."""

    def failed(self, requests: Iterator[bytes]) -> None:
        """The last one of them."""

    def end(self) -> list[Iterator[bytes]]:
        """Nothing is open."""
        return []


class Sequences:
    """Each slot has one of its own, and after it the next one."""

    def __init__(self, scenario: Scenario) -> None:
        self.length = scenario.sequence_length
        self.requests = scenario.requests
        self.ended = False
        """No sequence begins any more, and those that have begun end with their next request."""
        self.encode = http_in_sequence if scenario.protocol == "http" else grpc_in_sequence
        self._next_id = scenario.first_sequence
        self._step = scenario.sequence_step
        self._waiting: list[Iterator[bytes]] = []

    def new_id(self) -> int:
        """Used by no other sequence, of no process."""
        given = self._next_id
        self._next_id += self._step
        return given

    def take(self) -> Iterator[bytes]:
        """The sequence that waits for the shortest time, or another one."""
        return self._waiting.pop() if self._waiting else OneByOne(self)

    def give_back(self, requests: Iterator[bytes]) -> None:
        """It waits for a slot."""
        self._waiting.append(requests)

    def failed(self, requests: Iterator[bytes]) -> None:
        """The sequence begins anew."""
        assert isinstance(requests, OneByOne)
        requests.begin_anew()

    def end(self) -> list[Iterator[bytes]]:
        """From now on they come to their end; gives those that wait."""
        self.ended = True
        waiting, self._waiting = self._waiting, []
        return waiting


class OneByOne:
    """The requests of one sequence, then of the next one, without an end until ``Sequences.end``."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences
        self._sent = 0
        self._id = 0
        """0: the next sequence takes a new one."""
        self._last_id = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        sequences, sent = self._sequences, self._sent
        if sent == 0:
            if sequences.ended:
                raise StopIteration
            self._id = self._last_id = self._id or sequences.new_id()
        last = sequences.ended or sent == sequences.length - 1
        request = sequences.requests[sent % len(sequences.requests)]
        encoded = sequences.encode(request, self._id, sent == 0, last)
        if last:
            self._sent = self._id = 0
        else:
            self._sent = sent + 1
        return encoded

    def begin_anew(self) -> None:
        """With the same id, so that the server does not keep the part that it has until it is stale."""
        self._id, self._sent = self._last_id, 0


def requests_of(scenario: Scenario) -> Alone | Sequences:
    """What its slots send."""
    return Sequences(scenario) if scenario.sequence_length else Alone(scenario.requests)
