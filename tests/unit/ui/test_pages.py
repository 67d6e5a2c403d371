"""The files of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

import naiad.ui.pages as pages
from naiad.ui.pages import Pages

FOLDER = Path(pages.__file__).parent / "static"
FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_its_type_and_bound(name: str) -> None:
    response = Pages().answer(make_mocked_request("GET", "/"), name)
    assert response is not None
    assert response.body == (FOLDER / name).read_bytes()
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" in response.headers
    again = Pages().answer(
        make_mocked_request("GET", "/", headers={"If-None-Match": response.headers["ETag"]}), name
    )
    assert again is not None
    assert (again.status, again.body) == (304, None)


@pytest.mark.parametrize("name", ["", ".", "..", "../pages.py", "pages.py", "/etc/passwd", "nothing.js"])
def test_nothing_else_is(name: str) -> None:
    assert Pages().answer(make_mocked_request("GET", "/"), name) is None


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_or_makes_html_of_text(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert set(re.findall(r"https?://[a-z0-9.]+", text)) <= {"http://www.w3.org"}
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=", text
    )


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_modules_import_what_is_there(name: str) -> None:
    text = (FOLDER / name).read_text()
    for names, module in re.findall(r"(?:import|export) \{([^}]*)\} from \"\./([^\"]+)\"", text):
        exported = (FOLDER / module).read_text()
        for each in filter(None, (part.strip() for part in names.split(","))):
            assert re.search(
                rf"export (?:async )?(?:function\*? |class |const |\{{[^}}]*\b){each}\b", exported
            ), (module, each)
    assert len(text.splitlines()) <= 400
