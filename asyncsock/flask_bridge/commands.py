"""`flask socketio`: starts the server, describes its events, and moves projects from Flask-SocketIO."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import click
import msgspec
from flask import Flask, current_app
from flask.cli import ScriptInfo, pass_script_info, run_command, show_server_banner, with_appcontext
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from ..migrate.command import migrate
from ..typed.asyncapi import to_asyncapi
from ..typed.description import Description, describe
from ..typed.typescript import RESERVED, to_typescript
from .extension import SocketIO
from .reloader import run_with_reloader


@click.group()
def socketio() -> None:
    """Run the application with Socket.IO, describe its events, or move a project."""


# It loads no application: that of a project that is to be moved may import what is not installed any more.
@socketio.command("migrate", short_help="Move a project from Flask-SocketIO.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--write", is_flag=True, help="Make the changes instead of showing them.")
@click.pass_context
def _migrate(context: click.Context, path: Path, write: bool) -> None:
    """Show what moving a project from Flask-SocketIO takes, and what to look at.

    PATH is the folder of the project, or one Python file.
    """
    context.exit(migrate(path, write, lambda text: click.echo(text, nl=False)))


@pass_script_info
def _run(
    info: ScriptInfo,
    host: str,
    port: int,
    reload: bool | None,
    debugger: bool | None,
    cert: Any,
    extra_files: list[str] | None,
    exclude_patterns: list[str] | None,
) -> None:
    debug = get_debug_flag()
    try:
        app = info.load_app()
    except Exception:
        if not is_running_from_reloader():
            raise
        traceback.print_exc()
        run_with_reloader(_wait, extra_files=extra_files, exclude_patterns=exclude_patterns)
        return
    show_server_banner(debug, info.app_import_path)
    _socketio_of(app).run(
        app,
        host,
        port,
        debug=debug,
        use_reloader=reload,
        use_debugger=debugger,
        ssl_context=cert,
        extra_files=extra_files,
        exclude_patterns=exclude_patterns,
    )


def _socketio_of(app: Flask) -> SocketIO:
    found = app.extensions.get("socketio")
    if not isinstance(found, SocketIO):
        raise click.ClickException(
            f"the application {app.name!r} has no Socket.IO server of asyncsock: make one with "
            "`from asyncsock import SocketIO` and `SocketIO(app)` or `socketio.init_app(app)`, or start the "
            "application with `flask run`"
        )
    return found


def _wait() -> None:
    """Serve nothing until the reloader sees a change."""


socketio.add_command(
    click.Command(
        "run",
        callback=_run,
        # the options of `flask run`; views run in threads in any case
        params=[option for option in run_command.params if option.name != "with_threads"],
        context_settings={"auto_envvar_prefix": "FLASK_RUN"},
        short_help="Run a server with Socket.IO.",
        help="Run a server with Socket.IO: uvicorn, with the reloader and the debugger of Flask.\n\n"
        "Both are enabled by default with the '--debug' option.",
    )
)


@socketio.command(short_help="Print an AsyncAPI document.")
@click.option("--title", help="The title of the document; by default the name of the application.")
@click.option("--version", default="1.0.0", show_default=True, help="The version in the document.")
@with_appcontext
def asyncapi(title: str | None, version: str) -> None:
    """Print an AsyncAPI 3.0 document about the events of the application, as JSON.

    It has the events that handlers are registered for, with the types of their annotations, and those that
    the application declares with event_type.
    """
    document = to_asyncapi(_description(), title or current_app.name, version)
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


@socketio.command(short_help="Print TypeScript's types of the events.")
@with_appcontext
def typescript() -> None:
    """Print ServerToClientEvents and ClientToServerEvents for Socket.IO's client in TypeScript.

    They have the events that handlers are registered for, with the types of their annotations, and those that
    the application declares with event_type.
    """
    click.echo(to_typescript(_description()), nl=False)


def _description() -> Description:
    found = _socketio_of(current_app)
    return describe(
        found.handlers,
        found.namespace_handlers,
        found.event_types,
        found.errors.find,
        found.validations,
        found.validate,
        RESERVED,
    )
