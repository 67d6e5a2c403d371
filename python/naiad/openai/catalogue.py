"""The models of the repository as this API sees them: ready ones, by name, with what they do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from naiad.config import ModelConfig
from naiad.errors import NaiadError
from naiad.handlers.control import Repository, ServedVersion
from naiad.openai.errors import ApiError
from naiad.openai.fields import Fields, Json
from naiad.openai.roles import Embedder, Generator, Reranker, Role, find_role

_Kind = TypeVar("_Kind", Generator, Embedder, Reranker)
_OWNER = "naiad"
_WORDS: dict[type[Role], str] = {
    Generator: "generates no text: it lacks 'text_input' and 'text_output' of type BYTES",
    Embedder: "makes no embeddings: it should turn one BYTES input into one FP32 vector a row",
    Reranker: "is no reranker: it should turn BYTES inputs 'query' and 'document' into one FP32 score a row",
}


@dataclass(frozen=True)
class Entry:
    """A model that serves this API."""

    served: ServedVersion
    role: Role

    @property
    def name(self) -> str:
        return self.served.name

    @property
    def config(self) -> ModelConfig:
        return self.served.config


class Catalogue:
    """Looks models up. The event loop's thread."""

    def __init__(self, repository: Repository, started: int) -> None:
        """``started``: seconds since 1970, what models show as the time of their making."""
        self._repository = repository
        self._started = started

    async def bring(self, name: object) -> None:
        """Has a model loaded that is loaded on demand, if it is not there. Raises ApiError."""
        if not isinstance(name, str) or not self._repository.must_summon(name):
            return
        try:
            await asyncio.to_thread(self._repository.summon, name)
        except NaiadError as error:
            raise ApiError(503, error.message, param="model", code="model_not_ready") from error

    def named(self, fields: Fields) -> Entry:
        """The model that the field ``model`` names."""
        name = fields.required("model")
        if not isinstance(name, str):
            raise ApiError(400, "'model' should be a string", param="model", code="invalid_value")
        return self.find(name)

    def find(self, name: str) -> Entry:
        """A model by name: 404 when there is none that serves this API, 503 when it is not ready."""
        try:
            served = self._repository.find(name)
        except NaiadError as error:
            if error.code == "UNAVAILABLE":
                raise
            raise _unknown(name) from None
        role = find_role(served.config)
        if role is None:
            raise ApiError(
                404,
                f"The model '{name}' serves none of this API: it is no language model, embedding model or"
                " reranker",
                param="model",
                code="model_not_found",
            )
        if not self._repository.is_ready(name):
            raise ApiError(503, f"The model '{name}' is not ready", param="model", code="model_not_ready")
        return Entry(served, role)

    def list(self) -> Json:
        """All models that are ready and serve this API."""
        names = dict.fromkeys(served.name for served in self._repository.loaded())
        return {"object": "list", "data": [shown for name in sorted(names) if (shown := self._shown(name))]}

    def show(self, name: str) -> Json:
        """One of them."""
        return self._model(self.find(name))

    def _shown(self, name: str) -> Json | None:
        try:
            return self._model(self.find(name))
        except (ApiError, NaiadError):  # gone or not ready by now
            return None

    def _model(self, entry: Entry) -> Json:
        return {"id": entry.name, "object": "model", "created": self._started, "owned_by": _OWNER}


def _unknown(name: str) -> ApiError:
    return ApiError(404, f"The model '{name}' does not exist", param="model", code="model_not_found")


def role_of(entry: Entry, kind: type[_Kind]) -> _Kind:
    """The model's role, of this kind. Refuses a model of another one."""
    if not isinstance(entry.role, kind):
        raise ApiError(
            400, f"The model '{entry.name}' {_WORDS[kind]}", param="model", code="unsupported_model"
        )
    return entry.role
