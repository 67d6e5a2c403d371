"""Which model serves what."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.openai.catalogue import Catalogue, role_of
from naiad.openai.errors import ApiError
from naiad.openai.roles import Embedder, Generator, Reranker, find_role

from .conftest import FULL, FakeRepository, config, entry, language, tensor

TEXT = tensor("TEXT", "STRING", "1")


def model(inputs: list[str], outputs: list[str], more: str = "max_batch_size: 4") -> Any:
    return config(f"input [ {', '.join(inputs)} ]\noutput [ {', '.join(outputs)} ]\n{more}")


def test_language_models() -> None:
    assert find_role(FULL) == Generator()
    assert find_role(language()) == Generator()
    needs_more = model([tensor("text_input", "STRING", "1"), tensor("x", "FP32", "1")],
                       [tensor("text_output", "STRING", "1")])  # fmt: skip
    assert find_role(needs_more) is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "more", "expected"),
    [
        ([TEXT], [tensor("v", "FP32", "3")], "max_batch_size: 4", Embedder("TEXT", "v", "column", 4)),
        ([tensor("t", "STRING", "-1")], [tensor("v", "FP32", "-1, 3")], "", Embedder("t", "v", "row", 0)),
        ([tensor("t", "STRING", "-1, 1")], [tensor("v", "FP32", "-1, 3")], "",
         Embedder("t", "v", "column", 0)),
        ([TEXT], [tensor("v", "FP32", "-1")], "", Embedder("TEXT", "v", "single", 1)),
        ([TEXT], [tensor("probabilities", "FP32", "-1")], "", None),
        ([TEXT], [tensor("a", "FP32", "3"), tensor("embedding", "FP32", "3")], "max_batch_size: 4",
         Embedder("TEXT", "embedding", "column", 4)),
        ([TEXT], [tensor("a", "FP32", "3"), tensor("b", "FP32", "3")], "max_batch_size: 4", None),
        ([TEXT], [tensor("score", "FP32", "1")], "max_batch_size: 4", None),
        ([TEXT], [tensor("v", "INT64", "3")], "max_batch_size: 4", None),
        ([tensor("i", "FP32", "3")], [tensor("v", "FP32", "3")], "max_batch_size: 4", None),
    ],
)  # fmt: skip
def test_embedders(inputs: list[str], outputs: list[str], more: str, expected: object) -> None:
    assert find_role(model(inputs, outputs, more)) == expected


def test_rerankers() -> None:
    pair = [tensor("QUERY", "STRING", "1"), tensor("document", "STRING", "1")]
    found = find_role(model(pair, [tensor("s", "FP32", "1")]))
    assert found == Reranker("QUERY", "document", "s", True, 4, True)
    lists = [tensor("query", "STRING", "1"), tensor("documents", "STRING", "-1")]
    found = find_role(model(lists, [tensor("scores", "FP32", "-1")], ""))
    assert found == Reranker("query", "documents", "scores", False, 0, False)
    assert find_role(model(lists, [tensor("scores", "FP32", "1")], "")) is None


def test_a_parameter_decides() -> None:
    task = 'parameters {{ key: "openai_task" value {{ string_value: "{}" }} }}'
    more = "max_batch_size: 4\n"
    assert find_role(model([TEXT], [tensor("v", "FP32", "3")], more + task.format("none"))) is None
    assert find_role(model([TEXT], [tensor("v", "FP32", "3")], more + task.format("rerank"))) is None
    assert find_role(model([TEXT], [tensor("v", "FP32", "3")], more + task.format("embed"))) is not None


def test_the_catalogue() -> None:
    numbers = config(f"input [ {tensor('I', 'FP32', '1')} ] output [ {tensor('O', 'FP32', '1')} ]")
    repository: Any = FakeRepository({"m": FULL, "numbers": numbers})
    catalogue = Catalogue(repository, 5)
    shown = {"id": "m", "object": "model", "created": 5, "owned_by": "naiad"}
    assert catalogue.list() == {"object": "list", "data": [shown]}
    assert catalogue.show("m") == shown
    for name in ("nobody", "numbers"):
        with pytest.raises(ApiError) as caught:
            catalogue.find(name)
        assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    repository.ready = False
    assert catalogue.list()["data"] == []
    with pytest.raises(ApiError) as caught:
        catalogue.find("m")
    assert caught.value.status == 503
    with pytest.raises(ApiError, match="is no reranker"):
        role_of(entry(), Reranker)
