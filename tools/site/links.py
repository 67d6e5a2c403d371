"""For the site: links from docs/ to files that are no pages become the files' names.

In the repository they lead to the sources; the site has only what is in docs/.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

_CODE_OR_LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`(?!\]))|\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)", re.M | re.S
)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """mkdocs calls it with the text of each page."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(match: re.Match[str]) -> str:
        if match["code"] is not None:
            return match[0]
        path = match["target"].partition("#")[0]
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        if files.get_file_from_path(posixpath.normpath(posixpath.join(folder, path))) is not None:
            return match[0]
        label = match["label"]
        name = posixpath.normpath(posixpath.join("docs", folder, path))
        return label if name.endswith(label.strip("`")) else f"{label} (`{name}`)"

    return _CODE_OR_LINK.sub(shown, markdown)
