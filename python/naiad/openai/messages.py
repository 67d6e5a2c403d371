"""The messages of a conversation: checked, and brought into the form that chat templates read."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from naiad.openai.errors import invalid, unsupported
from naiad.openai.fields import Fields, Json

ROLES = ("system", "developer", "user", "assistant", "tool")
_DATA_URL = re.compile(r"data:image/[a-zA-Z0-9.+-]+;base64,")
Part = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message. ``parts``: text and places of images, in order."""

    role: str
    parts: tuple[Part, ...]
    more: Json = field(default_factory=dict)
    """name, tool_calls, tool_call_id: as templates read them."""

    @property
    def text(self) -> str:
        """All text, a line for each part."""
        return "\n".join(part["text"] for part in self.parts if part["type"] == "text")


@dataclass(frozen=True)
class Conversation:
    """What was said, and the images shown, as base64, in order."""

    messages: tuple[Message, ...]
    images: tuple[str, ...] = ()

    def for_template(self, *, parts: bool, developer: bool) -> list[Json]:
        """``parts``: the template goes through parts; otherwise content is one text. ``developer``: it knows
        that role.
        """
        return [_for_template(message, parts, developer) for message in self.messages]


def read_messages(values: Sequence[Any], param: str = "messages") -> Conversation:
    """Checks messages as chat completions have them. Raises ApiError that names the place."""
    if not values:
        raise invalid(param, f"'{param}' should have at least one message")
    images: list[str] = []
    messages = [_message(value, f"{param}[{index}]", images) for index, value in enumerate(values)]
    return Conversation(tuple(messages), tuple(images))


def _for_template(message: Message, parts: bool, developer: bool) -> Json:
    role = "system" if message.role == "developer" and not developer else message.role
    has_images = any(part["type"] == "image" for part in message.parts)
    content: Any = list(message.parts) if parts or has_images else message.text
    return {"role": role, "content": content, **message.more}


def _message(value: Any, place: str, images: list[str]) -> Message:
    if not isinstance(value, dict):
        raise invalid(place, f"'{place}' should be an object")
    fields = Fields(value, place)
    role = fields.choice("role", ROLES)
    if role is None:
        raise invalid(fields.path("role"), f"'{fields.path('role')}' should be given")
    more: Json = {}
    if (name := fields.string("name")) is not None:
        more["name"] = name
    if role == "assistant":
        calls = fields.items("tool_calls")
        if calls:
            more["tool_calls"] = [
                _tool_call(call, f"{place}.tool_calls[{index}]") for index, call in enumerate(calls)
            ]
        fields.ignore("refusal", "annotations")
        fields.refuse("audio", "function_call")
    if role == "tool":
        more["tool_call_id"] = fields.required("tool_call_id")
    content = fields.any("content")
    if content is None and not (role == "assistant" and "tool_calls" in more):
        raise invalid(fields.path("content"), f"'{fields.path('content')}' should be given")
    fields.finish()
    return Message(role, tuple(_parts(content, fields.path("content"), images)), more)


def _parts(content: Any, place: str, images: list[str]) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise invalid(place, f"'{place}' should be a string or an array of parts")
    return [_part(value, f"{place}[{index}]", images) for index, value in enumerate(content)]


def _part(value: Any, place: str, images: list[str]) -> Part:
    if not isinstance(value, dict):
        raise invalid(place, f"'{place}' should be an object")
    fields = Fields(value, place)
    kind = fields.string("type")
    if kind in ("text", "refusal"):
        text = fields.required(kind)
        if not isinstance(text, str):
            raise invalid(fields.path(kind), f"'{fields.path(kind)}' should be a string")
        return {"type": "text", "text": text}
    if kind == "image_url":
        image = fields.any("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        images.append(image_data(url, fields.path("image_url")))
        return {"type": "image"}
    raise unsupported(place, f"is a part of type {kind!r}; text and image_url are supported")


def image_data(url: Any, place: str) -> str:
    """The base64 of a ``data:`` URL. Nothing is fetched."""
    start = _DATA_URL.match(url) if isinstance(url, str) else None
    if start is None:
        raise unsupported(
            place, "should be a data URL of an image in base64: this server fetches nothing from elsewhere"
        )
    data = url[start.end() :]
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(place, f"'{place}' is not valid base64") from None
    return str(data)


def _tool_call(value: Any, place: str) -> Json:
    """With the arguments as an object, for templates write them as JSON themselves."""
    fields = Fields(value if isinstance(value, dict) else {}, place)
    id_ = fields.string("id")
    fields.only("type", "function")
    function = Fields(fields.object("function") or {}, fields.path("function"))
    name = function.required("name")
    text = function.any("arguments")
    try:
        arguments = json.loads(text) if isinstance(text, str) and text else text or {}
    except ValueError:
        arguments = None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise invalid(place, f"'{place}' should have the name of a function and its arguments as JSON")
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
