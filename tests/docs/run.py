#!/usr/bin/env python3
"""Replays docs/integrate/README.md as a new user would: its programs and commands, against a demo.

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
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "clients"))

from demo import PASSWORD, SECRET, USERNAME, Demo  # noqa: E402

PAGE = ROOT / "docs/integrate/README.md"
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


def comparable(text):
    """What two runs have in common: no random text, no times."""
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
    parser.add_argument("--write", action="store_true", help="write the output of this run into the page")
    options = parser.parse_args()
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
    differences = judge(page, replayed)
    if options.write and differences:
        PAGE.write_text(replayed)
    if differences and not options.write:
        print("\n".join(differences))
        print("1 page differs")
        return 1
    commands = sum(line.startswith("$ ") for line in page.splitlines())
    print(f"{commands} commands of {PAGE.relative_to(ROOT)} do what the page says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
