"""gunicorn's worker class and its application change together, in every form of a command, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, moved

WORKER = "uvicorn_worker.UvicornWorker"
OLD = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
BASE = {"app.py": FLASK_APP, "requirements.txt": "gunicorn\nuvicorn-worker\n"}
FACTORY = {
    "web.py": "from flask_socketio import SocketIO\nsocketio = SocketIO()\ndef create_app():\n    "
    "socketio.init_app(app)\n"
}


def command(folder: Path, name: str, text: str, **more: str) -> str:
    """A file with a command, moved together with app.py, where nothing was to be remarked."""
    result = moved(folder, {**BASE, name: text, **more})
    assert result.remarks == []
    return result[name]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gunicorn -k eventlet -w 1 app:app", f"gunicorn -k {WORKER} -w 1 app:asgi"),
        ("gunicorn --worker-class gevent -w 1 app:app", f"gunicorn --worker-class {WORKER} -w 1 app:asgi"),
        (f"gunicorn --worker-class={OLD} app:app", f"gunicorn --worker-class={WORKER} app:asgi"),
        ("gunicorn -kgevent app:app -w4", f"gunicorn -k{WORKER} app:asgi -w4"),
        ("gunicorn app:app", f"gunicorn -k {WORKER} app:asgi"),
        ("gunicorn -k gthread app:asgi", f"gunicorn -k {WORKER} app:asgi"),
        ("gunicorn --threads 100 -b 0.0.0.0:80 app:app", f"gunicorn -k {WORKER} -b 0.0.0.0:80 app:asgi"),
        ("gunicorn -w 1 --threads=100 app:app --reload", f"gunicorn -k {WORKER} -w 1 app:asgi --reload"),
        (
            "exec /opt/env/bin/gunicorn -k gthread 'app:app'",
            f"exec /opt/env/bin/gunicorn -k {WORKER} 'app:asgi'",
        ),
        (
            "python -m gunicorn --preload -k gevent app:app",
            f"python -m gunicorn --preload -k {WORKER} app:asgi",
        ),
        (
            "uv run gunicorn -b :${PORT:-80} -k gevent app:app",
            f"uv run gunicorn -b :${{PORT:-80}} -k {WORKER} app:asgi",
        ),
        (
            "cd src && gunicorn -k gevent app:app & sleep 3",
            f"cd src && gunicorn -k {WORKER} app:asgi & sleep 3",
        ),
        (
            "gunicorn -k gevent \\\n  --bind $HOST \\\n  app:app \\\n  > log",
            f"gunicorn -k {WORKER} \\\n  --bind $HOST \\\n  app:asgi \\\n  > log",
        ),
    ],
)
def test_a_command_of_a_shell_moves(before: str, after: str, tmp_path: Path) -> None:
    assert command(tmp_path / "sh", "start.sh", f"#!/bin/sh\n{before}\n") == f"#!/bin/sh\n{after}\n"
    assert command(tmp_path / "script", "bin/start", f"#!/bin/bash\n{before}\n") == f"#!/bin/bash\n{after}\n"
    assert command(tmp_path / "unit", "web.service", f"[Service]\nExecStart={before}\n").endswith(
        f"={after}\n"
    )
    assert command(tmp_path / "image", "Dockerfile", f"CMD {before}\n") == f"CMD {after}\n"
    assert (
        command(tmp_path / "procfile", "Procfile", f"web: {before}\nworker: celery\n")
        == f"web: {after}\nworker: celery\n"
    )
    assert command(tmp_path / "make", "Makefile", f"run:\n\t{before}\n") == f"run:\n\t{after}\n"


@pytest.mark.parametrize("instruction", ["CMD", "ENTRYPOINT"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["gunicorn", "-k", "eventlet", "app:app"], ["gunicorn", "-k", WORKER, "app:asgi"]),
        (["gunicorn", "--threads", "9", "app:app"], ["gunicorn", "-k", WORKER, "app:asgi"]),
        (
            ["/bin/gunicorn", f"--worker-class={OLD}", "app:app", "-w", "1"],
            ["/bin/gunicorn", f"--worker-class={WORKER}", "app:asgi", "-w", "1"],
        ),
        (
            ["sh", "-c", "exec gunicorn -k eventlet -b :$PORT app:app"],
            ["sh", "-c", f"exec gunicorn -k {WORKER} -b :$PORT app:asgi"],
        ),
    ],
)
def test_a_list_of_words_moves(instruction: str, before: list[str], after: list[str], tmp_path: Path) -> None:
    text = command(tmp_path / "image", "Dockerfile", f"{instruction} {json.dumps(before)}\n")
    assert text == f"{instruction} {json.dumps(after)}\n"
    text = command(
        tmp_path / "compose", "compose.yaml", f"web:\n    command: {json.dumps(before)}\n    tty: true\n"
    )
    assert text == f"web:\n    command: {json.dumps(after)}\n    tty: true\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("command: gunicorn -k gevent app:app\n", f"command: gunicorn -k {WORKER} app:asgi\n"),
        ("command: 'gunicorn -k gevent app:app'\n", f"command: 'gunicorn -k {WORKER} app:asgi'\n"),
        (
            'command: sh -c "gunicorn -k gevent app:app"\n',
            f'command: sh -c "gunicorn -k {WORKER} app:asgi"\n',
        ),
        (
            'command: >\n      bash -c "flask db upgrade\n      && gunicorn -k gevent app:app"\n',
            f'command: >\n      bash -c "flask db upgrade\n      && gunicorn -k {WORKER} app:asgi"\n',
        ),
        (
            "command: bash -c '\n      gunicorn -k gevent app:app\n      '\n    tty: 'true'\n",
            f"command: bash -c '\n      gunicorn -k {WORKER} app:asgi\n      '\n    tty: 'true'\n",
        ),
        (
            "command: gunicorn -k gevent\n      -w 1 app:app\n",
            f"command: gunicorn -k {WORKER}\n      -w 1 app:asgi\n",
        ),
        (
            "command: >\n      gunicorn app:app\n      --threads 100 -k gthread\n      -b :80\n",
            f"command: >\n      gunicorn app:asgi\n      -k {WORKER}\n      -b :80\n",
        ),
        (
            "command: |\n      flask db upgrade\n      gunicorn -k gevent app:app\n      echo done\n",
            f"command: |\n      flask db upgrade\n      gunicorn -k {WORKER} app:asgi\n      echo done\n",
        ),
        (
            "command:\n      - gunicorn\n      - --threads\n      - '8'\n      - app:app\n",
            f"command:\n      - gunicorn\n      - -k\n      - {WORKER}\n      - app:asgi\n",
        ),
        (
            'command:\n      - "gunicorn"\n      - "-k"\n      - "gevent"  # green\n      - "app:app"\n',
            f'command:\n      - "gunicorn"\n      - "-k"\n      - "{WORKER}"  # green\n      - "app:asgi"\n',
        ),
    ],
)
def test_a_service_of_compose_moves(before: str, after: str, tmp_path: Path) -> None:
    start, end = "services:\n  web:\n    ", "    ports:\n      - 80:80\n"
    assert command(tmp_path, "docker-compose.yml", start + before + end) == start + after + end


def test_the_module_is_looked_for_where_the_command_changes_to(tmp_path: Path) -> None:
    files = {
        "backend/src/app.py": FLASK_APP,
        "Procfile": "web: gunicorn --chdir backend/src -k gevent app:app\n",
    }
    result = moved(tmp_path, files)
    assert result["Procfile"] == f"web: gunicorn --chdir backend/src -k {WORKER} app:asgi\n"
    assert "asgi = socketio.asgi_app" in result["backend/src/app.py"]


def test_an_application_without_its_name_is_called_application(tmp_path: Path) -> None:
    source = FLASK_APP.replace("app =", "application =").replace("(app)", "(application)")
    result = moved(tmp_path, {"wsgi.py": source, "Procfile": "web: gunicorn -k gevent wsgi\n"})
    assert result["Procfile"] == f"web: gunicorn -k {WORKER} wsgi:asgi\n"


def test_a_module_that_imports_the_application_gets_the_line(tmp_path: Path) -> None:
    files = {
        **BASE,
        "start.py": "from app import app\n\nprint(app)\n",
        "Procfile": "web: gunicorn -k gevent start:app\n",
    }
    result = moved(tmp_path, files)
    assert (
        result["start.py"]
        == 'from app import app\n\nasgi = app.extensions["socketio"].asgi_app\n\nprint(app)\n'
    )
    assert "start:asgi" in result["Procfile"]


@pytest.mark.parametrize(
    "line",
    [
        'gunicorn -k eventlet "web:create_app()"',
        "gunicorn -k eventlet $MODULE",
        "gunicorn -k eventlet missing:app",
        "gunicorn -k eventlet web:app",
        "gunicorn -k mine.Worker web:app",
        "gunicorn -k $WORKER web:app",
    ],
)
def test_what_cannot_be_served_is_left_and_remarked(line: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {**FACTORY, "start.sh": f"#!/bin/sh\n{line}\n"})
    assert result["start.sh"] == f"#!/bin/sh\n{line}\n"
    assert result.only_remark().startswith("start.sh:2: gunicorn ")
    assert f"`module:asgi` with -k {WORKER}" in result.only_remark()


def test_a_factory_in_a_command_is_remarked_with_the_lines_to_write(tmp_path: Path) -> None:
    result = moved(tmp_path, {**FACTORY, "Procfile": "web: gunicorn 'web:create_app()'\n"})
    assert '`app = create_app()` and `asgi = app.extensions["socketio"].asgi_app`' in result.only_remark()


@pytest.mark.parametrize(
    "line",
    [
        "# gunicorn -k eventlet app:app",
        "pip install gunicorn",
        "command -v gunicorn",
        "pkill gunicorn",
        "gunicorn -k gevent other:app",
        "cp gunicorn.conf.py /etc",
        "tail log/gunicorn.log",
        f"gunicorn -k {WORKER} app:asgi",
        "gunicorn -k uvicorn.workers.UvicornWorker app:asgi",
    ],
)
def test_other_lines_are_left(line: str, tmp_path: Path) -> None:
    files = {**BASE, "other.py": "from flask import Flask\napp = Flask('')\n", "run.sh": f"{line}\n"}
    result = moved(tmp_path, files)
    assert result.changed == ["app.py"]
    assert result.remarks == []


CONFIG = "import os\n\nbind = ':80'\nworker_class = 'gevent'  # green\nthreads = 8\n"
MOVED_CONFIG = f"import os\n\nbind = ':80'\nworker_class = '{WORKER}'  # green\n"


@pytest.mark.parametrize(
    ("name", "line", "after"),
    [
        ("gunicorn.conf.py", "gunicorn app:app", "gunicorn app:asgi"),
        (
            "deploy/settings.py",
            "gunicorn -c deploy/settings.py app:app",
            "gunicorn -c deploy/settings.py app:asgi",
        ),
        (
            "gunicorn_config.py",
            "gunicorn --config=/srv/gunicorn_config.py app:app",
            "gunicorn --config=/srv/gunicorn_config.py app:asgi",
        ),
        ("gunicorn.conf.py", "gunicorn -k gevent app:app", f"gunicorn -k {WORKER} app:asgi"),
    ],
)
def test_a_configuration_moves_with_its_command(name: str, line: str, after: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {**BASE, name: CONFIG, "Procfile": f"web: {line}\n"})
    assert (result[name], result["Procfile"]) == (MOVED_CONFIG, f"web: {after}\n")
    assert result.remarks == []


def test_a_configuration_that_names_the_application_moves_alone(tmp_path: Path) -> None:
    result = moved(tmp_path, {**BASE, "gunicorn.conf.py": f'{CONFIG}wsgi_app = "app:app"\n'})
    assert result["gunicorn.conf.py"] == f'{MOVED_CONFIG}wsgi_app = "app:asgi"\n'


def test_the_patch_of_a_configuration_goes_with_its_class(tmp_path: Path) -> None:
    patch = "from gevent import monkey\nmonkey.patch_all()\n\n"
    result = moved(
        tmp_path, {**BASE, "gunicorn.conf.py": patch + CONFIG, "Procfile": "web: gunicorn app:app\n"}
    )
    assert result["gunicorn.conf.py"] == MOVED_CONFIG


@pytest.mark.parametrize("procfile", ["web: python app.py\n", "web: gunicorn -c gunicorn.conf.py $APP\n"])
def test_a_configuration_whose_command_cannot_move_is_left_and_remarked(
    procfile: str, tmp_path: Path
) -> None:
    result = moved(tmp_path, {**BASE, "gunicorn.conf.py": CONFIG, "Procfile": procfile})
    assert result.changed == ["app.py"]
    assert "together" in result.only_remark()


def test_a_class_that_is_computed_keeps_the_command_too(tmp_path: Path) -> None:
    config = "import os\nworker_class = os.environ['CLASS']\n"
    result = moved(tmp_path, {**BASE, "gunicorn.conf.py": config, "Procfile": "web: gunicorn app:app\n"})
    assert result.changed == ["app.py"]
    assert result.only_remark().startswith(
        "Procfile:1: This command and gunicorn.conf.py have to change together"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("waitress-serve --port=80 app:app", "waitress serves WSGI only"),
        ("uwsgi --http :80 --gevent 100 --module app", "uWSGI cannot serve asyncsock"),
        ("uwsgi app.ini", "uWSGI cannot serve asyncsock"),
        ("flask run --host 0.0.0.0", "`flask run` serves no Socket.IO"),
        ("export GUNICORN_CMD_ARGS='-k gevent'", "options in the environment"),
    ],
)
def test_other_servers_are_remarked(line: str, said: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {**BASE, "start.sh": f"#!/bin/sh\npip install uwsgi flask\n{line}\n"})
    assert result.only_remark().startswith("start.sh:3: ")
    assert said in result.only_remark()


def test_the_file_of_replit_is_one_of_commands(tmp_path: Path) -> None:
    before = (
        'run = "gunicorn -k gevent app:app"\n\n[deployment]\nrun = ["gunicorn", "-k", "gevent", "app:app"]\n'
    )
    assert command(tmp_path, ".replit", before) == before.replace("app:app", "app:asgi").replace(
        "gevent", WORKER
    )


def test_a_tree_without_socket_io_is_left_as_it_is(tmp_path: Path) -> None:
    files = {
        "app.py": "from gevent import monkey\nmonkey.patch_all()\nfrom flask import Flask\napp = "
        "Flask('')\napp.run()\n",
        "Procfile": "web: gunicorn -k gevent app:app\n",
        "requirements.txt": "gevent\nFlask<3\n",
    }
    result = moved(tmp_path, files)
    assert (result.changed, result.remarks) == ([], [])


@pytest.mark.parametrize("config", [CONFIG, "workers = 4\nthreads = 2\n"])
def test_a_command_for_another_application_is_left_beside_one_that_moves(config: str, tmp_path: Path) -> None:
    files = {
        **BASE,
        "simple.py": "from flask import Flask\n\napp = Flask('')\n",
        "gunicorn.conf.py": config,
        "Procfile": "web: gunicorn -k gevent app:app\nplain: gunicorn -k sync simple:app\n",
    }
    result = moved(tmp_path, files)
    assert "plain: gunicorn -k sync simple:app\n" in result["Procfile"]
    assert result["gunicorn.conf.py"] == config
    if config is CONFIG:
        assert result.only_remark().startswith("Procfile:1: This command and gunicorn.conf.py")
    else:
        assert result["Procfile"].startswith(f"web: gunicorn -k {WORKER} app:asgi\n")


def test_a_worker_class_of_the_projects_own_is_left(tmp_path: Path) -> None:
    result = moved(tmp_path, {**BASE, "Procfile": "web: gunicorn -k mine.Worker app:app\n"})
    assert result.changed == ["app.py"]
    assert result.only_remark().startswith("Procfile:1: gunicorn serves app:app as WSGI here")
