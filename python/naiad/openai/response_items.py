"""The items of the Responses API: what goes in becomes messages, what comes out is items."""

from __future__ import annotations

import uuid
from typing import Any

from naiad.openai.errors import invalid, unsupported
from naiad.openai.fields import Fields, Json
from naiad.openai.messages import Conversation, read_messages
from naiad.openai.tools import ToolCall

_TEXT_PARTS = ("input_text", "output_text", "text")


def read_input(value: Any, instructions: str | None) -> Conversation:
    """``input`` and ``instructions`` as a conversation. Raises ApiError that names the place."""
    messages: list[Json] = []
    if instructions is not None:
        messages.append({"role": "system", "content": instructions})
    if isinstance(value, str):
        messages.append({"role": "user", "content": value})
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _add_item(messages, item, f"input[{index}]")
    else:
        raise invalid("input", "'input' should be a string or an array of items")
    return read_messages(messages, "input")


def message_item(id_: str, text: str, status: str, logprobs: list[Json]) -> Json:
    """What the model has said."""
    content = [text_part(text, logprobs)] if status != "in_progress" else []
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": content}


def text_part(text: str, logprobs: list[Json]) -> Json:
    """The text of a message item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def call_item(id_: str, call: ToolCall, status: str = "completed") -> Json:
    """A call that the model wants made."""
    return {
        "id": id_,
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments if status == "completed" else "",
        "status": status,
    }


def new_id(kind: str) -> str:
    """``msg_...``, ``fc_...``, ``resp_...``."""
    return f"{kind}_{uuid.uuid4().hex}"


def _add_item(messages: list[Json], item: Any, place: str) -> None:
    if not isinstance(item, dict):
        raise invalid(place, f"'{place}' should be an object")
    fields = Fields(item, place)
    kind = fields.string("type") or "message"
    fields.ignore("id", "status")
    if kind == "message":
        content = fields.any("content")
        if isinstance(content, list):
            content = [_part(part, f"{place}.content[{index}]") for index, part in enumerate(content)]
        messages.append({"role": fields.string("role"), "content": content})
    elif kind == "function_call":
        call = {
            "id": fields.required("call_id"),
            "type": "function",
            "function": {"name": fields.required("name"), "arguments": fields.required("arguments")},
        }
        # Calls that were made together stand in one message.
        if messages and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        output = fields.required("output")
        messages.append({"role": "tool", "tool_call_id": fields.required("call_id"), "content": output})
    else:
        raise unsupported(place, f"is an item of type {kind!r}, which is not supported")
    fields.finish()


def _part(part: Any, place: str) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXT_PARTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image":
        return {"type": "image_url", "image_url": part.get("image_url")}
    if kind == "refusal":
        return part
    raise unsupported(place, f"is a part of type {kind!r}, which is not supported")
