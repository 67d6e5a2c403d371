"""Values of options: from the text of a flag to what the settings hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import typer

from naiad.cli.triton_flags import FALSE_WORDS, TRUE_WORDS
from naiad.errors import InvalidArgument
from naiad.planning.model_size import bytes_of
from naiad.settings import (
    ALL_TOGETHER,
    EVERY_DEVICE,
    HostPolicy,
    OpenAiSettings,
    TlsSettings,
    read_core_list,
)


def refuse(reason: str, flag: str) -> NoReturn:
    """Ends the command: the value of that flag is of no use."""
    raise typer.BadParameter(reason, param_hint=flag)


@dataclass(frozen=True, slots=True)
class Switch:
    """A flag that takes true or false. (Of a plain bool typer makes a flag without a value.)"""

    on: bool

    def __str__(self) -> str:
        return str(self.on).lower()


def switch(text: str | Switch) -> Switch:
    """true, 1, on, false, 0, off in any case."""
    if isinstance(text, Switch):
        return text
    word = text.lower()
    if word in TRUE_WORDS:
        return Switch(True)
    if word in FALSE_WORDS:
        return Switch(False)
    raise typer.BadParameter(f"'{text}' should be true or false")


def backend_config(entries: Sequence[str], *, directory: str = "") -> dict[str, dict[str, str]]:
    """``name,key=value`` or ``key=value`` (for all backends, under ""); ``directory``: where backends lie."""
    config: dict[str, dict[str, str]] = {"": {"backend-directory": directory}} if directory else {}
    for entry in entries:
        head, equals, value = entry.partition("=")
        name, comma, key = head.partition(",")
        if not comma:
            name, key = "", head
        if not equals or not key:
            raise typer.BadParameter(
                f"'{entry}' should be <backend>,<key>=<value>", param_hint="--backend-config"
            )
        config.setdefault(name, {})[key] = value
    return config


def repositories(entries: Sequence[str]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Directories, and addresses of repositories elsewhere, each in their order."""
    local = tuple(Path(entry) for entry in entries if "://" not in entry)
    return local, tuple(entry for entry in entries if "://" in entry)


def rate_limit_resources(entries: Sequence[str]) -> dict[tuple[str, int], int]:
    """``name:count[:device]``; a device is the number of a GPU, or ``global``."""
    limits: dict[tuple[str, int], int] = {}
    for entry in entries:
        name, *rest = entry.split(":")
        if not name or not 1 <= len(rest) <= 2 or not rest[0].isdecimal():
            raise typer.BadParameter(
                f"'{entry}' should be <name>:<count>[:<device>]", param_hint="--rate-limit-resource"
            )
        device = EVERY_DEVICE
        if len(rest) == 2:
            if rest[1] != "global" and not rest[1].isdecimal():
                raise typer.BadParameter(
                    f"the device '{rest[1]}' should be a number or 'global'",
                    param_hint="--rate-limit-resource",
                )
            device = ALL_TOGETHER if rest[1] == "global" else int(rest[1])
        limits[name, device] = int(rest[0])
    return limits


def host_policies(entries: Sequence[str]) -> dict[str, HostPolicy]:
    """``name,numa-node=N`` and ``name,cpu-cores=0-3,8``; what is said of one name goes together."""
    nodes: dict[str, int] = {}
    cores: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        name, _, setting = entry.partition(",")
        key, _, value = setting.partition("=")
        numbers = read_core_list(value)
        if not name or key not in ("numa-node", "cpu-cores"):
            _refuse_policy(entry, "<name>,numa-node=<node> or <name>,cpu-cores=<cores>")
        if numbers is None or (key == "numa-node" and not value.isdecimal()):
            _refuse_policy(
                entry, "a number of a node" if key == "numa-node" else "numbers of cores, as in 0-3,8"
            )
        if key == "numa-node":
            nodes[name] = int(value)
        else:
            cores[name] = numbers
    return {name: HostPolicy(cores.get(name, ()), nodes.get(name)) for name in {**nodes, **cores}}


