"""The words of a command, and where they are: in a shell's line, or in a list of JSON or YAML."""

from __future__ import annotations

import re
from typing import NamedTuple

from .edits import NEWLINE, Edit, Text

GUNICORN = re.compile(r"gunicorn(?![\w.=@/:<>~\[-])")
PATH = re.compile(r"[\w.~${}()/-]*$")  # what may stand before it in the same word
LONGEST_PATH = 300  # characters
SEPARATORS = ("&&", "||", ";", "|", "&", ")", "`")


class Word(NamedTuple):
    """A word without its quotes: its text, where that is, and where it is with its quotes."""

    text: str
    start: int
    end: int
    outer_start: int
    outer_end: int


class Command:
    """The words of a command from the name of its program on.

    Args:
        words: the words.
        kind: ``"shell"``, ``"list"`` (JSON, or YAML with brackets) or ``"lines"`` (YAML, one word a line).
    """

    def __init__(self, words: list[Word], kind: str) -> None:
        self.words = words
        self.kind = kind

    def replace(self, word: Word, old: str, new: str) -> Edit:
        """Replace the end of a word."""
        assert word.text.endswith(old)
        return Edit(word.end - len(old), word.end, new)

    def remove(self, text: Text, number: int, count: int = 1) -> Edit:
        """Remove words, with what is before them."""
        first, last = self.words[number], self.words[number + count - 1]
        if self.kind == "lines":
            return Edit(text.line_start(first.start), text.line_end(last.end), "")
        if text.is_first_on_line(first.outer_start) and number + count < len(self.words):
            following = self.words[number + count].outer_start
            if text.line_of(following) == text.line_of(last.start):
                return Edit(first.outer_start, following, "")
        return Edit(self.words[number - 1].outer_end, last.outer_end, "")

    def insert(self, text: Text, words: tuple[str, ...]) -> Edit:
        """Put words behind the name of the program."""
        first = self.words[0]
        if self.kind == "lines":
            line = text.text[text.line_start(first.start) : text.line_end(first.end)]
            new = "".join(line.replace(first.text, word) for word in words)
            end = text.line_end(first.end)
            return Edit(end, end, new if line.endswith(("\n", "\r")) else text.newline + new)
        if self.kind == "list":
            quote = text.text[first.outer_start : first.start]
            return Edit(
                first.outer_end, first.outer_end, "".join(f", {quote}{word}{quote}" for word in words)
            )
        return Edit(first.outer_end, first.outer_end, "".join(f" {word}" for word in words))


def commands(text: Text, *, yaml: bool) -> list[Command]:
    """The commands of a file that start gunicorn, as far as they can be read."""
    found: list[Command] = []
    for match in GUNICORN.finditer(text.text):
        if found and found[-1].words and match.start() < found[-1].words[-1].outer_end:
            continue  # it is a word of that command
        line_start = max(text.line_start(match.start()), match.start() - LONGEST_PATH)
        path = PATH.search(text.text[line_start : match.start()])
        start = match.start() - (len(path.group()) if path is not None else 0)
        if start < match.start() and (text.text[match.start() - 1] != "/" or text.text[start] == "-"):
            continue  # it is a part of another word
        command = _command(text, start, match.end(), yaml)
        if command is not None:
            found.append(command)
    return found


def _command(text: Text, start: int, end: int, yaml: bool) -> Command | None:
    line_start = text.line_start(start)
    before = text.text[line_start:start]
    after = text.text[end : text.line_end(end)]
    if _is_comment(before) or re.search(
        r"\b(install|add|which|command -v|pkill|killall|pgrep|apk|pip3?)\b", before
    ):
        return None
    quote = before[-1:] if before[-1:] in "\"'" and before else ""
    if quote and after.startswith(quote) and re.match(r"\s*[,\]]", after[1:]):
        return Command(_list(text.text, start - 1), "list")
    if not quote and re.search(r"[\[,]\s*$", before) and re.match(r"\s*,", after):
        return Command(_list(text.text, start), "list")
    if yaml and re.fullmatch(r"\s*-\s+[\"']?", before) and re.fullmatch(r"[\"']?\s*", after):
        return Command(_lines(text, line_start, before), "lines")
    return Command(_shell(text, start, _enclosing(before), yaml), "shell")


def _is_comment(before: str) -> bool:
    return re.match(r"\s*(#|//|;|REM\b|::)", before) is not None or re.search(r"\s#\s", before) is not None


def _list(text: str, at: int) -> list[Word]:
    """The words of a list with brackets, from one of them on."""
    words = []
    pattern = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'([^'\n]*)'|([^\s,\[\]\"'#]+)")
    while (found := pattern.match(text, at)) is not None:
        group = found.lastindex or 0
        words.append(
            Word(found.group(group), found.start(group), found.end(group), found.start(), found.end())
        )
        gap = re.compile(r"\s*,(?:\s|\\\r?\n)*").match(text, found.end())
        if gap is None:
            break
        at = gap.end()
    return words


