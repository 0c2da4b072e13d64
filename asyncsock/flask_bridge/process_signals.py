"""The program's own signal handlers, which run before `SocketIO.run` stops the server at a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..uvicorn.signals import SIGNALS


class ProgramSignals:
    """At a signal, runs the program's handler first, and then stops the server.

    Handlers that Python installs by itself are replaced. A signal that the program ignores stays ignored.

    Args:
        stop: Called after the program's handler, with the signal's number.
    """

    def __init__(self, stop: Callable[[int], None]) -> None:
        self.raised: BaseException | None = None  # the first of what the program's handlers raised
        self._stop = stop
        self._running = False

    @contextmanager
    def taken(self) -> Generator[None, None, None]:
        """Handle the signals in a block, then restore the program's handlers. Only in the main thread."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) or handler is signal.SIG_DFL:
                signal.signal(number, _Taken(self, handler))
        try:
            yield
        finally:
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if isinstance(handler, _Taken) and handler.signals is self:
                    signal.signal(number, handler.program)

    def take_again(self) -> None:
        """Wrap the handlers that the program has installed since."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, _Taken):
                signal.signal(number, _Taken(self, handler))

    def run_handler(self, number: int) -> None:
        """Do what is done at a signal that has not come. Only in the main thread."""
        self.take_again()
        handler = signal.getsignal(number)
        if isinstance(handler, _Taken):
            handler(number, None)

    def handle(self, number: int, frame: FrameType | None, program: Any) -> None:
        """Run a handler of the program, and stop. An exception of it is kept: `run` raises it at the end."""
        if self._running:  # the program's handler calls the one that was there before
            _call(program, number, frame)
            return
        self._running = True
        try:
            _call(program, number, frame)
        except KeyboardInterrupt:
            pass  # what Ctrl+C does without a handler
        except BaseException as error:
            self.raised = self.raised or error
        finally:
            self._running = False
        self._stop(number)


class _Taken:
    """The installed handler of a signal."""

    def __init__(self, signals: ProgramSignals, program: Any) -> None:
        self.signals = signals
        self.program = program

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.signals.handle(number, frame, self.program)


def _call(program: Any, number: int, frame: FrameType | None) -> None:
    if callable(program) and program is not signal.default_int_handler:
        program(number, frame)
