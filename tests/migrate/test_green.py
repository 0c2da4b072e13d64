"""Monkey patches go, with imports that nothing else uses; other uses of eventlet and gevent are remarked."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, MOVED_APP, moved, moved_file


@pytest.mark.parametrize(
    "patch",
    [
        "import eventlet\neventlet.monkey_patch()\n\n",
        "import eventlet\n\neventlet.monkey_patch(socket=True, select=True)\n\n\n",
        "from eventlet import monkey_patch\nmonkey_patch()\n",
        "from gevent import monkey\nmonkey.patch_all()\n\n",
        "from gevent import monkey; monkey.patch_all()\n",
        "import gevent.monkey\ngevent.monkey.patch_all()\n",
        "from gevent.monkey import patch_all as patch\npatch()\n",
        "import gevent\nfrom gevent import monkey\n\nmonkey.patch_socket()\nmonkey.patch_thread()\n",
        "try:\n    import eventlet\n    eventlet.monkey_patch()\nexcept ImportError:\n    pass\n\n",
        "if True:\n    import eventlet\n    eventlet.monkey_patch()\n\n",
        "from geventwebsocket.handler import WebSocketHandler\n",
        "if a == 1:\n    import eventlet\n    eventlet.monkey_patch()\nelif a == 2:\n"
        "    from gevent import monkey\n    monkey.patch_all()\nelse:\n    import gevent\n\n",
    ],
)
def test_a_patch_of_this_form_goes(patch: str, tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"{patch}{FLASK_APP}")
    assert result["app.py"] == MOVED_APP
    assert result.remarks == []


def test_only_the_names_of_an_import_that_nothing_uses_go(tmp_path: Path) -> None:
    source = (
        f"import os, eventlet, sys\nfrom gevent import monkey, spawn\neventlet.monkey_patch()\n"
        f"monkey.patch_all()\n{FLASK_APP}spawn(f)\n"
    )
    result = moved_file(tmp_path, source)
    assert result["app.py"] == f"import os, sys\nfrom gevent import spawn\n{MOVED_APP}spawn(f)\n"
    assert result.only_remark() == (
        "app.py:9: gevent.spawn does not work beside asyncio: use socketio.start_background_task(), of "
        "which a "
        "coroutine function makes a task."
    )


def test_a_block_that_is_left_empty_passes(tmp_path: Path) -> None:
    source = (
        f"{FLASK_APP}\ndef post_fork(server, worker):\n    from gevent import monkey\n    "
        f"monkey.patch_all()\n"
    )
    assert (
        moved_file(tmp_path, source)["app.py"] == f"{MOVED_APP}\ndef post_fork(server, worker):\n    pass\n"
    )


def test_a_block_with_an_else_passes(tmp_path: Path) -> None:
    patch = (
        "import os\nif os.name == 'nt':\n    import eventlet\n    eventlet.monkey_patch()\nelse:\n"
        "    print(1)\n"
    )
    kept = "import os\nif os.name == 'nt':\n    pass\nelse:\n    print(1)\n"
    assert moved_file(tmp_path, patch + FLASK_APP)["app.py"] == kept + MOVED_APP


def test_comments_and_documentation_around_a_patch_stay(tmp_path: Path) -> None:
    source = (
        f'"""A chat."""\n# First of all:\nimport eventlet  # green\neventlet.monkey_patch()\n# '
        f"The rest:\n{FLASK_APP}"
    )
    assert (
        moved_file(tmp_path, source)["app.py"] == f'"""A chat."""\n# First of all:\n# The rest:\n{MOVED_APP}'
    )


def test_a_patch_of_a_program_that_imports_the_application_goes(tmp_path: Path) -> None:
    files = {
        "app.py": FLASK_APP,
        "run.py": "import eventlet\neventlet.monkey_patch()\n\nfrom app import app, socketio\n\n"
        "socketio.run(app)\n",
    }
    assert "eventlet" not in moved(tmp_path, files)["run.py"]


@pytest.mark.parametrize("rest", ["", "from celery import Celery\nfrom app import app\n"])
def test_a_patch_of_another_program_is_left_and_remarked(rest: str, tmp_path: Path) -> None:
    files = {"app.py": FLASK_APP, "worker.py": f"from gevent import monkey\nmonkey.patch_all()\n{rest}"}
    result = moved(tmp_path, files)
    assert result.changed == ["app.py"]
    assert result.only_remark().startswith("worker.py:2: This patches Python")


def test_a_function_of_the_same_name_is_no_patch(tmp_path: Path) -> None:
    source = f"{FLASK_APP}\nfrom mine import eventlet, monkey\neventlet.monkey_patch()\nmonkey.patch_all()\n"
    result = moved_file(tmp_path, source)
    assert result["app.py"].endswith(
        "from mine import eventlet, monkey\neventlet.monkey_patch()\nmonkey.patch_all()\n"
    )


def test_a_question_for_a_package_is_left_and_remarked(tmp_path: Path) -> None:
    question = (
        "try:\n    import eventlet\n    mode = 'eventlet'\nexcept ImportError:\n    mode = 'threading'\n"
    )
    result = moved_file(tmp_path, FLASK_APP + question)
    assert result["app.py"] == MOVED_APP + question
    assert result.only_remark().startswith("app.py:8: This asks whether eventlet is installed")


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("import gevent\ngevent.spawn(f)", "socketio.start_background_task()"),
        ("import eventlet\neventlet.spawn_n(f)", "socketio.start_background_task()"),
        ("import eventlet\neventlet.greenthread.sleep(1)", "socketio.sleep()"),
        ("from gevent.queue import Queue\nQueue()", "queue.Queue"),
        ("from eventlet.event import Event\nEvent()", "threading.Event"),
        ("from gevent.lock import BoundedSemaphore\nBoundedSemaphore()", "threading.Semaphore"),
        ("from gevent import Timeout\nTimeout(1)", "asyncio.timeout()"),
        ("import eventlet\neventlet.GreenPool()", "ThreadPoolExecutor"),
        (
            "from gevent.pywsgi import WSGIServer\nWSGIServer(('', 80), app)",
            "socketio.run(app, host=..., port=...)",
        ),
        ("import eventlet.wsgi\neventlet.wsgi.server(None, app)", "socketio.run(app, host=..., port=...)"),
        ("import gevent\ngevent.something()", "What is left of gevent and eventlet"),
    ],
)
def test_a_direct_call_is_remarked_with_what_is_used_in_its_place(
    line: str, use: str, tmp_path: Path
) -> None:
    result = moved_file(tmp_path, f"{FLASK_APP}{line}\n")
    assert result["app.py"] == f"{MOVED_APP}{line}\n"
    assert result.only_remark().startswith("app.py:8: ")
    assert use in result.only_remark()


def test_an_import_whose_name_may_be_none_is_left_and_remarked(tmp_path: Path) -> None:
    patch = (
        "try:\n    import eventlet\n    eventlet.monkey_patch()\nexcept ImportError:\n    eventlet = None\n"
    )
    result = moved_file(tmp_path, patch + FLASK_APP)
    assert result["app.py"] == patch + MOVED_APP
    said = "eventlet does not work beside asyncio: remove it and what uses it"
    assert result.only_remark().startswith(f"app.py:2: {said}")