def _lines(text: Text, at: int, before: str) -> list[Word]:
    """The words of a list of YAML's with one on each line, all with the same indentation."""
    indentation = before[: len(before) - len(before.lstrip())]
    words = []
    pattern = re.compile(
        rf"{indentation}-[ \t]+(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"'#][^#\r\n]*?))[ \t]*(?:#[^\r\n]*)?$"
    )
    while at < len(text.text):
        line = text.text[at : text.line_end(at)]
        found = pattern.match(line.rstrip("\r\n"))
        if found is None:
            break
        group = found.lastindex or 0
        start, end = at + found.start(group), at + found.end(group)
        quoted = 0 if group == 3 else 1
        words.append(Word(found.group(group), start, end, start - quoted, end + quoted))
        at = text.line_end(at)
    return words


def _enclosing(before: str) -> str:
    """The quote that is open at the end of the beginning of a line; empty if none is."""
    quote = ""
    for at, character in enumerate(before):
        if character in "\"'" and before[at - 1 : at] != "\\":
            if not quote:
                quote = character
            elif quote == character:
                quote = ""
    return quote


def _shell(text: Text, at: int, enclosing: str, yaml: bool) -> list[Word]:
    """The words of a shell's command, up to its end or the end of the quotes around it."""
    content = text.text
    folded = yaml and not enclosing and _is_folded(text, at)
    words: list[Word] = []
    while True:
        gap = re.compile(r"(?:[ \t]|\\\r?\n|\^\r?\n)*").match(content, at)
        at = gap.end() if gap is not None else at
        if folded and (line := re.compile(r"\r?\n([ \t]+)(?=\S)").match(content, at)) is not None:
            if len(line.group(1)) < _indentation(text, at) or re.match(
                r"[\w.-]+:(\s|$)|- ", content[line.end() :]
            ):
                return words
            at = line.end()
            continue
        if at >= len(content) or content[at] in "\r\n#" or content.startswith(SEPARATORS, at):
            return words
        if enclosing and content.startswith(enclosing, at):
            return words
        if content[at] in "\"'" and _is_last_of_line(content, at):
            return words  # it ends what began on a line before
        word = _shell_word(content, at, enclosing)
        if word is None:
            return words
        words.append(word)
        at = word.outer_end


def _shell_word(content: str, at: int, enclosing: str) -> Word | None:
    start = at
    quotes = {'"', "'"} - {enclosing}
    if content[at] in quotes:
        end = content.find(content[at], at + 1)
        behind = content[end + 1 : end + 2]
        if end != -1 and (not behind or behind.isspace() or behind in f"{enclosing}\\;&|)"):
            return Word(content[at + 1 : end], at + 1, end, at, end + 1)
    depth = ""
    while at < len(content):
        character = content[at]
        if depth:
            depth = depth[:-1] if character == depth[-1] else depth
        elif character in quotes:
            if _is_last_of_line(content, at):
                break
            depth = character
        elif character == "$" and content[at + 1 : at + 2] in ("{", "("):
            depth = {"{": "}", "(": ")"}[content[at + 1]]
        elif character == "(" and at > start:  # "module:create_app()"
            depth = ")"
        elif character.isspace() or character in ";&|)`" or (enclosing and character == enclosing):
            break
        if character in "\r\n" or (enclosing and character == enclosing):
            return None
        at += 1
    return Word(content[start:at], start, at, start, at)


def _is_last_of_line(content: str, at: int) -> bool:
    """Whether a quote has no other one behind it on its line."""
    end = NEWLINE.search(content, at)
    return content.find(content[at], at + 1, end.start() if end is not None else len(content)) == -1


def _indentation(text: Text, at: int) -> int:
    line = text.text[text.line_start(at) : text.line_end(at)]
    return (
        len(line) - len(line.lstrip())
        if re.match(r"\s+(?![\w.-]+:\s)", line)
        else len(line) - len(line.lstrip()) + 1
    )


def _is_folded(text: Text, at: int) -> bool:
    """Whether lines of YAML go on in the next ones: ``command: >`` before them, or a plain text."""
    start = text.line_start(at)
    line = text.text[start : text.line_end(at)]
    if re.match(r"\s*(- )?[\w.-]+:\s+[^|>\s]", line):
        return True
    indentation = len(line) - len(line.lstrip())
    while start > 0:
        start = text.line_start(start - 1)
        line = text.text[start : text.line_end(start)]
        if line.strip() and len(line) - len(line.lstrip()) < indentation:
            return re.search(r":\s*(>[-+]?\s*)?(#.*)?$", line.rstrip()) is not None
    return False
