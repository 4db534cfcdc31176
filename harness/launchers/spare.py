"""Makes the common imports, and becomes a worker on request.

``python -m harness.launchers.spare LIBRARY...``, with the driver's socket as standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys

from harness.launchers.fork_server import be_worker


def main() -> None:
    """Wait for a request; end without one if the driver disconnects."""
    driver = os.getppid()
    channel = socket.socket(fileno=os.dup(0))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    message, descriptors, _, _ = socket.recv_fds(channel, 2**20, 2)
    channel.close()
    # A driver may have died since it sent the request: nothing would watch the worker.
    if message and os.getppid() == driver:
        log, lock = descriptors
        be_worker(json.loads(message), log, lock)


if __name__ == "__main__":
    main()
