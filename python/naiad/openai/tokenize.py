"""``/tokenize`` and ``/detokenize``, in vLLM's form."""

from __future__ import annotations

import asyncio

from naiad.openai.catalogue import Catalogue
from naiad.openai.chat_prompt import ChatPrompts, template_variables
from naiad.openai.errors import invalid
from naiad.openai.fields import Fields, Json
from naiad.openai.messages import read_messages
from naiad.openai.sampling import Sampling
from naiad.openai.text_files import decode, encode
from naiad.openai.text_models import TextModels
from naiad.openai.tools import read_tools

_MAX_IDS = 1 << 22


class Tokenizing:
    """Between texts and token ids. The event loop's thread; long texts are cut on another."""

    def __init__(self, catalogue: Catalogue, text_models: TextModels, prompts: ChatPrompts) -> None:
        self._catalogue = catalogue
        self._text_models = text_models
        self._prompts = prompts

    async def tokenize(self, body: Json) -> Json:
        """The ids of a ``prompt``, or of ``messages`` as the chat template renders them. Raises ApiError."""
        fields = Fields(body)
        entry = self._catalogue.named(fields)
        shows_words = fields.boolean("return_token_strs")
        if "messages" in fields:
            special = fields.boolean("add_special_tokens", False)
            conversation = read_messages(fields.required_items("messages"))
            tools = read_tools(fields, Sampling())
            text, _ = await self._prompts.render(
                entry,
                conversation,
                tools,
                variables=template_variables(fields.object("chat_template_kwargs")),
                add_generation_prompt=fields.boolean("add_generation_prompt", True),
            )
        else:
            special = fields.boolean("add_special_tokens", True)
            text = fields.required("prompt")
            if not isinstance(text, str):
                raise invalid("prompt", "'prompt' should be a string")
        fields.finish()
        tokenizer = await self._text_models.needed_tokenizer(entry, "model")
        ids = await asyncio.to_thread(encode, tokenizer, text, special=special)
        files = await self._text_models.of(entry)
        return {
            "count": len(ids),
            "max_model_len": None if files is None else files.limit,
            "tokens": ids,
            "token_strs": [tokenizer.id_to_token(id_) for id_ in ids] if shows_words else None,
        }

    async def detokenize(self, body: Json) -> Json:
        """The text of ``tokens``, special ones too. Raises ApiError."""
        fields = Fields(body)
        entry = self._catalogue.named(fields)
        ids = fields.required_items("tokens")
        fields.finish()
        if len(ids) > _MAX_IDS or not all(type(id_) is int and 0 <= id_ < 2**32 for id_ in ids):
            raise invalid("tokens", f"'tokens' should have at most {_MAX_IDS} token ids")
        tokenizer = await self._text_models.needed_tokenizer(entry, "model")
        return {"prompt": await asyncio.to_thread(decode, tokenizer, ids, "tokens")}
