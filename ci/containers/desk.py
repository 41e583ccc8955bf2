"""How the tests, which run on the login node, have nodes killed, cut off and brought back.

Only the machine that runs the containers can do that. While it runs the tests it listens on a
socket in a folder that it shares with the login node; there, `python3 ci/containers cut 2` is sent
on, as one line of JSON, and answered by another.
"""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import DESK_HERE
from layout import DESK


@contextmanager
def staffed(program: Path, allowed: Collection[str]) -> Iterator[None]:
    """Answer the login node for the length of a block."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            argv = json.loads(self.rfile.readline())
            if not argv or argv[0] not in allowed:
                answer = {"code": 1, "out": "", "err": f"not from the login node: {argv}\n"}
            else:
                command = [sys.executable, str(program), *argv]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    place = DESK_HERE / DESK.name
    place.unlink(missing_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(place), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            place.unlink()


def ask(place: Path, argv: list[str]) -> int:
    """Have a command carried out by whoever runs the containers; give its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        connection.sendall(json.dumps(argv).encode() + b"\n")
        with connection.makefile() as lines:
            answer = json.loads(lines.readline())
    sys.stdout.write(answer["out"])
    sys.stderr.write(answer["err"])
    return int(answer["code"])