def _refuse_policy(entry: str, expected: str) -> NoReturn:
    refuse(f"'{entry}' should be {expected}", "--host-policy")


@dataclass(frozen=True, slots=True)
class TlsFlags:
    """The flags of TLS of one protocol, as they were given. Triton has those of gRPC."""

    protocol: str
    """The first word of their names."""
    use: Switch
    mutual: Switch
    """Includes ``use``, as with Triton."""
    certificate: str
    key: str
    root: str

    def settings(self) -> TlsSettings | None:
        """None: plain. Flags that would do nothing, and those that lack others, are refused by name."""
        mutual, use = self.mutual.on, self.use.on or self.mutual.on
        switched_on_by = self._name("use-ssl-mutual" if mutual else "use-ssl")
        for part, given in (("server-cert", self.certificate), ("server-key", self.key)):
            if given and not use:
                self._refuse(f"needs {self._name('use-ssl')}", part)
            if use and not given:
                self._refuse(f"is needed with {switched_on_by}", part)
        if self.root and not mutual:
            self._refuse(f"needs {self._name('use-ssl-mutual')}", "root-cert")
        if mutual and not self.root:
            self._refuse(f"is needed with {switched_on_by}", "root-cert")
        if not use:
            return None
        return TlsSettings(Path(self.certificate), Path(self.key), Path(self.root) if mutual else None)

    def _name(self, part: str) -> str:
        return f"--{self.protocol}-{part}"

    def _refuse(self, reason: str, part: str) -> NoReturn:
        refuse(reason, self._name(part))


def openai_settings(
    address: str | None, port: int | None, http_address: str, http_tls: TlsFlags
) -> OpenAiSettings:
    """``--openai-address`` and ``--openai-port``. The port is plain: with TLS for HTTP it is refused."""
    if port is None:
        if address is not None:
            refuse("needs --openai-port", "--openai-address")
        return OpenAiSettings()
    if http_tls.use.on or http_tls.mutual.on:
        raise typer.BadParameter(
            "cannot be combined with TLS; the OpenAI API is served over TLS under the HTTP port",
            param_hint="--openai-port",
        )
    return OpenAiSettings(http_address if address is None else address, port)


def memory_limit(text: str) -> int:
    """``16GB``, ``600 MiB``; "" is no limit."""
    if not text:
        return 0
    try:
        size = int(bytes_of(text))
    except InvalidArgument as error:
        raise typer.BadParameter(error.message, param_hint="--model-memory-limit") from None
    if size <= 0:
        raise typer.BadParameter("should be more than nothing", param_hint="--model-memory-limit")
    return size


def gpu_pool_sizes(entries: Sequence[str] | None) -> dict[int, int]:
    """``device:bytes``; of a device that is said twice the last one counts, as with Triton."""
    sizes: dict[int, int] = {}
    for entry in entries or ():
        device, _, size = entry.partition(":")
        if not (entry.isascii() and device.isdecimal() and size.isdecimal()) or int(size[:20]) >= 1 << 63:
            raise typer.BadParameter(
                f"'{entry}' should be <device>:<bytes>, two integers that are not negative",
                param_hint="--cuda-memory-pool-byte-size",
            )
        sizes[int(device)] = int(size)
    return sizes


def gpu_limits(entries: Sequence[str]) -> dict[int, float]:
    """``device:fraction``, of each device once."""
    limits: dict[int, float] = {}
    for entry in entries:
        device, _, text = entry.partition(":")
        try:
            fraction = float(text)
        except ValueError:
            fraction = -1.0
        if not device.isdecimal() or not 0 <= fraction <= 1 or int(device) in limits:
            raise typer.BadParameter(
                f"'{entry}' should be <device>:<fraction>, a fraction from 0 to 1 for each GPU",
                param_hint="--model-load-gpu-limit",
            )
        limits[int(device)] = fraction
    return limits
