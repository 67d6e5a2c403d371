from __future__ import annotations

import threading

from naiad.scaling.residents import Resident


def test_one_that_nobody_uses_ends_at_once_and_once() -> None:
    ended: list[str] = []
    resident = Resident("m", ended.append)
    resident.__del__()
    resident.__del__()
    assert ended == ["m"]


def test_it_ends_after_its_last_request() -> None:
    ended = threading.Event()
    resident = Resident("m", lambda name: ended.set())
    first, second = resident.in_use(), resident.in_use()
    first.__enter__()
    second.__enter__()
    thread = threading.Thread(target=resident.__del__)
    thread.start()
    first.__exit__(None, None, None)
    assert not ended.wait(0.05)
    second.__exit__(None, None, None)
    assert ended.wait(30)
    thread.join(30)
