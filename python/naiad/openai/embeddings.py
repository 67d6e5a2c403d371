"""``/v1/embeddings``, by any model that turns texts into vectors."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.openai.catalogue import Catalogue, Entry, role_of
from naiad.openai.completions import read_texts
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import ApiError, invalid
from naiad.openai.fields import Fields, Json
from naiad.openai.roles import Embedder
from naiad.openai.rows import in_parts, num_tokens, text_rows
from naiad.openai.text_models import TextModels


class Embeddings:
    """Makes vectors of texts. The event loop's thread."""

    def __init__(self, catalogue: Catalogue, text_models: TextModels, requests: ModelRequests) -> None:
        self._catalogue = catalogue
        self._text_models = text_models
        self._requests = requests

    async def answer(self, body: Json) -> Json:
        """All vectors, in the order of the texts. Raises ApiError, NaiadError."""
        fields = Fields(body)
        entry = self._catalogue.named(fields)
        embedder = role_of(entry, Embedder)
        texts, _ = await read_texts(self._text_models, entry, fields.required("input"), "input")
        if not all(texts):
            raise invalid("input", "'input' should have no empty text")
        form = fields.choice("encoding_format", ("float", "base64")) or "float"
        dimensions = fields.integer("dimensions", 1)
        fields.ignore("user")
        fields.finish()
        vectors = await self._vectors(entry, embedder, texts)
        if dimensions is not None:
            vectors = _cut(vectors, dimensions)
        tokens = await num_tokens(self._text_models, entry, texts)
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _shown(vector, form)}
                for index, vector in enumerate(vectors)
            ],
            "model": entry.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    async def _vectors(self, entry: Entry, embedder: Embedder, texts: list[str]) -> NDArray[np.float32]:
        parts = in_parts(texts, embedder.max_rows)
        answers = await asyncio.gather(
            *(
                self._requests.infer(
                    entry.name,
                    {embedder.input: text_rows(part, embedder.form == "column")},
                    embedder.output,
                )
                for part in parts
            )
        )
        if embedder.form == "single":
            answers = [answer.reshape(1, -1) for answer in answers]
        for part, answer in zip(parts, answers, strict=True):
            if answer.ndim != 2 or len(answer) != len(part):
                raise ApiError(
                    500,
                    f"the model '{entry.name}' gave '{embedder.output}' of shape {list(answer.shape)} for"
                    f" {len(part)} texts, expected [{len(part)}, dimensions]",
                )
        return np.concatenate(answers)


def _cut(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first so many dimensions, brought to length 1 again, as OpenAI does for its models."""
    if dimensions > vectors.shape[1]:
        raise invalid("dimensions", f"'dimensions' should be at most {vectors.shape[1]}, what the model has")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(cut, lengths, out=np.zeros_like(cut), where=lengths > 0)
    return scaled


def _shown(vector: NDArray[np.float32], form: str) -> Any:
    if form == "base64":
        return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()
    return vector.tolist()
