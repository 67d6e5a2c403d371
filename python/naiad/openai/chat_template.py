"""Chat templates: rendered by jinja2 as transformers renders them, in a sandbox."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from naiad.openai.errors import ApiError

if TYPE_CHECKING:
    from jinja2 import Template, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MISSING = "chat templates need jinja2, which is not installed here: pip install 'naiad[openai]'"

Message = dict[str, Any]


class ChatTemplate:
    """A template of one model, compiled. Any thread."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """``special_tokens``: bos_token, eos_token ... as the template names them. Raises ApiError when
        jinja2 is not there or the template is not one.
        """
        try:
            from jinja2 import TemplateError
        except ImportError:
            raise ApiError(501, MISSING, code="missing_dependency") from None
        environment = _environment()
        try:
            self._template: Template = environment.from_string(source)
            self.takes_parts = _loops_over_content(environment.parse(source))
        except TemplateError as error:
            raise ApiError(500, f"the model's chat template is not valid: {error}") from None
        self._special_tokens = dict(special_tokens)
        self.knows_developer = "developer" in source
        """Whether it tells the role ``developer`` apart from ``system``."""
        self.knows_tools = "tools" in source

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt. What the template raises is a fault of the request: 400."""
        from jinja2 import TemplateError

        try:
            return self._template.render(
                {
                    **self._special_tokens,
                    **(variables or {}),
                    "messages": messages,
                    "tools": tools,
                    "documents": None,
                    "add_generation_prompt": add_generation_prompt,
                }
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise ApiError(400, f"the model's chat template refuses: {error}", param="messages") from None


def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}``: marks what the model itself says, which only training asks for."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        # jinja2's own escapes characters of HTML.
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def _loops_over_content(tree: nodes.Template) -> bool:
    """Whether the template goes through the parts of a message's content. Others want one text."""
    from jinja2 import nodes

    def is_content(node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getattr):
            return node.attr == "content"
        if isinstance(node, nodes.Getitem):
            return isinstance(node.arg, nodes.Const) and node.arg.value == "content"
        return isinstance(node, nodes.Name) and node.name == "content"

    return any(is_content(loop.iter) for loop in tree.find_all(nodes.For))
