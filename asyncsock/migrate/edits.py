"""Changes to a text, by their places in it, and what is said of a line of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

NEWLINE = re.compile(r"\r\n|\r|\n")


class Edit(NamedTuple):
    """Put ``text`` in the place of what is between two offsets."""

    start: int
    end: int
    text: str


class Remark(NamedTuple):
    """What a person has to look at: the offset of a place, and a sentence."""

    offset: int
    text: str


class Span(NamedTuple):
    """A part of a text, by its offsets."""

    start: int
    end: int


class Text:
    """A text and the places of its lines.

    Args:
        text: the text, with any of the three newlines.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in NEWLINE.finditer(text))]
        found = NEWLINE.search(text)
        self.newline = found.group() if found else "\n"

    def offset(self, line: int, column: int) -> int:
        """The offset of a place. Lines begin at 1, columns at 0."""
        return self._starts[line - 1] + column

    def line_of(self, offset: int) -> int:
        """The number of the line that an offset is in."""
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return low + 1

    def line_start(self, offset: int) -> int:
        return self._starts[self.line_of(offset) - 1]

    def line_end(self, offset: int) -> int:
        """The offset behind the newline of the line."""
        line = self.line_of(offset)
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def is_first_on_line(self, offset: int) -> bool:
        return not self.text[self.line_start(offset) : offset].strip()

    def lines(self) -> Iterator[tuple[int, str]]:
        """The offset of each line, and the line with its newline."""
        for start, end in zip(self._starts, [*self._starts[1:], len(self.text)], strict=True):
            if start < end:
                yield start, self.text[start:end]

    def without_lines(self, start: int, end: int) -> Edit:
        """Remove the lines that a part stands on, and of the empty lines around it the fewer ones."""
        start, end = self.line_start(start), self.line_end(max(start, end - 1))
        before = after = 0
        at = start
        while at > 0 and not self.text[self.line_start(at - 1) : at].strip():
            at, before = self.line_start(at - 1), before + 1
        ends = [end]
        while ends[-1] < len(self.text) and not self.text[ends[-1] : self.line_end(ends[-1])].strip():
            ends.append(self.line_end(ends[-1]))
            after += 1
        return Edit(start, ends[after if at == 0 else min(before, after)], "")


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with the changes made."""
    pieces, at = [], 0
    for edit in _made(edits):
        pieces += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, text[at:]])


def moved_to(offset: int, edits: Iterable[Edit]) -> int:
    """Where a place is when the changes are made."""
    return offset + sum(
        len(edit.text) - (min(edit.end, offset) - edit.start)
        for edit in _made(edits)
        if edit.start < offset or edit.start == edit.end == offset
    )


def _made(edits: Iterable[Edit]) -> Iterator[Edit]:
    """The changes in their order, without those within another one, as in a statement that is removed."""
    at = 0
    for edit in sorted(set(edits), key=lambda edit: (edit.start, edit.start < edit.end, -edit.end)):
        if edit.start >= at:
            at = edit.end
            yield edit


def without_items(text: Text, items: Sequence[Span], removed: set[int], brackets: Span) -> list[Edit]:
    """Remove some items of a list that commas separate.

    Args:
        text: the text.
        items: where the items are, without their commas.
        removed: the numbers of those to remove.
        brackets: what is between the brackets, or the whole list where it has none.
    """
    if len(removed) == len(items):
        return [Edit(brackets.start, brackets.end, "")]
    return [edit for run in _runs(sorted(removed)) for edit in _without_run(text, items, run, brackets)]


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Numbers that follow each other, as the first and the last of them."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _without_run(text: Text, items: Sequence[Span], run: tuple[int, int], brackets: Span) -> Iterator[Edit]:
    start, end = items[run[0]].start, items[run[1]].end
    comma = _comma(text.text, end, brackets.end)
    own_line = text.is_first_on_line(start)
    last = run[1] == len(items) - 1
    following = brackets.end if last else items[run[1] + 1].start
    behind = end if comma is None else comma + 1
    ends_line = text.line_of(following) > text.line_of(behind)
    if not last:
        if own_line and ends_line:
            yield Edit(text.line_start(start), text.line_end(behind), "")
        elif not ends_line or run[0] == 0:
            yield Edit(start, following, "")
        else:
            yield Edit(_behind_comma(text.text, items[run[0] - 1].end, brackets.end), behind, "")
        return
    previous = items[run[0] - 1].end
    if own_line and ends_line:
        if comma is None:
            before = _behind_comma(text.text, previous, brackets.end)
            yield Edit(before - 1, before, "")
        yield Edit(text.line_start(start), text.line_end(behind), "")
    elif "#" in text.text[previous:start]:
        yield Edit(start, behind, "")
    elif own_line:
        yield Edit(previous, behind, "")
    else:
        yield Edit(previous, end, "")


def _comma(text: str, at: int, limit: int) -> int | None:
    """Where the comma behind an item is, past spaces and comments."""
    while at < limit:
        if text[at] == ",":
            return at
        if text[at] == "#":
            found = NEWLINE.search(text, at)
            at = found.end() if found else limit
        elif text[at].isspace() or text[at] in "\\)":
            at += 1
        else:
            return None
    return None


def _behind_comma(text: str, at: int, limit: int) -> int:
    comma = _comma(text, at, limit)
    return at if comma is None else comma + 1
