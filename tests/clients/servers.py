"""Servers of other people's making, each in a process of its own, with a log beside the demo's."""

import os
import pathlib
import socket
import subprocess
import time

START_SECONDS = 120


class Server:
    """A child process that listens on `port` from now on."""

    def __init__(self, folder, name, port, command, **environment):
        self.port, self.log = port, pathlib.Path(folder, f"{name}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})
        limit = time.monotonic() + START_SECONDS
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise AssertionError(f"{name} does not answer: {self.said()[-2000:]}")
            time.sleep(0.1)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True

    def said(self):
        """Everything that it has printed."""
        return self.log.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
