from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sidebyside import h2load
from sidebyside.h2load import ClientError, Summary
from sidebyside.request_body import PreparedRequest

PRINTED = """\
finished in 26.38ms, 37903.20 req/s, 1.89MB/s
requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 51.06KB (52288) total, 3.52KB (3600) headers (space savings 95.56%), 6.84KB (7000) data
"""
LOG = "1795488018682859\t200\t797\n1795488018682874\t200\t805\n1795488018682879\t-1\t4\n"


@pytest.mark.parametrize(("shown", "seconds"), [("26.38ms", 0.02638), ("2.50s", 2.5), ("900us", 0.0009)])
def test_summary(shown: str, seconds: float) -> None:
    summary = h2load.parse_summary(PRINTED.replace("26.38ms", shown))
    assert summary.wall_s == pytest.approx(seconds)
    assert (summary.num_2xx, summary.data_bytes) == (1000, 7000)


def test_summary_that_is_missing_is_an_error() -> None:
    with pytest.raises(ClientError, match="unrecognized option"):
        h2load.parse_summary("h2load: unrecognized option '--h3'")


def test_log_gives_status_and_latency_of_each_request() -> None:
    statuses, latencies_us = h2load.parse_log(LOG)
    assert statuses.tolist() == [200, 200, -1]
    assert latencies_us.tolist() == [797, 805, 4]


def test_empty_log() -> None:
    statuses, latencies_us = h2load.parse_log("")
    assert statuses.size == latencies_us.size == 0


def test_percentile_is_a_latency_that_was_seen() -> None:
    latencies_us = np.arange(1, 101, dtype=np.int64) * 1000
    np.random.default_rng(1).shuffle(latencies_us)
    assert h2load.percentile_ms(latencies_us, 50) == 50.0
    assert h2load.percentile_ms(latencies_us, 99) == 99.0
    assert h2load.percentile_ms(np.array([7], np.int64), 99) == 0.007


def test_check_accepts_only_all_good_answers_of_the_right_length() -> None:
    good = np.full(4, 200, np.int64)
    h2load.check(Summary(1.0, 4, 40), good, 4, 10)
    with pytest.raises(ClientError, match="3 with a 2xx status"):
        h2load.check(Summary(1.0, 3, 30), np.array([200, 503, 200, 200], np.int64), 4, 10)
    with pytest.raises(ClientError, match="3 ended"):
        h2load.check(Summary(1.0, 3, 30), good[:3], 4, 10)
    # Three messages and a gRPC error, which has HTTP status 200 and no message.
    with pytest.raises(ClientError, match="30 bytes of body, expected 10 each"):
        h2load.check(Summary(1.0, 4, 30), good, 4, 10)


def test_command_is_by_count_and_never_by_time() -> None:
    http = PreparedRequest("http", "http://127.0.0.1:1/x", {"Content-Type": "a/b"}, b"xy", 2)
    line = h2load.command(http, 100, 8, Path("body"), Path("log"))
    assert line[-1] == "http://127.0.0.1:1/x"
    assert line[line.index("-n") + 1] == "100"
    assert line[line.index("-c") + 1] == "8"
    assert line[line.index("-d") + 1] == "body"
    assert line[line.index("-H") + 1] == "Content-Type: a/b"
    assert "--h1" in line
    assert not any(word.startswith(("-D", "--duration")) for word in line)
    grpc = PreparedRequest("grpc", "http://127.0.0.1:1/x", {}, None, 2)
    line = h2load.command(grpc, 100, 8, None, Path("log"))
    assert "--h1" not in line
    assert "-d" not in line
