"""Requests that are made on the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import expect

from ..integration.conftest import ServerProcess
from .conftest import Visitor, check_accessible

Visit = Callable[..., Visitor]


def test_values_and_the_time_of_each_step(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try")
    page.get_by_role("link", name="pipeline").click()
    page.get_by_label("Values").fill("1.5, 2 3")
    page.get_by_role("button", name="Run").click()
    response = page.get_by_role("region", name="Response")
    expect(response).to_contain_text("RESULT FP32 [1, 3]")
    expect(page.get_by_role("region", name="Values of RESULT")).to_have_text("1.5  2  3")
    steps = page.get_by_role("table", name="Where the time went").get_by_role("row")
    expect(steps).to_have_count(4)
    expect(steps.nth(1)).to_contain_text("pipeline v1")
    expect(steps.nth(2)).to_contain_text(re.compile(r"numbers v1.*(µs|ms)"))
    expect(steps.nth(3)).to_contain_text("second v1")


def test_many_values_are_made_up(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try/pipeline")
    page.get_by_label("size 2").fill("5000")
    page.get_by_role("button", name="counting").click()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("5,000 values from 0 to 4999, mean 2499.5")).to_be_visible()


def test_an_image_goes_into_its_tensor(ui_server: ServerProcess, visit: Visit) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 102)).save(picture, "PNG")
    page = visit(ui_server).open("#/try/pictures")
    page.get_by_label("or an image").set_input_files(
        [{"name": "pink.png", "mimeType": "image/png", "buffer": picture.getvalue()}]
    )
    expect(page.get_by_role("img", name="The image as it is sent")).to_be_visible()
    page.get_by_role("button", name="Run").click()
    best = page.get_by_role("table", name="Largest").get_by_role("row")
    expect(best.nth(1)).to_have_text("0red1")
    expect(best.nth(2)).to_have_text("2blue0.4")
    expect(page.get_by_role("img", name="SEEN as an image")).to_be_visible()
    check_accessible(page)


def test_what_is_wrong_is_said(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try/pipeline")
    alert = page.get_by_role("alert")
    page.get_by_label("Values").fill("1, two")
    page.get_by_role("button", name="Run").click()
    expect(alert).to_have_text("RAW: 'two' is no number")
    page.get_by_label("Values").fill("1")
    page.get_by_label("rows").fill("9")
    page.get_by_role("button", name="Run").click()
    expect(alert).to_contain_text("batch")
    visit(ui_server).open("#/try/nobody").get_by_role("alert").filter(has_text="nobody").wait_for()


def test_a_chat_is_streamed(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try/language")
    message = page.get_by_label("Message", exact=True)
    message.fill("Please SAY all is well")
    message.press("Enter")
    talk = page.get_by_role("log", name="Conversation").get_by_role("listitem")
    expect(talk.nth(1)).to_have_text("Model: all is well")
    expect(page.get_by_text(re.compile(r"First token after .* pieces a second"))).to_be_visible()
    # What was said before goes with the next message, and so the model finds SAY again.
    message.fill("And now?")
    page.get_by_role("button", name="Send").click()
    expect(talk.nth(3)).to_have_text("Model: all is well")


def test_a_chat_that_has_no_end_is_stopped(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try/language")
    page.get_by_label("Message", exact=True).fill("SAY ENDLESS")
    page.get_by_role("button", name="Send").click()
    talk = page.get_by_role("log", name="Conversation").get_by_role("listitem")
    expect(talk.nth(1)).to_contain_text("xxx")
    page.get_by_role("button", name="Stop").first.click()
    expect(page.get_by_text("Stopped").first).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_texts_by_tensors(ui_server: ServerProcess, visit: Visit) -> None:
    page = visit(ui_server).open("#/try/language")
    page.get_by_text("Ask with tensors instead").click()
    page.get_by_role("group", name=re.compile("^text_input")).get_by_label("Values").fill("SAY one two")
    stream = page.get_by_role("group", name=re.compile("^stream BOOL"))
    stream.get_by_label("Values").fill("true")
    expect(stream.get_by_label("Send it")).to_be_checked()
    page.get_by_role("button", name="Run").click()
    response = page.get_by_role("region", name="Response")
    expect(response.locator(".output").filter(has_text="text_output")).to_contain_text("one two")
