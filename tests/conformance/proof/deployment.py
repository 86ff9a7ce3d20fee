"""Starting what is measured: the suite's own Node, the upstream fixture, and a gateway."""

import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODE = ROOT / "node_modules" / "node" / "bin" / "node"
SUITE = ROOT / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
START_LIMIT = 60
STOP_LIMIT = 10


def install():
    """Installs the pinned packages, unless what is installed is already what the lock asks for."""
    lock, installed = ROOT / "package-lock.json", ROOT / "node_modules" / ".conformance-lock"
    if NODE.exists() and installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    subprocess.run([shutil.which("npm") or "npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT, check=True)
    shutil.copyfile(lock, installed)


class Process:
    """A child that ends with the `with` block, whose output is kept for when it fails."""

    def __init__(self, command, log):
        self.log = pathlib.Path(log)
        self.name = pathlib.Path(command[0]).name
        with self.log.open("wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def wait_until(self, ready):
        """Polls `ready` until it answers something; fails when the child ends or takes too long."""
        limit = time.monotonic() + START_LIMIT
        while time.monotonic() < limit:
            if self.child.poll() is not None:
                break
            answer = ready()
            if answer:
                return answer
            threading.Event().wait(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")


def start_upstream(work):
    """Starts the fixture on a port of its own; answers the process and its origin."""
    process = Process([NODE, ROOT / "upstream" / "server.mjs", "--port", "0"], work / "upstream.log")

    def origin():
        _, _, said = process.log.read_text().partition("listening on ")
        return said.strip()

    return _started(process, origin)


def start_gateway(binary, template, work, values, resources):
    """Starts `BINARY serve` on the template with each `@NAME@` replaced by its value.

    It has started when the protected resource metadata of each resource answers 200.
    """
    text = pathlib.Path(template).read_text()
    password = work / "password"
    password.touch(mode=0o600)
    password.write_text(values["PASSWORD"])
    for name, value in {**values, "PASSWORD_FILE": password}.items():
        text = text.replace(f"@{name}@", str(value))
    config, data = work / "vestibule.toml", work / "data"
    config.write_text(text)
    data.mkdir(mode=0o700, exist_ok=True)
    command = [binary, "serve", "--config", config, "--data-dir", data]
    process = Process(command, work / "gateway.log")
    return _started(process, lambda: all(_answers(metadata_url(url)) for url in resources))[0]


def _started(process, ready):
    try:
        return process, process.wait_until(ready)
    except BaseException:
        process.__exit__()
        raise


def metadata_url(resource):
    """Where RFC 9728 section 3.1 puts the metadata of a resource: before its path."""
    parts = urllib.parse.urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}"


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
