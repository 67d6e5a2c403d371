"""The fleet at a glance, and the page of a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from ..integration.conftest import ServerProcess, Start
from .conftest import Visitor, check_accessible, infer

Visit = Callable[..., Visitor]
VIEWS = ["#/", "#/models/pipeline", "#/try", "#/try/pictures", "#/try/language"]


def row(page: Page, model: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=model, exact=True))


def tile(page: Page, name: str) -> Locator:
    return page.get_by_role("term").filter(has_text=name).locator("xpath=..")


def settled(page: Page, view: str) -> None:
    """Waits until a view shows what it shows."""
    page.get_by_role("heading", level=1).wait_for()
    if view.startswith("#/try/"):
        page.get_by_role("button", name=re.compile("^(Run|Send)$")).first.wait_for()
    elif view == "#/try":
        page.get_by_role("link", name="pictures").wait_for()
    else:
        # The second reading, of which the charts are made.
        page.locator("path.line[d^=M]").first.wait_for(state="attached")


def test_models_with_versions_states_and_instances(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open()
    expect(row(page, "pipeline")).to_contain_text("ready")
    expect(row(page, "pipeline")).to_contain_text("v1")
    expect(row(page, "pictures")).to_contain_text("2 CPU")
    expect(row(page, "broken")).to_contain_text("failed")
    expect(row(page, "plain")).to_contain_text("not loaded")
    expect(tile(page, "Models ready")).to_contain_text("of 9")
    expect(page.get_by_role("status").first).to_have_text("Live")


def test_load_is_drawn_and_told(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open()
    settled(page, "#/")
    infer(ui_server, "pipeline", "RAW", 30)
    expect(tile(page, "Requests")).to_contain_text(re.compile(r"[1-9][\d.]*/s over"))
    chart = page.get_by_role("img", name=re.compile(r"^Throughput, the last 5 min.*pipeline: now"))
    expect(chart).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^Latency.*p99: now .*(µs|ms)"))).to_be_visible()
    expect(page.get_by_role("figure", name="Batch sizes").get_by_role("listitem").first).to_contain_text(
        "rows 1"
    )
    # The same figures as a table.
    throughput = page.get_by_role("figure", name="Throughput")
    throughput.locator("summary").click()
    expect(throughput.get_by_role("row").nth(1)).to_contain_text("now")


def test_flow_of_an_ensemble_has_the_time_of_each_step(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/models/pipeline")
    settled(page, "#/models/pipeline")
    infer(ui_server, "pipeline", "RAW", 20)
    levels = page.locator(".flow > li")
    expect(levels).to_have_count(4)
    expect(levels.nth(0)).to_contain_text("RAW")
    expect(levels.nth(1)).to_contain_text(re.compile(r"1\. numbers.*(µs|ms).*queue.*takesRAWgivesBETWEEN"))
    expect(levels.nth(2)).to_contain_text(re.compile(r"2\. second.*(µs|ms)"))
    expect(levels.nth(3)).to_contain_text("RESULT")
    levels.nth(2).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("second")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.title() == "second – naiad"


def test_models_are_loaded_and_unloaded(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open()
    page.get_by_role("button", name="Load plain").click()
    expect(row(page, "plain")).to_contain_text("ready")
    page.get_by_role("button", name="Unload plain").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Unload plain").click()
    page.get_by_role("dialog").get_by_role("button", name="Unload", exact=True).click()
    expect(row(page, "plain")).to_contain_text("not loaded")
    page.get_by_role("button", name="Load broken").click()
    expect(page.get_by_role("alert").filter(has_text="broken")).to_be_visible()


def test_a_server_that_ends_is_told(start_server: Start, visit: Visit, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    page = visit(server).open()
    expect(page.get_by_text("The repository has no models.")).to_be_visible()
    server.signal()
    assert server.wait() == 0
    expect(page.get_by_role("status").first).to_contain_text("the server does not answer")


def test_nothing_is_drawn_while_it_is_paused(ui_server: ServerProcess, visit: Visit) -> None:
    visitor = visit(ui_server)
    page = visitor.open()
    settled(page, "#/")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").first).to_have_text("Paused")
    with page.expect_request("**/ui/api/figures"):
        page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").first).to_have_text("Live")


@pytest.mark.parametrize(
    ("phone", "dark"), [(False, False), (True, True)], ids=["desktop-light", "phone-dark"]
)
def test_screen_readers_and_narrow_screens(
    ui_server: ServerProcess, visit: Visit, phone: bool, dark: bool
) -> None:
    visitor = visit(ui_server, phone=phone, dark=dark)
    for view in VIEWS:
        page = visitor.open(view)
        settled(page, view)
        check_accessible(page)
        width, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= screen, f"{view} is {width} pixels wide"
