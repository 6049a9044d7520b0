"""Lets uvicorn gather more of a body before it pauses the connection.

uvicorn stops reading from a connection that is 64 KiB ahead of the application, and starts again when that has been
taken: for an update of some megabytes most of its processor time goes into pausing. It has no setting for it.
"""

from uvicorn.protocols.http import h11_impl, httptools_impl

AHEAD_BYTES = 1 << 20


def let_uploads_flow() -> None:
    """From now on, let every connection be `AHEAD_BYTES` ahead."""
    for protocol in (h11_impl, httptools_impl):
        vars(protocol)["HIGH_WATER_LIMIT"] = AHEAD_BYTES
