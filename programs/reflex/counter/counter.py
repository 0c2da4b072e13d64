"""The backend of a Reflex application: a counter, a list, and an event that sends several updates."""

import reflex as rx


class State(rx.State):
    count: int = 0
    names: list[str] = []  # noqa: RUF012 (Reflex copies it for each client)

    @rx.event
    def increment(self) -> None:
        self.count += 1

    @rx.event
    def add(self, name: str) -> None:
        self.names.append(name)

    @rx.event
    async def count_down(self):
        while self.count > 0:
            self.count -= 1
            yield

    @rx.event
    def fail(self) -> None:
        raise LookupError("an event that fails")


def index() -> rx.Component:
    return rx.button(State.count, on_click=State.increment)


app = rx.App()
app.add_page(index)
