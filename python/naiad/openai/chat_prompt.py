"""From a conversation to the prompt of a model: rendered by its chat template, or taken as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naiad.openai.catalogue import Entry
from naiad.openai.errors import ApiError, unsupported
from naiad.openai.fields import Json
from naiad.openai.messages import Conversation
from naiad.openai.sampling import Sampling
from naiad.openai.text_models import TextModels
from naiad.openai.tools import OPEN, Tools


class ChatPrompts:
    """Makes prompts. The event loop's thread."""

    def __init__(self, text_models: TextModels) -> None:
        self._text_models = text_models

    async def prompt(
        self,
        entry: Entry,
        conversation: Conversation,
        tools: Tools,
        sampling: Sampling,
        *,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt of an answer; ``sampling`` is told what goes with it. Raises as ``render``."""
        text, rendered = await self.render(entry, conversation, tools, variables=variables)
        if rendered:
            sampling.default("add_special_tokens", False)  # the template has put them
        # Where the marks of calls are special tokens, they have to be written to be seen.
        if tools.reading == "marked" and OPEN in await self._text_models.special_words(entry):
            sampling.default("skip_special_tokens", False)
        return text

    async def render(
        self,
        entry: Entry,
        conversation: Conversation,
        tools: Tools,
        *,
        variables: Mapping[str, Any] | None = None,
        add_generation_prompt: bool = True,
    ) -> tuple[str, bool]:
        """The prompt, and whether it came out of a template.

        A model without one takes what a single user says, as it is: there is no other honest way to bring
        several messages into one text. Raises ApiError for more than that.
        """
        template = await self._text_models.template(entry)
        if template is None:
            return _plain(entry, conversation, tools, variables), False
        if tools.shown and not template.knows_tools:
            raise unsupported("tools", f"needs a chat template with tools, which '{entry.name}' has not")
        text = template.render(
            conversation.for_template(parts=template.takes_parts, developer=template.knows_developer),
            tools=list(tools.shown) or None,
            add_generation_prompt=add_generation_prompt,
            variables=variables,
        )
        return text, True


def _plain(
    entry: Entry, conversation: Conversation, tools: Tools, variables: Mapping[str, Any] | None
) -> str:
    why = f"needs a model with a chat template, which '{entry.name}' lacks"
    if tools.shown:
        raise unsupported("tools", why)
    if variables:
        raise unsupported("chat_template_kwargs", why)
    if [message.role for message in conversation.messages] != ["user"]:
        raise ApiError(
            400,
            f"'messages' {why}: it takes a single message of the user's",
            param="messages",
            code="unsupported_parameter",
        )
    return conversation.messages[0].text


def template_variables(value: Json | None) -> Json:
    """``chat_template_kwargs``: further variables of the template."""
    own = {"messages", "tools", "documents", "add_generation_prompt"}
    for name in value or {}:
        if name in own:
            raise unsupported(f"chat_template_kwargs.{name}", "is set by the request itself")
    return value or {}
