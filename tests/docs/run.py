#!/usr/bin/env python3
"""Replays the pages that show commands as a new user would: docs/integrate, docs/connect and some of docs/operate.

The first two run against a demo, the last against the servers that they start themselves.

Blocks that begin with a file's name are written to that file; `console` blocks are run, and what they print must be
what the page says. Ports, tokens and times differ between two runs and are not compared. With --write the page gets
the output of this run where it differs.
"""

import argparse
import difflib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "clients"))

from demo import PASSWORD, SECRET, USERNAME, Demo  # noqa: E402

PAGE = ROOT / "docs/integrate/README.md"
OWN = [ROOT / "docs/operate" / name for name in ("backends.md", "keys.md", "lost-key-encryption-key.md")]
CONNECT = sorted((ROOT / "docs/connect").glob("*.md"))
RUST = HERE / "verify.rs"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NAME = re.compile(r"(?:#|//) ([\w.]+\.\w+)\n")
COMMAND_SECONDS = 60

# Opens the page as a person does: signs in, approves, and lands at the program's own address.
BROWSER = """import sys, urllib.request
sys.path.insert(0, {clients!r})
from browser import Person
callback = Person({username!r}, {password!r}).authorize(sys.argv[1])
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(callback, timeout=20).read()
"""


class Replay:
    """One demo, and a folder with the page's files."""

    def __init__(self, binary, python):
        text = PAGE.read_text()
        tables = "".join(body for kind, body in BLOCK.findall(text) if kind == "toml")
        assert tables, "the page shows no table for the deployment file"
        self.demo = Demo(binary).add("\n" + self._here(tables))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-docs-"))
        programs = self.folder / "bin"
        programs.mkdir()
        node = ROOT / ".tools/node/bin/node"
        (programs / "node").symlink_to(node if node.exists() else shutil.which("node"))
        (programs / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        (programs / "python3").chmod(0o755)
        (self.folder / "node_modules").symlink_to(ROOT / "tests/clients/node/node_modules")
        browser = self.folder / "browser.py"
        browser.write_text(BROWSER.format(clients=str(HERE.parent / "clients"), username=USERNAME, password=PASSWORD))
        self.environment = {**os.environ, "BROWSER": f"{sys.executable} {browser} %s &", "NO_PROXY": "localhost,127.0.0.1",
                            "no_proxy": "localhost,127.0.0.1", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1",
                            "PATH": f"{programs}:{os.environ['PATH']}", "SECRET": SECRET}

    def _here(self, text):
        text = text.replace("localhost:7410", "localhost:{auth_port}").replace("localhost:7400", "localhost:{gateway_port}")
        return text.replace("/etc/vestibule/my-service-secret", "{folder}/resource-server-secret")

    def to_demo(self, text):
        return text.replace("localhost:7410", f"localhost:{self.demo.auth}").replace(
            "localhost:7400", f"localhost:{self.demo.gateway}")

    def from_demo(self, text):
        return text.replace(f"localhost:{self.demo.auth}", "localhost:7410").replace(
            f"localhost:{self.demo.gateway}", "localhost:7400")

    def block(self, match):
        """Writes or runs one block; returns it with the output of this run."""
        kind, body = match.groups()
        named = NAME.match(body)
        if named:
            (self.folder / named[1]).write_text(self.to_demo(body))
        if kind != "console":
            return match[0]
        commands = [line for line in body.splitlines() if line.startswith("$ ")]
        assert commands, f"a console block without a command: {body}"
        shown = "".join(f"{command}\n{self.run(command[2:])}" for command in commands)
        return f"```console\n{shown}```"

    def run(self, command):
        done = subprocess.run(["bash", "-c", self.to_demo(command)], cwd=self.folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=COMMAND_SECONDS)
        out = self.from_demo(done.stdout)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{out}"
        return out if not out or out.endswith("\n") else out + "\n"


class Connecting(Replay):
    """A home of its own in which clients keep what they learn, with the programs that the pages name."""

    def __init__(self, binary, python):
        super().__init__(binary, python)
        programs = self.folder / "bin"
        for name, command in (("fastmcp-python", f'"{ROOT}/.tools/venv-fastmcp/bin/python" "$@"'),
                              ("mcp-python", f'"{ROOT}/.tools/venv-mcp-v2/bin/python" "$@"'),
                              ("xdg-open", f'"{sys.executable}" "{self.folder}/browser.py" "$@"')):
            (programs / name).write_text(f"#!/bin/sh\nexec {command}\n")
            (programs / name).chmod(0o755)
        sign_in = next(body for _, body in BLOCK.findall(PAGE.read_text()) if body.startswith("# sign_in.py\n"))
        (self.folder / "sign_in.py").write_text(self.to_demo(sign_in))
        self.environment |= {"HOME": str(self.folder), "MCP_AUTO_OPEN_ENABLED": "true",
                             "MCP_INSPECTOR_SECRET_STORE": "file", "MCP_STORAGE_DIR": str(self.folder / "inspector")}


class OwnServer(Replay):
    """A folder in which the page starts everything itself, on free ports."""

    PORTS = ("7400", "7410", "7420")

    def __init__(self, binary, python):
        super().__init__(binary, python)
        (self.folder / "bin/vestibule").symlink_to(pathlib.Path(binary).resolve())
        self.free = dict(zip(self.PORTS, _free_ports(len(self.PORTS))))
        self.children = []
        sign_in = next(body for _, body in BLOCK.findall(PAGE.read_text()) if body.startswith("# sign_in.py\n"))
        (self.folder / "sign_in.py").write_text(self.to_demo(sign_in))

    def to_demo(self, text):
        for page, here in getattr(self, "free", {}).items():
            text = re.sub(rf"\b{page}\b", str(here), text)
        return text

    def from_demo(self, text):
        for page, here in self.free.items():
            text = re.sub(rf"\b{here}\b", page, text)
        return text

    def run(self, command):
        if not command.endswith(" &"):
            return super().run(command)
        child = subprocess.Popen(["bash", "-c", "exec " + self.to_demo(command.removesuffix(" &"))], cwd=self.folder,
                                 env=self.environment, stdin=subprocess.DEVNULL)
        self.children.append(child)
        return ""

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
            child.wait(COMMAND_SECONDS)


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def replay_own(path, binary, python):
    """A page that starts its own servers, as this run has it."""
    own = OwnServer(binary, python)
    try:
        return BLOCK.sub(own.block, path.read_text())
    finally:
        own.stop()
        shutil.rmtree(own.demo.folder, ignore_errors=True)
        shutil.rmtree(own.folder, ignore_errors=True)


def replay_connect(binary, python):
    """The pages about clients, as this run has them."""
    replay = Connecting(binary, python)
    replay.demo.start()
    try:
        pages = [(path, path.read_text()) for path in CONNECT]
        return [(path, page, BLOCK.sub(replay.block, page)) for path, page in pages if "```console" in page]
    finally:
        replay.demo.stop()
        shutil.rmtree(replay.demo.folder, ignore_errors=True)
        shutil.rmtree(replay.folder, ignore_errors=True)


def comparable(text):
    """What two runs have in common: no random text, no times."""
    text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "MOMENT", text)
    text = re.sub(r"\b\d+(\.\d)? s\b", "SECONDS", text)
    text = re.sub(r"\b[0-9a-f]{8}(?:[0-9a-f]{8})?\b", "HEX", text)
    text = re.sub(r"\bactor=\w+\(\d+\)", "actor=OPERATOR", text)
    text = re.sub(r"[A-Za-z0-9_-]{20,}(\.[A-Za-z0-9_-]{20,})*", "RANDOM", text)
    return re.sub(r"\b\d{10}\b", "TIME", text)


