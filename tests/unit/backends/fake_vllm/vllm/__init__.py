"""A stand-in for vLLM, as far as the backend uses it: an engine that repeats the words of its prompt.

The first word may be an order: ``!hang`` (no answer comes), ``!break`` (the engine fails at this request),
``!die`` (the engine dies), ``!full`` (it takes no more), ``!wait`` (a pause between tokens).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

__version__ = "0.32.0+fake"


class VLLMClientError(Exception):
    pass


class GracefulHTTPError(Exception):
    pass


class EngineDeadError(Exception):
    pass


class RequestOutputKind(Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclass
class StructuredOutputsParams:
    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    _backend: str | None = field(default=None, init=False)


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    structured_outputs: StructuredOutputsParams | None = None
    logit_bias: dict[int, float] | None = None
    _bad_words_token_ids: list[int] | None = None

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise VLLMClientError(f"temperature must be non-negative, got {self.temperature}.")


@dataclass
class PoolingParams:
    task: str | None = None
    dimensions: int | None = None
    use_activation: bool | None = None


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class AsyncEngineArgs:
    model: str = "m"
    runner: str = "auto"
    convert: str = "auto"
    max_model_len: int | None = None
    served_model_name: str | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    distributed_executor_backend: str | None = None
    enable_lora: bool = False
    generation_config: str = "auto"
    disable_log_stats: bool = False
    enable_log_requests: bool = False
    aggregate_engine_logging: bool = False
    seed: int = 0
    """Here: whether there is a process of the engine."""

    def __post_init__(self) -> None:
        self.parallel_config = SimpleNamespace(placement_group=None)

    def create_logging_config(self) -> object:
        return object()

    def create_engine_config(self, usage_context: object) -> AsyncEngineArgs:
        assert usage_context is not None
        if self.model == "missing":
            raise OSError(f"there is no model '{self.model}'")
        return self


class Renderer:
    """Words are tokens."""

    @dataclass
    class How:
        add_special_tokens: bool = True

        def with_kwargs(self, **kwargs: Any) -> Renderer.How:
            return Renderer.How(**kwargs)

    default_cmpl_tok_params = How()

    async def render_cmpl_async(self, prompts: list[Any], how: Renderer.How) -> list[dict[str, Any]]:
        return [
            {
                "words": (["<s>"] if how.add_special_tokens else []) + prompt["prompt"].split(),
                "images": prompt.get("multi_modal_data", {}).get("image", []),
            }
            for prompt in prompts
        ]


class ModelSettings:
    def get_diff_sampling_param(self) -> dict[str, Any]:
        return {"max_tokens": 3}


class RequestOutput(SimpleNamespace):
    def add(self, later: RequestOutput) -> None:
        """Of one answer."""
        (mine,), (its,) = self.outputs, later.outputs
        mine.text += its.text
        mine.token_ids += its.token_ids
        mine.finish_reason = its.finish_reason
        self.finished = later.finished


class OutputCollector:
    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.output: RequestOutput | None = None

    def put(self, output: RequestOutput | Exception) -> None:
        assert isinstance(output, RequestOutput)  # a failure goes to who has taken this one's place
        if self.output is None:
            self.output = output
        else:
            self.output.add(output)

    def get_nowait(self) -> RequestOutput | None:
        output, self.output = self.output, None
        return output


class AsyncLLM:
    """``running``, ``adapters`` and ``parameters`` are for tests to look at."""

    def __init__(self, arguments: AsyncEngineArgs) -> None:
        self.arguments = arguments
        self.model_config = ModelSettings()
        self.renderer = Renderer()
        self.running: set[str] = set()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.adapters: list[LoRARequest | None] = []
        self.parameters: list[Any] = []
        self.is_dead = False
        self.is_shut_down = False
        self.died = asyncio.Event()
        self.process: Any = None
        self.nodes = _nodes(arguments) if arguments.distributed_executor_backend == "ray" else []
        if arguments.seed:
            self.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1000,))
            self.process.start()
        for collector in [c for c in REGISTRY._collector_to_names if hasattr(c, "of_fake_vllm")]:
            REGISTRY.unregister(collector)
        labels = ["model_name", "engine"]
        values = str(arguments.served_model_name), "0"
        tokens = Counter("vllm:generation_tokens", "Tokens.", labels)
        self.num_running = Gauge("vllm:num_requests_running", "Requests.", labels)
        latency = Histogram("vllm:inter_token_latency_seconds", "Seconds.", labels, buckets=(0.1, 1.0))
        for metric in (tokens, self.num_running, latency):
            metric.of_fake_vllm = True  # type: ignore[attr-defined]
        self.tokens, self.latency = tokens.labels(*values), latency.labels(*values)
        self.gauge = self.num_running.labels(*values)
        self.gauge.set(0)

    @classmethod
    def from_vllm_config(cls, config: AsyncEngineArgs, **_: Any) -> AsyncLLM:
        return cls(config)

    async def get_supported_tasks(self) -> tuple[str, ...]:
        if self.arguments.runner == "pooling":
            return (self.arguments.convert.replace("auto", "embed"),)
        return ("generate",)

    async def reset_mm_cache(self) -> None:
        pass

    @property
    def errored(self) -> bool:
        if self.process is not None and not self.process.is_alive():
            self.is_dead = True
            self.died.set()
        return self.is_dead

    def shutdown(self) -> None:
        self.is_shut_down = True
        if self.process is not None:
            self.process.kill()
            self.process.join()

    async def _begin(self, words: list[str], request_id: str) -> None:
        self.running.add(request_id)
        self.gauge.set(len(self.running))
        order = next((word for word in words if word.startswith("!")), "")
        if order == "!die":
            self.is_dead = True
            self.died.set()
        if self.errored:
            raise EngineDeadError("dead")
        if order == "!break":
            raise RuntimeError("out of luck")
        if order == "!hang":
            await self.died.wait()
            raise EngineDeadError("dead")

    async def add_request(
        self,
        request_id: str,
        prompt: dict[str, Any],
        params: SamplingParams,
        *,
        prompt_text: str,
        lora_request: LoRARequest | None,
    ) -> OutputCollector:
        assert prompt_text is not None
        self.adapters.append(lora_request)
        self.parameters.append(params)
        if "!full" in prompt["words"]:
            raise GracefulHTTPError("the queue is full")
        collector = OutputCollector(request_id)
        self.tasks[request_id] = asyncio.create_task(self._give(collector, prompt, params))
        return collector

    async def abort(self, request_id: str, internal: bool = False) -> None:
        assert internal
        self.tasks[request_id].cancel()

    async def _give(
        self, collector: OutputCollector, prompt: dict[str, Any], parameters: SamplingParams
    ) -> None:
        try:
            async for output in self._outputs(prompt, parameters, collector.request_id):
                collector.put(output)
        except Exception as error:
            collector.put(error)

    async def _outputs(
        self, prompt: dict[str, Any], parameters: SamplingParams, request_id: str
    ) -> AsyncGenerator[Any, None]:
        words = prompt["words"]
        delta = parameters.output_kind is RequestOutputKind.DELTA
        count = parameters.max_tokens or 50
        said = (
            self.nodes + [word for word in words if word[0] not in "!<"] + ["image"] * len(prompt["images"])
        )
        tokens = [f" {said[k % len(said)]}" for k in range(count)] if said else [" nothing"] * count
        try:
            await self._begin(words, request_id)
            for k in range(count) if delta else [count - 1]:
                part = range(k, k + 1) if delta else range(count)
                await asyncio.sleep(0.02 if "!wait" in words else 0)
                if self.errored:
                    raise EngineDeadError("dead")
                self.tokens.inc(len(part))
                self.latency.observe(0.05)
                # The first one of several ends early; what has ended says no more.
                first_end = 1 if delta and parameters.n > 1 else count
                outputs = [
                    self._output(
                        i, [tokens[t] for t in part], k + 1, parameters, k == (first_end, count)[i > 0] - 1
                    )
                    for i in range(parameters.n)
                    if i > 0 or k < first_end
                ]
                yield RequestOutput(
                    outputs=outputs, prompt_token_ids=list(range(len(words))), finished=k == count - 1
                )
        finally:
            self.running.discard(request_id)
            self.gauge.set(len(self.running))

    @staticmethod
    def _output(index: int, tokens: list[str], upto: int, parameters: SamplingParams, ends: bool) -> Any:
        entries = [
            {7: SimpleNamespace(logprob=-0.5, rank=1, decoded_token=token)}
            | {8: SimpleNamespace(logprob=float("-inf"), rank=2, decoded_token="x")}
            for token in tokens
        ]
        return SimpleNamespace(
            index=index,
            text="".join(tokens),
            token_ids=[7] * len(tokens),
            cumulative_logprob=None if parameters.logprobs is None else -0.5 * upto,
            logprobs=None if parameters.logprobs is None else entries,
            finish_reason="length" if ends else None,
        )

    async def encode(
        self, prompt: dict[str, Any], parameters: PoolingParams, request_id: str
    ) -> AsyncGenerator[Any, None]:
        self.parameters.append(parameters)
        try:
            await self._begin(prompt["words"], request_id)
            vector = np.array([len(word) for word in prompt["words"]], np.float32)[: parameters.dimensions]
            tensor = SimpleNamespace(numpy=lambda: vector)
            tensor.float = tensor.cpu = lambda: tensor
            yield SimpleNamespace(
                outputs=SimpleNamespace(data=tensor),
                prompt_token_ids=list(range(len(prompt["words"]))),
                finished=True,
            )
        finally:
            self.running.discard(request_id)


def _nodes(arguments: AsyncEngineArgs) -> list[str]:
    """Starts a worker on each reserved GPU, as vLLM's executor on Ray; on which nodes they are."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    ray.init()  # RAY_ADDRESS says where
    group = arguments.parallel_config.placement_group

    @ray.remote(num_gpus=1, num_cpus=0)
    class Worker:
        def node(self) -> str:
            return str(ray.get_runtime_context().get_node_id())

    workers = [
        Worker.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, number)).remote()
        for number in range(arguments.tensor_parallel_size * arguments.pipeline_parallel_size)
    ]
    return [ray.get(worker.node.remote()) for worker in workers]


def _offer(name: str, **content: Any) -> None:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(content)


_offer("vllm.engine.arg_utils", AsyncEngineArgs=AsyncEngineArgs)
_offer("vllm.exceptions", GracefulHTTPError=GracefulHTTPError, VLLMClientError=VLLMClientError)
_offer("vllm.logger", configure_logging_if_needed=lambda config: None)
_offer("vllm.lora.request", LoRARequest=LoRARequest)
_offer("vllm.platforms", current_platform=SimpleNamespace(is_cpu=lambda: True))
_offer("vllm.pooling_params", PoolingParams=PoolingParams)
_offer("vllm.renderers.inputs.preprocess", parse_model_prompt=lambda config, prompt: prompt)
_offer("vllm.sampling_params", RequestOutputKind=RequestOutputKind, SamplingParams=SamplingParams)
_offer("vllm.usage.usage_lib", UsageContext=SimpleNamespace(OPENAI_API_SERVER="server"))
_offer("vllm.v1.engine.async_llm", AsyncLLM=AsyncLLM)
_offer("vllm.v1.engine.exceptions", EngineDeadError=EngineDeadError)
