"""How is somebody told at a hit? A policy that posts each division to a web address.

``smartscope run`` calls ``post`` in a process of its own; if the address does not
answer, the run goes on and says which message was not delivered.

    response:
      - {policy: notify, on: division, call: "webhook:post"}

Run it by itself to see what is sent: it waits for one message and prints it.
"""

from __future__ import annotations

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

ADDRESS = "http://localhost:8123"


def post(message: dict[str, Any]) -> None:
    """Send a message as JSON; raise if it is not taken."""
    request = urllib.request.Request(
        os.environ.get("WEBHOOK", ADDRESS),
        data=json.dumps(message).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


class _Printer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        print(self.rfile.read(length).decode())
        self.send_response(204)
        self.end_headers()


def main() -> None:
    """Wait for one message."""
    print(f"waiting at {ADDRESS}")
    with HTTPServer(("localhost", 8123), _Printer) as server:
        server.handle_request()


if __name__ == "__main__":
    main()
