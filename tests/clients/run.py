#!/usr/bin/env python3
"""Released MCP clients and OAuth libraries, unmodified, against the demo.

Each client gets one URL. It discovers, registers, has its user sign in, lists and calls tools; the demo
is restarted; it calls again. The user may sign in once: the runner counts, from outside the client.
"""

import argparse
import concurrent.futures
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from browser import Person
from demo import PASSWORD, SECRET, USERNAME, Demo

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
CLIENT_SECONDS = 90

# A browser opened by a client answers after a moment, as a person does: some clients start their
# callback listener only after they have opened the browser.
BROWSER_DELAY = 1.5
BROWSER = """#!{python}
import sys, urllib.parse, urllib.request
url = "{control}/open?later=yes&url=" + urllib.parse.quote(sys.argv[1], safe="")
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(url, timeout=10).read()
"""


def node(script, *arguments):
    inside = TOOLS / "node/bin/node"
    return [str(inside) if inside.exists() else "node", str(HERE / "node" / script), *arguments]


def python(venv, script):
    return [str(TOOLS / f"venv-{venv}/bin/python"), str(HERE / "python" / script)]


CLIENTS = {
    "sdk-v1": ("TypeScript SDK 1.32.2", node("sdk_v1.mjs")),
    "sdk-v2-legacy": ("TypeScript client 2.4.0, legacy era", node("sdk_v2.mjs", "legacy")),
    "sdk-v2-modern": ("TypeScript client 2.4.0, modern era", node("sdk_v2.mjs", "auto")),
    "sdk-v2-alias": ("TypeScript client 2.4.0, the resource at 127.0.0.1", node("sdk_v2.mjs", "auto")),
    "step-up-legacy": ("TypeScript client 2.4.0, wanting more scopes, legacy era", node("step_up.mjs", "legacy")),
    "step-up-modern": ("TypeScript client 2.4.0, wanting more scopes, modern era", node("step_up.mjs", "auto")),
    "python-v1": ("Python mcp 1.30.0", python("mcp-v1", "mcp_v1.py")),
    "python-v2": ("Python mcp 2.3.0", python("mcp-v2", "mcp_v2.py")),
    "fastmcp": ("fastmcp 4.1.0", python("fastmcp", "fastmcp_client.py")),
    "rmcp": ("rmcp 3.9", [str(TARGET / "debug/examples/rmcp_client")]),
    "mcp-remote": ("mcp-remote 0.15.1", node("mcp_remote.mjs")),
    "mcporter": ("mcporter 0.12.3", node("mcporter.mjs")),
    "inspector": ("Inspector CLI 2.12.0", node("inspector.mjs")),
    "browser": ("a page in Chromium", node("browser_client.mjs")),
    "oauth4webapi": ("oauth4webapi 3.8.8", node("oauth4webapi.mjs")),
    "openid-client": ("openid-client 6.8.9", node("openid_client.mjs")),
    "authlib": ("Authlib 1.9.8", python("authlib", "authlib_client.py")),
    "machine-sdk-v1": ("TypeScript SDK 1.32.2, service accounts", node("machine.mjs", "v1")),
    "machine-sdk-v2": ("TypeScript client 2.4.0, service accounts", node("machine.mjs", "v2")),
    "machine-python-v1": ("Python mcp 1.30.0, service accounts", python("mcp-v1", "machine.py")),
    "machine-python-v2": ("Python mcp 2.3.0, service accounts", python("mcp-v2", "machine.py")),
}
# Nobody signs in for these.
MACHINES = {name for name in CLIENTS if name.startswith("machine-")}
# Two clients of one person, and one of them asks once more.
CONSENTS = {name: 3 for name in CLIENTS if name.startswith("step-up-")}


