"""What the page shows who has which key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from ..integration.conftest import ServerProcess, Start, write_model
from .conftest import NUMBERS, Visitor, check_accessible

Visit = Callable[..., Visitor]
SECRETS = {
    "infer": "a-key-that-may-ask-models",
    "read": "a-key-that-may-look-around",
    "admin": "a-key-for-everything-here",
}


@pytest.fixture(scope="module")
def guarded(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    path = tmp_path_factory.mktemp("guarded")
    (path / "models").mkdir()
    write_model(path / "models", "numbers", NUMBERS)
    keys = path / "keys"
    keys.write_text("".join(f"{scope} {scope} {secret}\n" for scope, secret in SECRETS.items()))
    keys.chmod(0o600)
    return start_server(
        path / "models", f"--api-keys-file={keys}", "--model-control-mode=explicit", "--load-model=numbers"
    )


def enter(visitor: Visitor, scope: str, place: str = "#/", keep: bool = False) -> None:
    page = visitor.open(place)
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_label("Key", exact=True).fill(SECRETS[scope])
    if keep:
        page.get_by_label("Keep it until this tab is closed").check()
    page.get_by_role("button", name="Use this key").click()


def test_without_a_key_nothing_is_shown(guarded: ServerProcess, visit: Visit) -> None:
    visitor = visit(guarded)
    page = visitor.open()
    expect(page.get_by_role("heading", name="An API key is needed")).to_be_visible()
    expect(page.get_by_role("link", name="numbers")).to_have_count(0)
    assert [url for url in visitor.requests if url.endswith(("fleet", "figures"))] == []


def test_who_may_read_looks_and_changes_nothing(guarded: ServerProcess, visit: Visit) -> None:
    visitor = visit(guarded)
    enter(visitor, "read")
    page = visitor.page
    expect(page.get_by_role("link", name="numbers")).to_be_visible()
    expect(page.get_by_role("button", name="Unload numbers")).to_be_hidden()
    page.get_by_role("link", name="numbers").click()
    expect(page.get_by_role("link", name="Try it")).to_be_hidden()
    expect(page.get_by_text("that takes the scope admin")).to_be_visible()


def test_who_may_infer_tries_models_and_sees_no_figures(guarded: ServerProcess, visit: Visit) -> None:
    visitor = visit(guarded)
    enter(visitor, "infer")
    page = visitor.page
    expect(page.get_by_role("heading", name="An API key is needed")).to_be_visible()
    page.get_by_role("link", name="Try a model").click()
    page.get_by_label("Model", exact=True).fill("numbers")
    page.get_by_role("button", name="Open").click()
    page.get_by_label("Values").fill("4 5")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("region", name="Values of OUTPUT0")).to_have_text("4  5")


def test_who_is_admin_may_do_all_and_is_named_in_the_log(guarded: ServerProcess, visit: Visit) -> None:
    visitor = visit(guarded)
    enter(visitor, "admin")
    page = visitor.page
    page.get_by_role("button", name="Unload numbers").click()
    page.get_by_role("dialog").get_by_role("button", name="Unload", exact=True).click()
    page.get_by_role("button", name="Load numbers", exact=True).click()
    expect(page.get_by_role("button", name="Unload numbers")).to_be_visible()
    assert "/ui/api/models/numbers/unload by API key 'admin'" in guarded.log


def test_where_a_key_is_kept(guarded: ServerProcess, visit: Visit) -> None:
    kept = visit(guarded)
    enter(kept, "read", keep=True)
    expect(kept.page.get_by_role("link", name="numbers")).to_be_visible()
    kept.page.reload()
    expect(kept.page.get_by_role("link", name="numbers")).to_be_visible()
    kept.page.get_by_role("button", name="Key", exact=True).click()
    kept.page.get_by_role("button", name="Forget it").click()
    expect(kept.page.get_by_role("heading", name="An API key is needed")).to_be_visible()
    assert kept.page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]

    forgotten = visit(guarded)
    enter(forgotten, "read")
    expect(forgotten.page.get_by_role("link", name="numbers")).to_be_visible()
    forgotten.page.reload()
    expect(forgotten.page.get_by_role("heading", name="An API key is needed")).to_be_visible()
    for visitor in (kept, forgotten):
        assert not any(secret in url for secret in SECRETS.values() for url in visitor.requests)


def test_a_wrong_key_is_told(guarded: ServerProcess, visit: Visit) -> None:
    page = visit(guarded).open()
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_label("Key", exact=True).fill("nobody-has-this-key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("heading", name="An API key is needed")).to_be_visible()
    page.get_by_role("button", name="Key", exact=True).click()
    expect(page.get_by_text("With this key you can do nothing here.")).to_be_visible()
    check_accessible(page)
