"""``pb_utils.ModelConfig``: what ``auto_complete_config`` of a model fills in."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

_INPUT_KEYS = ("name", "data_type", "dims", "optional")
_OUTPUT_KEYS = ("name", "data_type", "dims")


class ModelConfig:
    """The configuration so far, to be added to. Contradictions of what it says already are ValueErrors."""

    def __init__(self, model_config: Mapping[str, Any]) -> None:
        """``model_config``: the configuration as the JSON of GET config."""
        self._model_config: dict[str, Any] = copy.deepcopy(dict(model_config))

    def as_dict(self) -> dict[str, Any]:
        """The configuration; not a copy."""
        return self._model_config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        """Raises ValueError when the configuration has a larger one."""
        if not isinstance(max_batch_size, int) or isinstance(max_batch_size, bool) or max_batch_size < 0:
            raise ValueError(f"{self._where()}: max_batch_size must be an int >= 0, got {max_batch_size!r}")
        given = self._model_config["max_batch_size"]
        if given > max_batch_size:
            raise ValueError(
                f"configuration specified max_batch_size {given}, but in {self._where()} specified "
                f"max_batch_size {max_batch_size}"
            )
        self._model_config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        """Turns the dynamic batcher on, with its defaults. Raises ValueError beside another scheduler."""
        for other in ("sequence_batching", "ensemble_scheduling"):
            if other in self._model_config:
                raise ValueError(
                    f"configuration specified {other}, but in {self._where()} tries to set dynamic_batching"
                )
        self._model_config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, transaction_policy_dict: Mapping[str, bool]) -> None:
        """Takes ``{"decoupled": bool}``. Raises ValueError when it changes what is set."""
        if set(transaction_policy_dict) - {"decoupled"}:
            raise ValueError(
                f"model transaction property in {self._where()} contains property other than 'decoupled'."
            )
        decoupled = bool(transaction_policy_dict.get("decoupled", False))
        given = self._model_config.get("model_transaction_policy")
        if given is not None and bool(given.get("decoupled", False)) != decoupled:
            raise ValueError(
                f"trying to change decoupled property in auto-complete-config for model "
                f"'{self._model_config['name']}', which is already set to "
                f"'{bool(given.get('decoupled', False))}'."
            )
        self._model_config["model_transaction_policy"] = {"decoupled": decoupled}

    def add_input(self, input: Mapping[str, Any]) -> None:
        """Adds ``{"name", "data_type", "dims"[, "optional"]}``. Raises ValueError when a property is missing,
        unknown, or differs from what the configuration says.
        """
        self._add("input", input, _INPUT_KEYS)

    def add_output(self, output: Mapping[str, Any]) -> None:
        """Adds ``{"name", "data_type", "dims"}``, as ``add_input``."""
        self._add("output", output, _OUTPUT_KEYS)

    def _add(self, kind: str, tensor: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        name = self._checked(kind, tensor, keys)
        for given in self._model_config[kind]:
            if given.get("name") == name:
                self._merge(kind, given, tensor)
                return
        self._model_config[kind].append(dict(tensor, dims=list(tensor["dims"])))

    def _checked(self, kind: str, tensor: Mapping[str, Any], keys: tuple[str, ...]) -> str:
        if "name" not in tensor:
            raise ValueError(f"{kind} in {self._where()} is missing 'name' property.")
        name = str(tensor["name"])
        if set(tensor) - set(keys):
            listed = ", ".join(f"'{key}'" for key in keys[:-1])
            raise ValueError(
                f"{kind} '{name}' in {self._where()} contains property other than {listed} and '{keys[-1]}'."
            )
        for key in ("data_type", "dims"):
            if key not in tensor:
                raise ValueError(f"{kind} '{name}' in {self._where()} is missing '{key}' property.")
        return name

    def _merge(self, kind: str, given: dict[str, Any], tensor: Mapping[str, Any]) -> None:
        model, name = self._model_config["name"], tensor["name"]
        if given.get("data_type", "TYPE_INVALID") == "TYPE_INVALID":
            given["data_type"] = tensor["data_type"]
        elif given["data_type"] != tensor["data_type"]:
            raise ValueError(
                f"unable to load model '{model}', configuration expects datatype {given['data_type']} for "
                f"{kind} '{name}', model provides {tensor['data_type']}"
            )
        if not given.get("dims"):
            given["dims"] = list(tensor["dims"])
        elif list(given["dims"]) != list(tensor["dims"]):
            raise ValueError(
                f"model '{model}', tensor '{name}': the model expects dims {list(tensor['dims'])} but the "
                f"model configuration specifies dims {list(given['dims'])}"
            )
        if tensor.get("optional"):
            given["optional"] = True

    def _where(self) -> str:
        return f"auto-complete-config function for model '{self._model_config['name']}'"


def get_input_config_by_name(model_config: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The input's part of a configuration (the dict of ``json.loads(args["model_config"])``), or None."""
    return _by_name(model_config, "input", name)


def get_output_config_by_name(model_config: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The output's part of a configuration, or None."""
    return _by_name(model_config, "output", name)


def using_decoupled_model_transaction_policy(model_config: Mapping[str, Any]) -> bool:
    """Whether the configuration says that the model is decoupled."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def _by_name(model_config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any] | None:
    for tensor in model_config.get(kind, ()):
        if tensor["name"] == name:
            found: dict[str, Any] = tensor
            return found
    return None
