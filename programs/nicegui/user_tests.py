"""Tests of the page with NiceGUI's own fixture, in which each test has an event loop of its own."""

import pytest
from nicegui import Event, ui
from nicegui.testing import User

pytest_plugins = ["nicegui.testing.user_plugin"]


async def test_clicks_are_counted(user: User) -> None:
    await user.open("/")
    await user.should_see("clicked 0 times")
    user.find("Click").click()
    await user.should_see("clicked 1 times")


async def test_a_second_test_has_a_page_of_its_own(user: User) -> None:
    await user.open("/")
    await user.should_see("clicked 0 times")
    user.find("Name").type("Ann")
    await user.should_see("Hello Ann")


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_an_event_reaches_all_pages(user: User, create_user, times: int) -> None:
    said = Event[int]()

    @ui.page("/shared")
    def shared() -> None:
        heard = ui.label("heard nothing")
        said.subscribe(lambda count: heard.set_text(f"heard {count}"))
        ui.button("Say", on_click=lambda: said.emit(times))

    other = create_user()
    await user.open("/shared")
    await other.open("/shared")
    user.find("Say").click()
    await user.should_see(f"heard {times}")
    await other.should_see(f"heard {times}")


async def test_a_notification_and_a_download(user: User) -> None:
    @ui.page("/notes")
    def notes() -> None:
        ui.button("Notify", on_click=lambda: ui.notify("a note"))
        ui.button("Download", on_click=lambda: ui.download(b"text", "file.txt"))

    await user.open("/notes")
    user.find("Notify").click()
    await user.should_see("a note")
    user.find("Download").click()
    response = await user.download.next()
    assert response.text == "text"
