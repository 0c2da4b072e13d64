"""What a person has to look at in Python files."""

from __future__ import annotations

import re

import libcst as cst
from libcst.helpers import get_full_name_for_node

from .asgi_line import TESTS
from .modules import PythonModule, is_called_socketio
from .names import ENGINE, FLASK_NAMES, SERVERS
from .project import Project

BLOCKING_MANAGERS = {
    "RedisManager",
    "KombuManager",
    "KafkaManager",
    "ZmqManager",
    "PubSubManager",
    "BaseManager",
}
BLOCKING = re.compile(r"^(socketio|socketio\.\w+)\.(" + "|".join(BLOCKING_MANAGERS) + ")$")
FLASK_JSON = ("json_encoder", "json_decoder", "json_provider_class")
PATCHED_LIBRARIES = {"psycogreen", "greenify"}


def remark_python(project: Project, module: PythonModule) -> None:
    """Remark what the mover does not change, in a module that has to do with the application."""
    if project.reaches(module.file):
        module.tree.visit(_Remarks(project, module))


class _Remarks(cst.CSTVisitor):
    def __init__(self, project: Project, module: PythonModule) -> None:
        self.project = project
        self.module = module
        self.is_test = bool(TESTS.search(module.file.name))
        self.made = {id(binding.call) for binding in module.made}
        self.runs = any(self._is_run(call.call) for call in module.calls)

    def _say(self, node: cst.CSTNode, text: str) -> None:
        self.module.file.remark(self.module.span(node).start, text)

    def _is_run(self, node: cst.Call) -> bool:
        function = node.func
        if not isinstance(function, cst.Attribute) or function.attr.value != "run":
            return False
        return self.project.is_socketio(self.module, function.value) or is_called_socketio(function.value)

    def visit_Call(self, node: cst.Call) -> None:
        names = self.module.imports_of(node.func)
        for name in names:
            if name in SERVERS:
                self._say(
                    node,
                    f"{SERVERS[name]} serves WSGI, and no Socket.IO of asyncsock: call socketio.run(app, "
                    "host=..., "
                    "port=...) in its place, or start `uvicorn module:asgi`.",
                )
            if name.split(".")[0] in PATCHED_LIBRARIES:
                self._say(node, f"{name} is for programs that gevent or eventlet has patched: remove it.")
            if name == "signal.signal" and not self.is_test:
                self._signal(node)
        if id(node) in self.made or self._is_init(node):
            self._options(node)
        self._flask_run(node)

    def _is_init(self, node: cst.Call) -> bool:
        function = node.func
        return (
            isinstance(function, cst.Attribute)
            and function.attr.value == "init_app"
            and self.project.is_socketio(self.module, function.value)
        )

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            self._engine(node, alias.evaluated_name)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = (
            get_full_name_for_node(node.module) if node.module is not None and not node.relative else None
        )
        names = [] if isinstance(node.names, cst.ImportStar) else [each.evaluated_name for each in node.names]
        if module == "engineio":
            for name in names:
                self._engine(node, f"{module}.{name}")
        elif module is not None:
            self._engine(node, module)

    def _engine(self, node: cst.CSTNode, imported: str) -> None:
        for name, said in ENGINE.items():
            if imported == name or imported.startswith(f"{name}."):
                self._say(node, said)

    def _signal(self, node: cst.Call) -> None:
        handler = node.args[1].value if len(node.args) > 1 else None
        if handler is not None and self.module.imports_of(handler) & {"signal.SIG_DFL", "signal.SIG_IGN"}:
            return
        if self.runs:
            said = "socketio.run() calls it first and then stops the server, so it need not end the program"
        else:
            said = (
                "uvicorn and gunicorn's worker stop the server first, and call it when that has ended; "
                "socketio.run() calls it before"
            )
        self._say(node, f"A signal handler of the program's own: {said}.")

    def _options(self, node: cst.Call) -> None:
        for argument in node.args:
            name = argument.keyword.value if argument.keyword is not None else ""
            if argument.star == "**":
                self._say(
                    argument,
                    "Options come from elsewhere: remove async_mode, and what asyncsock warns of when it "
                    "starts.",
                )
            elif name == "client_manager" and not _is_none(argument.value):
                self._manager(argument)
            elif name == "json" and not _is_none(argument.value):
                self._say(
                    argument,
                    "json= is for this server only here, and not for the whole process: give it also to "
                    "others that "
                    "relied on it.",
                )
            elif name == "message_queue" and not _is_none(argument.value):
                self._say(
                    argument,
                    "Install the package of the message queue with asyncsock, as in pip install "
                    "'asyncsock[redis]' "
                    "(or rabbitmq, kafka, nats, zmq, kombu).",
                )

    def _manager(self, argument: cst.Arg) -> None:
        value = argument.value
        names = self.module.names_of(value.func) if isinstance(value, cst.Call) else set()
        if any(".Async" in name for name in names):
            return
        blocking = next((name.rpartition(".")[2] for name in names if BLOCKING.match(name)), None)
        said = f"{blocking} is for threads, and does" if blocking else "Managers for threads do"
        self._say(
            argument,
            f"{said} not work here: give SocketIO the URL and the channel as message_queue= and channel=, "
            "or a manager "
            "for asyncio such as socketio.AsyncRedisManager.",
        )

    def _flask_run(self, node: cst.Call) -> None:
        """``app.run()``, where app is a Flask application of a program with Socket.IO."""
        function = node.func
        if not isinstance(function, cst.Attribute) or function.attr.value != "run":
            return
        owner = function.value
        if not isinstance(owner, cst.Name) or self._is_run(node):
            return
        is_flask = owner.value in FLASK_NAMES or self._is_flask(owner)
        if is_flask and (not self.module.imports_of(owner) or self._is_ours(owner)):
            name = owner.value
            self._say(node, f"{name}.run() serves no Socket.IO: call socketio.run({name}, ...) in its place.")

    def _is_ours(self, owner: cst.Name) -> bool:
        return any(self.project.definition(self.module, name) for name in self.module.names_of(owner))

    def _is_flask(self, owner: cst.Name) -> bool:
        names = self.module.names_of(owner)
        return any(
            "flask.Flask" in call.names and names.intersection(call.targets) for call in self.module.calls
        )

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assigned(target.target)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._assigned(node.target)

    def _assigned(self, target: cst.BaseExpression) -> None:
        name = target.attr.value if isinstance(target, cst.Attribute) else ""
        if name == "wsgi_app":
            self._say(
                target,
                "This middleware does not guard Socket.IO's own path: refuse clients in the connect handler, "
                "and tell uvicorn of a proxy with --forwarded-allow-ips and --root-path.",
            )
        elif name in FLASK_JSON or (name == "json" and self._is_app(target)):
            self._say(
                target,
                f"{name} changes Flask's JSON, which events have only with SocketIO(json=flask.json).",
            )

    def _is_app(self, target: cst.BaseExpression) -> bool:
        owner = target.value if isinstance(target, cst.Attribute) else target
        last = owner.attr if isinstance(owner, cst.Attribute) else owner
        return isinstance(last, cst.Name) and last.value in ("app", "application", "flask", "flask_app")

    def visit_Try(self, node: cst.Try) -> None:
        if any(self._catches_interrupt(handler) for handler in node.handlers) and self._has_run(node.body):
            handler = next(handler for handler in node.handlers if self._catches_interrupt(handler))
            self._say(
                handler,
                "At Ctrl+C, socketio.run() stops the server and returns, and raises no KeyboardInterrupt: "
                "put what has "
                "to happen then behind run(), or into finally.",
            )

    def _catches_interrupt(self, handler: cst.ExceptHandler) -> bool:
        if handler.type is None or "KeyboardInterrupt" not in cst.Module([]).code_for_node(handler.type):
            return False
        return not _only_passes(handler.body)

    def _has_run(self, body: cst.BaseSuite) -> bool:
        found = False
        is_run = self._is_run

        class Runs(cst.CSTVisitor):
            def visit_Call(self, node: cst.Call) -> None:
                nonlocal found
                found = found or is_run(node)

        body.visit(Runs())
        return found


def _only_passes(body: cst.BaseSuite) -> bool:
    small = [
        each
        for line in body.body
        for each in (line.body if isinstance(line, cst.SimpleStatementLine) else [line])
    ]
    return all(isinstance(each, cst.Pass) for each in small)


def _is_none(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"