def judge(page, replayed):
    """The lines in which two pages differ, as far as runs can be compared."""
    both = [comparable(text).splitlines() for text in (page, replayed)]
    return list(difflib.unified_diff(*both, "the page", "this run", lineterm="", n=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    parser.add_argument("--python", default=ROOT / ".tools/venv-docs/bin/python", help="a Python that has PyJWT")
    parser.add_argument("--page", help="replay this page alone, of those that start their own servers")
    parser.add_argument("--write", action="store_true", help="write the output of this run into the page")
    options = parser.parse_args()
    if options.page:
        own = [path for path in OWN if path.name == options.page]
        assert own, f"--page names one of {', '.join(path.name for path in OWN)}"
        return report([(path, path.read_text(), replay_own(path, options.binary, options.python)) for path in own], options)
    page = PAGE.read_text()
    rust = next(body for kind, body in BLOCK.findall(page) if kind == "rust")
    assert rust.split("\n", 1)[1] in RUST.read_text(), f"the page's Rust is not that of {RUST.relative_to(ROOT)}"
    replay = Replay(options.binary, options.python)
    replay.demo.start()
    try:
        replayed = BLOCK.sub(replay.block, page)
        verified = replay.folder / "access_token"
        compiled = subprocess.run([TARGET / "debug/examples/verify_token", replay.demo.issuer, replay.demo.url, verified],
                                  text=True, capture_output=True, timeout=COMMAND_SECONDS)
        assert "usr_demo" in compiled.stdout, f"the Rust example: {compiled.stdout}{compiled.stderr}"
    finally:
        replay.demo.stop()
        shutil.rmtree(replay.demo.folder, ignore_errors=True)
        shutil.rmtree(replay.folder, ignore_errors=True)
    pages = [(PAGE, page, replayed)]
    pages += [(own, own.read_text(), replay_own(own, options.binary, options.python)) for own in OWN]
    pages += replay_connect(options.binary, options.python)
    return report(pages, options)


def report(pages, options):
    """Says where pages differ from this run, or writes them."""
    differing = 0
    for path, page, replayed in pages:
        differences = judge(page, replayed)
        if options.write and differences:
            path.write_text(replayed)
        elif differences:
            print("\n".join(differences))
            differing += 1
        commands = sum(line.startswith("$ ") for line in page.splitlines())
        print(f"{commands} commands of {path.relative_to(ROOT)} were run")
    print(f"{differing} pages differ" if differing else "the pages say what is")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
