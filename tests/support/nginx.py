"""nginx as the tests run it: in one process, which leads and serves, with nothing of the system's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.required_parts import require
from tests.support.server_process import START_TIMEOUT, Server, stop, wait_for_port

MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
# Each request to the next of the servers, whoever sends it.
ROUND_ROBIN = """
map $http_upgrade $connection_upgrade {{
    default upgrade;
    ''      close;
}}
upstream servers {{
    {servers}
}}
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://servers;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_buffering off;
        proxy_next_upstream off;
    }}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, site: str) -> Iterator[Server]:
    """Run nginx with a site that listens on a loopback port, until the block ends.

    Args:
        folder: Where it may leave files.
        port: The port of the site.
        site: What belongs into its configuration's "http" block.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    require(program, "nginx")
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    line = [str(program), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*line, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    log_path = folder / "nginx.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
    try:
        server = Server(process, port, log_path)
        wait_for_port(server, START_TIMEOUT)
        yield server
    finally:
        stop(process)


def round_robin(port: int, servers: Sequence[str]) -> str:
    """The site that gives each request to the next of some servers, which are as nginx names them."""
    return ROUND_ROBIN.format(
        port=port, servers="".join(f"server {server} max_fails=0;" for server in servers)
    )
