"""TLS to brokers whose URLs name the certificate files."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping

OPTIONS = ("cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl")


def client_context(options: Mapping[str, str]) -> ssl.SSLContext:
    """A context from the options of a URL, which are aio-pika's.

    Args:
        options: Those in `OPTIONS`: the authorities to trust instead of the system's (``cafile``,
            ``capath``, ``cadata`` in base64), the client's certificate (``certfile``, ``keyfile``), and
            ``no_verify_ssl``, which turns verification off unless it is ``0``.

    Raises:
        OSError: A file is not there, or has no certificate or key in it.
    """
    data = options.get("cadata")
    context = ssl.create_default_context(
        cafile=options.get("cafile"),
        capath=options.get("capath"),
        cadata=base64.b64decode(data) if data else None,
    )
    if "certfile" in options:
        context.load_cert_chain(options["certfile"], options.get("keyfile"))
    if options.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
