"""The routes of the OpenAI-compatible API, under the HTTP port and on a port of their own. The file to read
first in this room.

::

    api.py             finds the route, reads the body, turns failures into answers
      chat completions responses    a request becomes a Prompt, deltas become an answer or events
        messages tools sampling       read the request
        chat_prompt text_models       chat template and tokenizer of the model
        generation                    the tensors of a language model, and its responses as deltas
        text_stream                   a stream that the core sends by itself
      embeddings rerank tokenize
        catalogue roles               which model serves what
          engine_requests             the engine
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from naiad.errors import InvalidArgument, NaiadError, Stopping
from naiad.http.answers import json_answer
from naiad.http.body import plain_body, read_body
from naiad.http.coding import request_coding
from naiad.http.relayed import is_relayed
from naiad.openai.catalogue import Catalogue
from naiad.openai.chat import Chat
from naiad.openai.chat_prompt import ChatPrompts
from naiad.openai.completions import Completions
from naiad.openai.embeddings import Embeddings
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import ApiError, api_error, error_answer
from naiad.openai.events import Events, answer_events
from naiad.openai.fields import Json
from naiad.openai.rerank import Reranking
from naiad.openai.responses import Responses
from naiad.openai.text_models import TextModels
from naiad.openai.text_stream import TextStream
from naiad.openai.tokenize import Tokenizing

_MODELS = "/v1/models"
_RESPONSES = "/v1/responses"

_log = logging.getLogger("naiad.openai")

# JSON can spell half of a character, which no text holds.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")

_Answer = Callable[[Json], Awaitable[Json | Events | TextStream]]


class OpenAiApi:
    """Answers requests of OpenAI's clients. The event loop's thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        text_models: TextModels,
        requests: ModelRequests,
        *,
        max_body_bytes: int,
    ) -> None:
        prompts = ChatPrompts(text_models)
        tokenizing = Tokenizing(catalogue, text_models, prompts)
        reranking = Reranking(catalogue, text_models, requests)
        self._catalogue = catalogue
        self._max_body_bytes = max_body_bytes
        self._posts: dict[str, _Answer] = {
            "/v1/chat/completions": Chat(catalogue, prompts, requests).answer,
            "/v1/completions": Completions(catalogue, text_models, requests).answer,
            _RESPONSES: Responses(catalogue, prompts, requests).answer,
            "/v1/embeddings": Embeddings(catalogue, text_models, requests).answer,
            "/rerank": reranking.rerank,
            "/v1/rerank": reranking.rerank,
            "/score": reranking.score,
            "/v1/score": reranking.score,
            "/tokenize": tokenizing.tokenize,
            "/detokenize": tokenizing.detokenize,
        }
        self.num_in_flight = 0
        """Requests that are being answered."""
        self.stopping = False
        """Set once: new requests are refused from then on."""

    def serves(self, path: str) -> bool:
        """Whether ``path`` (percent-encoded, without query) is one of this API's. All below /v1 is."""
        return path in self._posts or path.startswith("/v1/") or path == "/v1"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request whose path it serves, failures too."""
        self.num_in_flight += 1
        try:
            return await self._answer(request)
        except (ApiError, NaiadError) as error:
            return error_answer(api_error(error))
        except web.RequestPayloadError:
            refusal = error_answer(ApiError(400, "malformed request body"))
            refusal.force_close()
            return refusal
        except ConnectionError:
            raise
        except Exception:
            _log.exception("unexpected error while answering %s", request.method)
            return error_answer(ApiError(500, "internal error"))
        finally:
            self.num_in_flight -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path == _MODELS or path.startswith(_MODELS + "/"):
            _check_method(request, "GET")
            name = unquote(path[len(_MODELS) + 1 :])
            return json_answer(self._catalogue.show(name) if name else self._catalogue.list())
        answer = self._posts.get(path)
        if answer is None:
            raise ApiError(404, f"Unknown request URL: {request.method} {path[:200]}", code="unknown_url")
        _check_method(request, "POST")
        if self.stopping:
            raise api_error(Stopping("Server is stopping, it takes no new requests"))
        fields = await self._body(request)
        await self._catalogue.bring(fields.get("model"))
        told = await answer(fields)
        if isinstance(told, dict):
            return json_answer(told)
        if isinstance(told, TextStream):
            if is_relayed(request) and told.can_be_handed_over:
                return told.handed_over()
            told = told.events()
        return await answer_events(request, told, done=path != _RESPONSES)

    async def _body(self, request: web.BaseRequest) -> Json:
        limit = self._max_body_bytes
        coding = request_coding(request.headers.get("Content-Encoding"))
        body = await plain_body(await read_body(request, limit), coding, limit)
        try:
            value = json.loads(body, parse_constant=_no_number)
            if _HALF.search(body):
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise InvalidArgument("the request body is not valid JSON") from None
        if not isinstance(value, dict):
            raise InvalidArgument("the request body should be a JSON object")
        return value


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _check_method(request: web.BaseRequest, method: str) -> None:
    if request.method != method:
        raise ApiError(405, f"Not allowed: {request.method}; use {method}", code="method_not_allowed")
