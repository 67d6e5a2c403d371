"""Versions by policy."""

from __future__ import annotations

import pytest

from naiad.config import AllVersions, LatestVersions, SpecificVersions, VersionPolicy
from naiad.errors import InvalidArgument
from naiad.repository.version_policy import missing_versions, select_versions


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (LatestVersions(1), (10,)),
        (LatestVersions(2), (3, 10)),
        (LatestVersions(9), (1, 3, 10)),
        (AllVersions(), (1, 3, 10)),
        (SpecificVersions((3,)), (3,)),
        (SpecificVersions((10, 1, 7)), (1, 10)),
    ],
)
def test_chosen_versions(policy: VersionPolicy, chosen: tuple[int, ...]) -> None:
    assert select_versions(policy, [10, 1, 3], model_name="m") == chosen


@pytest.mark.parametrize(
    ("policy", "available"),
    [
        (LatestVersions(1), []),
        (LatestVersions(0), [1]),
        (AllVersions(), []),
        (SpecificVersions(()), [1]),
        (SpecificVersions((7,)), [1]),
    ],
)
def test_no_version_left_is_an_error(policy: VersionPolicy, available: list[int]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        select_versions(policy, available, model_name="m")
    assert str(caught.value) == "at least one version must be available under the version policy of model 'm'"


def test_versions_that_are_wanted_and_missing() -> None:
    assert missing_versions(SpecificVersions((7, 1, 5)), [1, 2]) == (5, 7)
    assert missing_versions(LatestVersions(5), [1]) == ()
