"""Log probabilities in the two forms of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence

from naiad.openai.fields import Json
from naiad.openai.generation import TokenLogprob

# JSON has no infinity; OpenAI's own word for "as good as never".
_LEAST = -9999.0


def chat_logprobs(tokens: Sequence[TokenLogprob], num_top: int) -> Json:
    """Of chat completions; ``num_top`` of those in the place of each token."""
    content = [
        _entry(each.token, each.logprob)
        | {"top_logprobs": [_entry(token, logprob) for token, logprob in each.top[:num_top]]}
        for each in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob], num_top: int, offset: int) -> Json:
    """Of completions; ``offset``: characters of the answer before these tokens."""
    offsets = []
    for each in tokens:
        offsets.append(offset)
        offset += len(each.token)
    return {
        "tokens": [each.token for each in tokens],
        "token_logprobs": [max(each.logprob, _LEAST) for each in tokens],
        "top_logprobs": [
            {token: max(logprob, _LEAST) for token, logprob in _with_own(each, num_top)} for each in tokens
        ],
        "text_offset": offsets,
    }


def _with_own(each: TokenLogprob, num_top: int) -> list[tuple[str, float]]:
    top = list(each.top[:num_top])
    own = (each.token, each.logprob)
    return top if own in top else [*top, own]


def _entry(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": max(logprob, _LEAST), "bytes": list(token.encode())}
