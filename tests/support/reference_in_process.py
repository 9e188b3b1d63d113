"""The reference server on a thread of the test's own process, over real sockets: started once, asked often."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from reference_server.app import create_app
from reference_server.settings import Settings


@contextlib.contextmanager
def reference_in_process(settings: Settings) -> Iterator[str]:
    """Its base URL (without a revision's prefix), while it runs. The port is a free one."""
    app = create_app(settings)
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="on", log_level="critical")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        async def serve() -> None:
            await server.serve(sockets=[listener])

        thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        thread.start()
        try:
            # Connections wait in the listener's queue until the server takes them: nothing need be waited for.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not stop"
