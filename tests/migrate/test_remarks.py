"""What a person has to look at is listed with file and line, and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, MOVED_APP, moved, moved_file


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("app.wsgi_app = ProxyFix(app.wsgi_app)", "does not guard Socket.IO's own path"),
        (
            "socketio.init_app(app, client_manager=socketio.RedisManager(url))",
            "not work here: give SocketIO the URL",
        ),
        ("import signal; signal.signal(signal.SIGTERM, leave)", "call it when that has ended"),
        ("from waitress import serve; serve(app)", "waitress serves WSGI"),
        ("import waitress; waitress.serve(app)", "waitress serves WSGI"),
        ("from werkzeug.serving import run_simple; run_simple('', 80, app)", "Werkzeug serves WSGI"),
        ("from asgiref.wsgi import WsgiToAsgi; asgi_app = WsgiToAsgi(app)", "WsgiToAsgi serves WSGI"),
        ("from engineio.async_drivers import gevent", "This is of Flask-SocketIO's servers"),
        ("from engineio import async_drivers", "This is of Flask-SocketIO's servers"),
        ("import engineio.async_drivers.threading", "This is of Flask-SocketIO's servers"),
        ("from engineio.payload import Payload", "asyncsock has an engine of its own"),
        ("from wsgiserver import WSGIServer; WSGIServer(app)", "wsgiserver serves WSGI"),
        ("from gunicorn.app.base import BaseApplication; BaseApplication()", "gunicorn serves WSGI"),
        ("app.run()", "call socketio.run(app, ...) in its place"),
        ("app.json_provider_class = Provider", "SocketIO(json=flask.json)"),
        ("app.json = Provider(app)", "SocketIO(json=flask.json)"),
        ("socketio.init_app(app, json=simplejson)", "for this server only"),
        ("socketio.init_app(app, message_queue='redis://')", "pip install 'asyncsock[redis]'"),
        ("socketio.init_app(app, **OPTIONS)", "Options come from elsewhere"),
        ("from psycogreen.gevent import patch_psycopg; patch_psycopg()", "remove it"),
    ],
)
def test_this_line_is_remarked_and_left(line: str, said: str, tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"{FLASK_APP}{line}\n")
    assert f"{line}\n" in result["app.py"]
    number = result["app.py"].split("\n").index(line) + 1
    assert result.only_remark().startswith(f"app.py:{number}: ")
    assert said in result.only_remark()


@pytest.mark.parametrize(
    "line",
    [
        "socketio.init_app(app, client_manager=engine.AsyncRedisManager(url))",
        "socketio.init_app(app, message_queue=None, client_manager=None, json=None)",
        "import signal as sig; sig.signal(sig.SIGINT, sig.SIG_DFL)",
        "from engineio.packet import Packet",
        "render_template('page.html', async_mode='x')",
        "show(async_mode=socketio.async_mode)",
        "engine.Server(async_mode='threading')",
        "response.json = 1",
        "runner.run()",
        "subprocess.run(['x'])",
        "signal.signal('x', f)",
        "signal(app)",
        "serve(app)",
        "value = app.wsgi_app",
    ],
)
def test_this_line_is_not_remarked(line: str, tmp_path: Path) -> None:
    source = (
        f"{FLASK_APP}import subprocess\nimport socketio as engine\nfrom blinker import signal\n"
        f"from mine import serve\nfrom flask import render_template\n{line}\n"
    )
    assert moved_file(tmp_path, source).remarks == []


def test_a_blocking_client_manager_is_named(tmp_path: Path) -> None:
    source = (
        "import socketio\nfrom flask_socketio import SocketIO\n\ns = "
        "SocketIO(client_manager=socketio.KombuManager('x'))\n"
    )
    assert "KombuManager is for threads, and does not work here" in moved_file(tmp_path, source).only_remark()


def test_a_signal_handler_of_a_program_that_runs_the_server_is_called_there(tmp_path: Path) -> None:
    source = f"{FLASK_APP}import signal\nsignal.signal(signal.SIGTERM, leave)\nsocketio.run(app)\n"
    assert "socketio.run() calls it first" in moved_file(tmp_path, source).only_remark()


def test_an_interrupt_around_run_is_remarked(tmp_path: Path) -> None:
    source = (
        f"{FLASK_APP}try:\n    start()\n    socketio.run(app)\nexcept (KeyboardInterrupt, "
        f"SystemExit):\n    save()\n"
    )
    result = moved_file(tmp_path, source)
    assert result["app.py"] == source.replace(FLASK_APP, MOVED_APP)
    assert result.only_remark().startswith(
        "app.py:10: At Ctrl+C, socketio.run() stops the server and returns"
    )


def test_an_interrupt_around_something_else_is_not_remarked(tmp_path: Path) -> None:
    source = f"{FLASK_APP}try:\n    start()\nexcept KeyboardInterrupt:\n    save()\nsocketio.run(app)\n"
    assert moved_file(tmp_path, source).remarks == []


def test_modules_that_have_nothing_to_do_with_the_application_are_not_remarked(tmp_path: Path) -> None:
    other = "import signal\nfrom waitress import serve\nsignal.signal(1, f)\nserve(a)\na.wsgi_app = b\n"
    assert moved(tmp_path, {"app.py": FLASK_APP, "other.py": other}).remarks == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "templates/a.html",
            '<script src="https://cdnjs.cloudflare.com/ajax/libs/socket.io/2.3.0/socket.io.js"></script>',
        ),
        (
            "templates/a.html",
            '<script src="//cdnjs.cloudflare.com/ajax/libs/socket.io/1.3.6/socket.io.min.js"></script>',
        ),
        ("a.jinja2", "<script src='https://cdn.socket.io/socket.io-1.4.5.js'></script>"),
        (
            "a.htm",
            '<script src="https://cdn.jsdelivr.net/npm/socket.io-client@2/dist/socket.io.js"></script>',
        ),
        ("static/socket.io.js", "/*! Socket.IO v2.3.0 */"),
        ("web/package.json", '{"dependencies": {"socket.io-client": "^2.3.0"}}'),
        (
            "app.py",
            'PAGE = "<script src=//cdnjs.cloudflare.com/ajax/libs/socket.io/2.2.0/socket.io.js></script>"',
        ),
    ],
)
def test_an_old_javascript_client_is_remarked(name: str, line: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {"main.py": FLASK_APP, name: f"\n{line}\n"})
    assert result.only_remark().startswith(f"{name}:2: A JavaScript client ")
    assert "socket.io-client 4" in result.only_remark()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "a.html",
            '<script src="https://cdnjs.cloudflare.com/ajax/libs/socket.io/4.7.2/socket.io.js"></script>',
        ),
        ("a.html", '<script src="https://cdn.socket.io/4.0.1/socket.io.min.js"></script>'),
        (
            "a.html",
            '<script src="https://cdn.jsdelivr.net/npm/socket.io-client@3/dist/socket.io.js"></script>',
        ),
        ("package.json", '{"dependencies": {"socket.io-client": "^4.2.0", "socket.io-parser": "2.0.0"}}'),
    ],
)
def test_a_newer_javascript_client_is_not_remarked(name: str, line: str, tmp_path: Path) -> None:
    assert moved(tmp_path, {"main.py": FLASK_APP, name: f"{line}\n"}).remarks == []


@pytest.mark.parametrize(
    "handler", ["except KeyboardInterrupt:\n    pass\n", "except KeyboardInterrupt: pass\n"]
)
def test_an_interrupt_at_which_nothing_happens_is_not_remarked(handler: str, tmp_path: Path) -> None:
    assert moved_file(tmp_path, f"{FLASK_APP}try:\n    socketio.run(app)\n{handler}").remarks == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('install("flask", "flask-socketio>=5.3")', "A text names flask-socketio: "),
        ('os.system("pip install flask Flask-SocketIO")', "A text names flask-socketio: "),
        ('os.system("gunicorn -k gevent app:app")', "This program starts gunicorn with a worker for WSGI: "),
        (
            'Popen([python, "-m", "gunicorn", "--worker-class", "eventlet", "app:app"])',
            "This program starts gunicorn with a worker for WSGI: ",
        ),
    ],
)
def test_a_program_that_installs_or_starts_it_is_remarked(text: str, said: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {"app.py": FLASK_APP, "start.py": f"import os\n\n{text}\n"})
    assert result.changed == ["app.py"]
    assert result.only_remark().startswith(f"start.py:3: {said}")


@pytest.mark.parametrize(
    "text",
    [
        '"""Start it with gunicorn -k gevent app:app, after pip install flask-socketio."""',
        "print('Flask-SocketIO is ready')",
        "os.system('gunicorn -k sync_class other:app')",
    ],
)
def test_a_program_that_only_speaks_of_it_is_not_remarked(text: str, tmp_path: Path) -> None:
    assert moved(tmp_path, {"app.py": FLASK_APP, "start.py": f"import os\n\n{text}\n"}).remarks == []
