"""``/v1/rerank`` and ``/v1/score``, by any model that scores documents for a query."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.openai.catalogue import Catalogue, Entry, role_of
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import ApiError, invalid
from naiad.openai.fields import Fields, Json
from naiad.openai.roles import Reranker
from naiad.openai.rows import in_parts, num_tokens, text_rows
from naiad.openai.text_models import TextModels

_MAX_DOCUMENTS = 10_000


class Reranking:
    """Orders documents and scores pairs of texts. The event loop's thread."""

    def __init__(self, catalogue: Catalogue, text_models: TextModels, requests: ModelRequests) -> None:
        self._catalogue = catalogue
        self._text_models = text_models
        self._requests = requests

    async def rerank(self, body: Json) -> Json:
        """The documents from the best on, in the form of Jina and Cohere. Raises ApiError, NaiadError."""
        fields = Fields(body)
        entry = self._catalogue.named(fields)
        reranker = role_of(entry, Reranker)
        query = _text(fields.required("query"), "query")
        values = _not_too_many(fields.required_items("documents"), "documents")
        documents = [_text(value, f"documents[{index}]") for index, value in enumerate(values)]
        top_n = fields.integer("top_n", 1) or len(documents)
        return_documents = fields.boolean("return_documents", True)
        fields.ignore("user")
        fields.refuse("rank_fields", "max_chunks_per_doc", "max_tokens_per_doc", "truncate_prompt_tokens")
        fields.finish()
        scores = await self._scores(entry, reranker, [query] * len(documents), documents)
        # Of equal ones the earlier document comes first.
        order = np.argsort(-scores, kind="stable")[:top_n]
        results = []
        for index in order:
            result: Json = {"index": int(index), "relevance_score": float(scores[index])}
            if return_documents:
                result["document"] = {"text": documents[index]}
            results.append(result)
        tokens = await num_tokens(self._text_models, entry, [query, *documents])
        return {
            "id": f"rerank-{uuid.uuid4().hex}",
            "model": entry.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "results": results,
        }

    async def score(self, body: Json) -> Json:
        """A score for each pair, in vLLM's form: one text with each of many, or many with as many."""
        fields = Fields(body)
        entry = self._catalogue.named(fields)
        reranker = role_of(entry, Reranker)
        first, second = _texts(fields, "text_1"), _texts(fields, "text_2")
        if len(first) == 1:
            first *= len(second)
        if len(first) != len(second):
            raise invalid("text_2", f"'text_1' has {len(first)} texts and 'text_2' has {len(second)}")
        fields.ignore("user")
        fields.only("encoding_format", "float")
        fields.refuse("truncate_prompt_tokens")
        fields.finish()
        scores = await self._scores(entry, reranker, first, second)
        tokens = await num_tokens(self._text_models, entry, [*first, *second])
        return {
            "id": f"score-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": entry.name,
            "data": [
                {"index": index, "object": "score", "score": float(score)}
                for index, score in enumerate(scores)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    async def _scores(
        self, entry: Entry, reranker: Reranker, queries: Sequence[str], documents: Sequence[str]
    ) -> NDArray[np.float32]:
        pairs = list(zip(queries, documents, strict=True))
        if reranker.repeats_query or len(set(queries)) == 1:
            parts = in_parts(pairs, reranker.max_rows)
        else:
            parts = [[pair] for pair in pairs]
        answers = await asyncio.gather(*(self._part(entry, reranker, part) for part in parts))
        return np.concatenate(answers)

    async def _part(
        self, entry: Entry, reranker: Reranker, pairs: Sequence[tuple[str, str]]
    ) -> NDArray[np.float32]:
        column = reranker.batched
        queries = [query for query, _ in (pairs if reranker.repeats_query else pairs[:1])]
        inputs = {
            reranker.query: text_rows(queries, column),
            reranker.document: text_rows([document for _, document in pairs], column),
        }
        scores: NDArray[Any] = (await self._requests.infer(entry.name, inputs, reranker.output)).reshape(-1)
        if len(scores) != len(pairs):
            raise ApiError(
                500, f"the model '{entry.name}' gave {len(scores)} scores for {len(pairs)} documents"
            )
        return scores


def _not_too_many(values: list[Any], param: str) -> list[Any]:
    if not 1 <= len(values) <= _MAX_DOCUMENTS:
        raise invalid(param, f"'{param}' should have 1 to {_MAX_DOCUMENTS} texts")
    return values


def _text(value: Any, param: str) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text:
        raise invalid(param, f"'{param}' should be a text that is not empty, or an object with a 'text'")
    return text


def _texts(fields: Fields, name: str) -> list[str]:
    value = fields.required(name)
    values = _not_too_many(value if isinstance(value, list) else [value], name)
    return [_text(each, name) for each in values]
