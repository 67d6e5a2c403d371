from __future__ import annotations

from pathlib import Path

import pytest
from sidebyside import perf_analyzer
from sidebyside.case import Case, all_cases, select_cases
from sidebyside.h2load import ClientError
from sidebyside.request_body import length_prefixed
from sidebyside.server_process import fill_command


def test_every_case_once_and_all_the_asked_for_combinations() -> None:
    cases = all_cases()
    assert len(cases) == len(set(cases)) == len({case.name for case in cases})
    for model in ("identity_native", "identity_py"):
        found = {(c.protocol, c.num_floats, c.concurrency) for c in cases if c.model == model}
        assert found == {(p, n, c) for p in ("http", "grpc") for n in (16, 150_000) for c in (1, 8, 32)}


def test_names_and_sizes() -> None:
    assert Case("identity_py", "grpc", 150_000, 8).name == "identity_py/grpc/600KB/c8"
    assert Case("identity_py", "grpc", 16, 8).size == "64 B"
    assert Case("edge_live", "http", 0, 1).size == "-"


def test_filter_takes_any_of_its_parts() -> None:
    chosen = select_cases("identity_py/http/64B/c1, edge_live/grpc/-/c8")
    assert [case.name for case in chosen] == ["edge_live/grpc/-/c8", "identity_py/http/64B/c1"]
    assert select_cases("") == all_cases()


def test_filter_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no case has 'identiti'"):
        select_cases("edge_live,identiti")


def test_perf_analyzer_cases_are_cases_of_the_bench() -> None:
    assert set(perf_analyzer.CASES) <= set(all_cases())


def test_perf_analyzer_report() -> None:
    header = "Concurrency,Inferences/Second,Client Send,p50 latency,p90 latency,p95 latency,p99 latency"
    result = perf_analyzer.parse_report(f"{header}\n8,14546.6,1,495,766,886,1867")
    assert result == perf_analyzer.AnalyzerResult(14546.6, 0.495, 1.867)
    with pytest.raises(ClientError, match="0 results"):
        perf_analyzer.parse_report(header)


def test_grpc_framing() -> None:
    assert length_prefixed(b"abc") == b"\x00\x00\x00\x00\x03abc"


def test_command_template() -> None:
    template = "serve --repo='{repo}' --p {http} {grpc} -m={metrics}"
    words = fill_command(template, Path("a folder"), [1, 2, 3])
    assert words == ["serve", "--repo=a folder", "--p", "1", "2", "-m=3"]
    with pytest.raises(ValueError, match="{grpc}"):
        fill_command("serve {repo} {http}", Path("x"), [1, 2, 3])