class Control:
    """What a driver may ask of the outside: a restart of the demo, and a person to open a URL."""

    def __init__(self, demo):
        self.demo, self.person, self.restarts, self.trouble = demo, None, 0, []
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def begin(self):
        self.person, self.restarts, self.trouble = Person(USERNAME, PASSWORD), 0, []

    def answer(self, path, query):
        if path == "/restart":
            return self.restart()
        if path == "/fault":
            return self.fault(query["kind"])
        return self.open(query)

    def fault(self, kind):
        raise AssertionError(f"this demo cannot have: {kind}")

    def restart(self):
        self.restarts += 1
        return {"seconds": round(self.demo.restart(), 3)}

    def open(self, query):
        if query.get("later"):
            self.pool.submit(self._open_later, query["url"], self.person)
            return {}
        return {"callback": self.person.authorize(query["url"])}

    def _open_later(self, url, person):
        try:
            time.sleep(BROWSER_DELAY)
            callback = person.authorize(url)
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(callback, timeout=20).read()
        except Exception as why:  # told with the client's own failure
            self.trouble.append(f"browser: {why}")

    def _handler(self):
        control = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(parts.query))
                try:
                    status, answer = 200, control.answer(parts.path, query)
                except Exception as why:  # the driver reports it
                    control.trouble.append(str(why))
                    status, answer = 500, {"error": str(why)}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


def drive(command, url, demo, control, **more):
    """Runs one driver in a home of its own; returns its last line, or raises with what went wrong. It finds `more`
    in its environment."""
    control.begin()
    with tempfile.TemporaryDirectory(prefix="vestibule-client-", ignore_cleanup_errors=True) as home:
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP") and not name.startswith("MCP")}
        browser = pathlib.Path(home, "bin", "xdg-open")
        browser.parent.mkdir()
        browser.write_text(BROWSER.format(python=sys.executable, control=control.url))
        browser.chmod(0o755)
        environment |= {"HOME": home, "BROWSER": str(browser), "CONTROL": control.url, "ISSUER": demo.issuer,
                        "NO_COLOR": "1", "NO_PROXY": "localhost,127.0.0.1",
                        "PATH": f"{browser.parent}:{os.path.dirname(node('')[0])}:{os.environ['PATH']}",
                        "USERNAME": USERNAME, "PASSWORD": PASSWORD, "SECRET": SECRET, "KEYS": demo.folder,
                        "PYTHONDONTWRITEBYTECODE": "1", **more}
        child = subprocess.Popen([*command, url, control.url], cwd=home, env=environment, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True)
        try:
            out, err = child.communicate(timeout=CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            err += f"\nno end after {CLIENT_SECONDS} s"
        lines = out.strip().splitlines()
        if child.returncode != 0 or not lines:
            raise AssertionError("\n".join([*(out + err).splitlines()[-25:], *control.trouble]))
    return lines[-1]


def judge(control, name):
    """The user signed in once, or never for a machine, and the demo was really restarted."""
    if name != "browser":
        expected = 0 if name in MACHINES else 1
        assert control.person.sign_ins == expected, f"the user signed in {control.person.sign_ins} times"
        consents = CONSENTS.get(name, expected)
        assert control.person.consents == consents, f"the user consented {control.person.consents} times"
    assert control.restarts >= 1, "the demo was not restarted"
    assert not control.trouble, "; ".join(control.trouble)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    parser.add_argument("--only", default=",".join(CLIENTS), help="names, separated by commas: " + ", ".join(CLIENTS))
    parser.add_argument("--rounds", type=int, default=1, help="how often each client is run")
    options = parser.parse_args()
    names = options.only.split(",")
    unknown = [name for name in names if name not in CLIENTS]
    if unknown:
        parser.error(f"no such client: {', '.join(unknown)}")
    demo = Demo(options.binary)
    subprocess.run(node("make_keys.mjs", demo.folder), check=True, stdin=subprocess.DEVNULL)
    demo.add((HERE / "clients.toml").read_text()).start()
    control = Control(demo)
    failed = 0
    try:
        for name in names * options.rounds:
            title, command = CLIENTS[name]
            since = time.monotonic()
            try:
                told = drive(command, demo.alias if name == "sdk-v2-alias" else demo.url, demo, control)
                judge(control, name)
                print(f"ok    {title} ({time.monotonic() - since:.1f} s): {told}", flush=True)
            except (AssertionError, OSError) as why:
                failed += 1
                print(f"FAIL  {title} ({time.monotonic() - since:.1f} s)\n{why}", flush=True)
                if demo.process.poll() is not None:
                    print(f"the demo is not running: {demo.tail()}", flush=True)
                    demo.start()
        if failed:
            print(f"the demo's last lines:\n{demo.tail()}")
    finally:
        control.server.shutdown()
        if demo.process.poll() is None:
            demo.stop()
        if not failed:
            shutil.rmtree(demo.folder, ignore_errors=True)
    print(f"{len(names) * options.rounds - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
