"""A language model whose engine has its GPUs on two nodes. vLLM is a stand-in that starts workers on Ray's
GPUs as vLLM's executor does, and says on which nodes they are; what says that it is a GPU is none.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from ..integration.conftest import write_model
from .conftest import Deployments

CONFIG = 'backend: "vllm"'


def write(repository: Path, devices: int) -> None:
    write_model(repository, "llm", CONFIG)
    arguments = {"model": "m", "tensor_parallel_size": devices}
    (repository / "llm" / "1" / "model.json").write_text(json.dumps(arguments))


def test_an_engine_over_two_nodes(deployments: Deployments, tmp_path: Path) -> None:
    write(tmp_path, 2)
    with deployments.serving(tmp_path, "--llm-gpus=2", "--cpus-per-replica=1"):
        connection = http.client.HTTPConnection(deployments.http, timeout=120)
        asked = {"text_input": "hello", "sampling_parameters": json.dumps({"max_tokens": 2})}
        connection.request("POST", "/v2/models/llm/generate", json.dumps(asked))
        response = connection.getresponse()
        said = json.loads(response.read())
        connection.close()
        assert response.status == 200, said
        nodes = said["text_output"].removeprefix("hello").split()
        assert len(set(nodes)) == 2
        (replica,) = deployments.replicas()
        # The replica is on the node of the first one.
        assert replica["node_id"] == nodes[0]


def test_other_devices_than_are_reserved(deployments: Deployments, tmp_path: Path) -> None:
    write(tmp_path, 1)
    done = deployments.deploy(tmp_path, "--llm-gpus=2")
    assert done.returncode == 1
    assert "is 1, and 2 GPUs are reserved for the engine (--llm-gpus)" in done.stderr
    deployments.run("shutdown")
