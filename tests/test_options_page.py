"""The reference has every option, with the type and the default that the code gives it, and every command."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import click
import pytest
from socketio.base_server import BaseServer

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from asyncsock.engine.limits import Limits
from asyncsock.flask_bridge.commands import socketio
from asyncsock.flask_bridge.options import OWN_OPTIONS
from asyncsock.flask_bridge.runner import RELOADER_OPTIONS, SSL_OPTIONS, Runner
from asyncsock.observing.options import HealthOptions, read_health
from asyncsock.presence.options import read_leave_after
from asyncsock.recovery.options import RecoveryOptions
from tests.support.server_process import ROOT

PAGE = (ROOT / "docs" / "reference" / "options.md").read_text()
NO_DEFAULT = inspect.Parameter.empty
Options = dict[str, tuple[str, Any]]  # the annotation and the default of each


def table(section: str) -> dict[str, list[str]]:
    """The cells of each row, by the name in its first one."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    return {cells[0].strip("`"): cells[1:] for cells in rows[2:]}


def parameters(function: Callable[..., Any], first: int = 1) -> Options:
    """The arguments of a function that have names, from the first one on."""
    found = list(inspect.signature(function).parameters.values())[first:]
    return {
        each.name: (str(each.annotation), each.default) for each in found if each.kind is not each.VAR_KEYWORD
    }


def options_of_servers() -> Options:
    """By rising precedence: the class that defines an option says what it is."""
    fields = {
        name: str(getattr(said, "__forward_arg__", said))
        for options in (RecoveryOptions, HealthOptions)
        for name, said in options.__annotations__.items()
    }
    recovery = {
        f"{name}` of `connection_state_recovery": (fields[name], default)
        for name, default in RecoveryOptions._field_defaults.items()
    }
    health = {
        f"{name}` of `health": (fields[name], getattr(read_health(None), name))
        for name in HealthOptions._fields
    }
    limits = {each.name: (str(each.type), each.default) for each in dataclasses.fields(Limits) if each.init}
    return {
        **{name: ("Any", default) for name, default in OWN_OPTIONS.items()},
        **{name: ("Any", default) for name, (_, default) in parameters(BaseServer.__init__).items()},
        **{"engineio_logger": ("bool | logging.Logger", False)},
        **parameters(AsyncServer.__init__),
        **limits,
        **parameters(EngineServer.__init__),
        **recovery,
        **health,
        **{"leave_after` of `presence": ("float", read_leave_after(None))},
    }


SERVERS = options_of_servers()
RUN = {
    **{"host": ("str | None", None), "port": ("int | None", None)},
    **parameters(Runner.run, 5),
    **dict.fromkeys([*RELOADER_OPTIONS, *SSL_OPTIONS], ("Any", None)),
}
ASGI = parameters(ASGIApp.__init__)
SECTIONS = {"The server": SERVERS, "The ASGI application": ASGI, "run()": RUN}
EACH = [(section, name) for section, options in SECTIONS.items() for name in options]


def test_the_server_takes_the_options_that_are_compared() -> None:
    whole = {name for name in SERVERS if "`" not in name}
    assert whole == OWN_OPTIONS.keys() | AsyncServer.option_names()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_is_in_the_table_and_no_other(section: str) -> None:
    assert sorted(table(section)) == sorted(SECTIONS[section])


@pytest.mark.parametrize(("section", "name"), EACH)
def test_the_default_is_that_of_the_code(section: str, name: str) -> None:
    default = SECTIONS[section][name][1]
    said = table(section)[name][1]
    assert said == "(required)" if default is NO_DEFAULT else ast.literal_eval(said.strip("`")) == default


@pytest.mark.parametrize(("section", "name"), EACH)
def test_the_type_is_that_of_the_code_and_a_number_has_a_unit(section: str, name: str) -> None:
    types = re.split(r" \| ", SECTIONS[section][name][0])
    said = table(section)[name][0]
    if {"int", "float"} & set(types):
        assert re.search("`, [a-z]", said), "no unit"
    names = {each.rpartition(".")[2] if "[" not in each else each.removeprefix("os.") for each in types}
    if names.isdisjoint({"Any", "Origins", "ASGI", "Hook", "object"}):
        assert set(re.findall("`(.+?)`", said)) == names - {"None"}


@pytest.mark.parametrize("name", SERVERS)
def test_the_last_column_says_who_takes_an_option_of_the_server(name: str) -> None:
    option = name.rpartition("`")[2]
    engine, server = EngineServer.option_names(), AsyncServer.option_names()
    taker = "engine" if option in engine else "server" if option in server else "Flask"
    assert table("The server")[name][3] == taker


@pytest.mark.parametrize("command", socketio.commands.values(), ids=lambda command: command.name)
def test_every_command_is_in_its_page_with_its_options(command: click.Command) -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    section = page.partition(f"\n## {command.name}\n")[2].partition("\n## ")[0]
    spellings = [
        spelling for option in command.params for spelling in option.opts if spelling.startswith("-")
    ]
    assert section
    assert [spelling for spelling in spellings if f"`{spelling}`" not in section] == []


def test_every_reason_of_a_disconnection_is_in_the_page_about_handlers() -> None:
    page = (ROOT / "docs" / "reference" / "handlers.md").read_text()
    reasons = {name: value for name, value in vars(EngineServer.reason).items() if name.isupper()}
    assert len(reasons) == 5
    assert dict(re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", page, re.MULTILINE)) == reasons


def sources() -> list[str]:
    return [file.read_text() for file in sorted(ROOT.glob("asyncsock/**/*.py"))]


def test_every_key_of_the_configuration_that_is_read_is_in_the_table() -> None:
    keys = {key for source in sources() for key in re.findall(r'config(?:\.get\(|\[)"([A-Z_]+)"', source)}
    assert len(keys) > 1
    assert keys <= table("Flask's configuration").keys()


def test_every_variable_of_the_environment_that_is_read_is_in_the_table() -> None:
    """Whatever looks like one in a module that reads the environment."""
    reading = [source for source in sources() if "os.environ" in source or "auto_envvar_prefix" in source]
    names = {name for source in reading for name in re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', source)}
    assert len(names) > 3
    rows = " ".join(table("The environment"))
    assert [name for name in sorted(names) if name not in rows] == []
