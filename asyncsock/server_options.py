"""Options of the servers that Flask-SocketIO ran, and asyncsock does not."""

from __future__ import annotations

# Options of `run()` that only the servers of eventlet, gevent and Werkzeug had.
IGNORED = {
    "allow_unsafe_werkzeug",
    "capitalize_response_headers",
    "custom_pool",
    "do_handshake_on_connect",
    "environ",
    "error_log",
    "handler_class",
    "keepalive",
    "load_dotenv",
    "log",
    "log_format",
    "log_x_forwarded_for",
    "max_http_version",
    "max_size",
    "minimum_chunk_size",
    "passthrough_errors",
    "processes",
    "protocol",
    "request_handler",
    "server_event",
    "server_side",
    "socket_timeout",
    "spawn",
    "static_files",
    "suppress_ragged_eofs",
    "threaded",
    "url_length_limit",
}
