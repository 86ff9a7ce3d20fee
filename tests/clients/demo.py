"""Runs `vestibule demo` on free ports with a data folder of its own, and restarts it in place."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

PASSWORD = "correct horse battery staple"
PROFILE = pathlib.Path(__file__).resolve().parents[2] / "profiles/demo/deployment.toml"
SECRET = "a secret of the service behind the resource"
USERNAME = "demo@example.com"
START_SECONDS = 30
STOP_SECONDS = 20


class Demo:
    """The demo as a child process; `restart` keeps ports and data folder. `how` goes to Popen."""

    def __init__(self, binary, more=(), **how):
        self.binary, self.more, self.how = str(binary), list(more), how
        self.folder = tempfile.mkdtemp(prefix="vestibule-clients-")
        self.auth, self.gateway = _free_ports(2)
        self.issuer = f"http://localhost:{self.auth}"
        self.url = f"http://localhost:{self.gateway}/mcp"
        self.alias = f"http://127.0.0.1:{self.gateway}/mcp"
        self.log = pathlib.Path(self.folder, "demo.log")
        self.process = None

    def add(self, tables):
        """Adds tables to the demo's deployment file; `{folder}` holds `resource-server-secret`."""
        secret = pathlib.Path(self.folder, "resource-server-secret")
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        config = pathlib.Path(self.folder, "deployment.toml")
        config.write_text(PROFILE.read_text() + tables.replace("{folder}", self.folder))
        self.more += ["--config", str(config)]
        return self

    def start(self):
        """Starts the demo and waits until both services answer."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "demo", "--auth-listen", f"127.0.0.1:{self.auth}",
                 "--gateway-listen", f"127.0.0.1:{self.gateway}",
                 "--data-dir", f"{self.folder}/data", *self.more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "VESTIBULE_DEMO_PASSWORD": PASSWORD}, **self.how)
        documents = (f"{self.issuer}/.well-known/oauth-authorization-server",
                     f"http://localhost:{self.gateway}/.well-known/oauth-protected-resource/mcp")
        limit = time.monotonic() + START_SECONDS
        for document in documents:
            while not _answers(document):
                if self.process.poll() is not None:
                    raise AssertionError(f"the demo ended with {self.process.returncode}: {self.tail()}")
                if time.monotonic() > limit:
                    raise AssertionError(f"{document} did not answer: {self.tail()}")
                time.sleep(0.05)
        return self

    def stop(self):
        """Asks the demo to stop and waits for it; a demo that does not stop is a failure."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the demo did not stop within {STOP_SECONDS} s of SIGTERM") from None

    def restart(self):
        """Stops and starts; returns the seconds the demo was away."""
        since = time.monotonic()
        self.stop()
        self.start()
        return time.monotonic() - since

    def tail(self, lines=15):
        """The last lines that the demo printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _answers(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            json.load(answer)
            return True
    except (OSError, ValueError):
        return False


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
