"""A page of NiceGUI: a counter, an upload, and a clock that the server pushes."""

import os

from nicegui import ui


@ui.page("/")
def page() -> None:
    clicks = {"count": 0}
    ticks = {"count": 0}

    def click() -> None:
        clicks["count"] += 1
        clicked.text = f"clicked {clicks['count']} times"

    def tick() -> None:
        ticks["count"] += 1
        ticked.text = f"ticked {'often' if ticks['count'] > 3 else ''}"

    async def uploaded(event) -> None:
        content = await event.file.read()
        received.text = f"{event.file.name}: {len(content)} bytes"

    async def ask() -> None:
        title = await ui.run_javascript("document.title")
        answered.text = f"the title is {title}"

    ui.button("Click", on_click=click)
    clicked = ui.label("clicked 0 times")
    ui.button("Ask", on_click=ask)
    answered = ui.label("not asked")
    ui.input("Name", on_change=lambda event: greeting.set_text(f"Hello {event.value}"))
    greeting = ui.label("Hello")
    ui.upload(label="Upload", on_upload=uploaded, auto_upload=True)
    received = ui.label("no file")
    ticked = ui.label("ticked")
    ui.timer(0.2, tick)


ui.run(host="127.0.0.1", port=int(os.environ.get("PORT", 8080)), title="A page", reload=False, show=False)
