"""Tests with NiceGUI's browser fixture: each starts a server in a thread, all with one Socket.IO server."""

import pytest
from nicegui import app, ui
from nicegui.testing import Screen
from selenium.webdriver import ChromeOptions

pytest_plugins = ["nicegui.testing.screen_plugin"]
ARGUMENTS = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
ARGUMENTS += ["disable-component-update", "disable-sync"]


@pytest.fixture(scope="session")
def chrome_options(chrome_options: ChromeOptions) -> ChromeOptions:
    for argument in ARGUMENTS:
        chrome_options.add_argument(argument)
    return chrome_options


@pytest.mark.parametrize("time", [1, 2, 3])
def test_clicks_and_what_the_server_pushes(screen: Screen, time: int) -> None:
    @ui.page("/")
    def page() -> None:
        label = ui.label("nothing yet")
        ui.button("Click", on_click=lambda: label.set_text(f"clicked in test {time}"))
        ticks = ui.label("")
        ui.timer(0.1, lambda: ticks.set_text("ticked"), once=True)

    screen.open("/")
    screen.should_contain("ticked")
    screen.click("Click")
    screen.should_contain(f"clicked in test {time}")


def test_javascript_is_asked(screen: Screen) -> None:
    @ui.page("/")
    def page() -> None:
        async def ask() -> None:
            ui.label(f"the answer is {await ui.run_javascript('6 * 7')}")

        ui.button("Ask", on_click=ask)

    screen.open("/")
    screen.click("Ask")
    screen.should_contain("the answer is 42")


def test_a_connection_that_is_closed_comes_back(screen: Screen) -> None:
    events: list[str] = []

    @ui.page("/", reconnect_timeout=5)
    def page() -> None:
        count = {"clicks": 0}

        def click() -> None:
            count["clicks"] += 1
            label.set_text(f"clicks: {count['clicks']}")

        label = ui.label("clicks: 0")
        ui.button("Click", on_click=click)

    app.on_connect(lambda: events.append("connect"))
    screen.open("/")
    screen.click("Click")
    screen.should_contain("clicks: 1")
    screen.selenium.execute_script("window.socket.io.engine.close()")
    screen.wait_for(lambda: len(events) == 2)
    screen.click("Click")
    screen.should_contain("clicks: 2")


def test_two_tabs_hear_of_each_other_and_of_one_that_is_closed(screen: Screen) -> None:
    gone: list[str] = []

    @ui.page("/")
    def page() -> None:
        heard = ui.label("heard nothing")
        app.storage.general["labels"] = [*app.storage.general.get("labels", []), 1]
        labels.append(heard)
        ui.button("Say", on_click=lambda: [label.set_text("heard it") for label in labels])

    labels: list[ui.label] = []
    app.on_delete(lambda client: gone.append(client.id))
    screen.open("/")
    screen.switch_to(1)
    screen.open("/")
    screen.click("Say")
    screen.should_contain("heard it")
    screen.switch_to(0)
    screen.should_contain("heard it")


def test_a_large_text_arrives_both_ways(screen: Screen) -> None:
    @ui.page("/")
    def page() -> None:
        async def measure() -> None:
            text = await ui.run_javascript("'ü🎈'.repeat(100000)", timeout=20)
            ui.label(f"{len(text)} characters")
            ui.label(text).props("id=large").classes("hidden")

        ui.button("Measure", on_click=measure)

    screen.open("/")
    screen.click("Measure")
    screen.should_contain("200000 characters")
    length = "return document.getElementById('large').textContent.length"
    screen.wait_for(lambda: screen.selenium.execute_script(length) == 300000)
