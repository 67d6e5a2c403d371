"""Which of the versions that are there are served."""

from __future__ import annotations

from collections.abc import Iterable

from naiad.config import AllVersions, LatestVersions, SpecificVersions, VersionPolicy
from naiad.errors import InvalidArgument


def select_versions(policy: VersionPolicy, available: Iterable[int], *, model_name: str) -> tuple[int, ...]:
    """The versions to serve, ascending. Raises InvalidArgument when the policy leaves none.

    A specific version that is not there is passed over as long as another one is.
    """
    versions = sorted(set(available))
    match policy:
        case AllVersions():
            chosen = versions
        case SpecificVersions(wanted):
            chosen = [version for version in versions if version in wanted]
        case LatestVersions(count):
            chosen = versions[-count:] if count > 0 else []
    if not chosen:
        raise InvalidArgument(
            f"at least one version must be available under the version policy of model '{model_name}'"
        )
    return tuple(chosen)


def missing_versions(policy: VersionPolicy, available: Iterable[int]) -> tuple[int, ...]:
    """Versions which the policy names and which are not there, for a warning."""
    if not isinstance(policy, SpecificVersions):
        return ()
    return tuple(sorted(set(policy.versions) - set(available)))
