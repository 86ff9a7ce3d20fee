#!/usr/bin/env python3
"""Released MCP clients, unmodified, before deployments of profiles/ as processes: each client gets one URL, and what
it needs is at the hosts and paths of that deployment.

The public hosts of a profile become names of this machine: localhost, 127.0.0.1 and [::1] are three hosts to every
client, cookie and certificate, and one listener answers for all of them.
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from browser import Person
from demo import PASSWORD, _free_ports
from run import CLIENTS, ROOT, TARGET, Control, drive, judge

START_SECONDS = 30
USERNAME = "ada@crm.example"
NAMES = ("sdk-v1", "sdk-v2-legacy", "sdk-v2-modern", "python-v1", "python-v2", "fastmcp", "mcp-remote")

# Profile: its hosts here, the longest first, the path of its endpoint, and a tool that reads.
LAYOUTS = {
    "split-origins": ((("api.crm.example", "localhost"), ("app.crm.example", "127.0.0.1"),
                       ("crm.example", "[::1]")), "/mcp", "list_contacts"),
    "path-issuer": ((("crm.example", "localhost"),), "/api/mcp", "list_tasks"),
    "hidden-tools": ((("crm.example", "localhost"),), "/api/mcp", "list_contacts"),
}


class Deployment:
    """A profile as processes; `restart` keeps ports and data."""

    def __init__(self, binary, profile):
        self.hosts, path, self.tool = LAYOUTS[profile]
        self.binary, self.folder = str(binary), tempfile.mkdtemp(prefix="vestibule-layouts-")
        self.port, self.crm_port = _free_ports(2)
        text = (ROOT / "profiles" / profile / "deployment.toml").read_text()
        for public, local in self.hosts:
            text = text.replace(f"https://{public}", f"http://{local}:{self.port}")
        listen = f'["127.0.0.1:{self.port}", "[::1]:{self.port}"]'
        text = text.replace('["127.0.0.1:7400"]', listen).replace(":7420/", f":{self.crm_port}/")
        self.config = pathlib.Path(self.folder, "deployment.toml")
        self.config.write_text(text.replace("/etc/vestibule", self.folder))
        for person in ("ada", "grace"):
            secret = pathlib.Path(self.folder, f"{person}-password")
            secret.touch(mode=0o600)
            secret.write_text(PASSWORD)
        self.url = f"http://localhost:{self.port}{path}"
        self.issuer = text.split('issuer = "')[1].split('"')[0]
        self.log = pathlib.Path(self.folder, "log")
        self.process = None
        self.crm = self._run("crm", "--listen", f"127.0.0.1:{self.crm_port}", "--data-dir", f"{self.folder}/crm",
                             "--gateway-keys", f"http://localhost:{self.port}/.well-known/jwks.json")

    def _run(self, *arguments):
        with self.log.open("ab") as log:
            return subprocess.Popen([self.binary, *arguments, "--config", str(self.config)],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.process = self._run("serve", "--data-dir", f"{self.folder}/data")
        limit = time.monotonic() + START_SECONDS
        while status(f"http://localhost:{self.port}/readyz") != 200:
            assert self.process.poll() is None and time.monotonic() < limit, f"it does not serve: {self.tail()}"
            time.sleep(0.05)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def restart(self):
        since = time.monotonic()
        self.stop()
        self.start()
        return time.monotonic() - since

    def end(self):
        for process in (self.process, self.crm):
            if process and process.poll() is None:
                process.terminate()
                process.wait(20)

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Doorkeeper(Control):
    """The control of a deployment, with its person."""

    def begin(self):
        super().begin()
        self.person = Person(USERNAME, PASSWORD)


def status(url, **more):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                urllib.request.Request(url, **more), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return 0


def each_path_is_at_its_own_host(deployment):
    """One listener has three names, and each name its own paths."""
    api, app, bare = (f"http://{local}:{deployment.port}" for _, local in deployment.hosts)
    for url, expected in (
        (f"{api}/oauth/jwks", 200), (f"{app}/oauth/jwks", 404), (f"{bare}/oauth/jwks", 404),
        (f"{app}/oauth/authorize", 400), (f"{api}/oauth/authorize", 404), (f"{bare}/oauth/authorize", 404),
        (f"{app}/oauth/login", 200), (f"{api}/oauth/login", 404),
        (f"{bare}/.well-known/mcp.json", 200), (f"{api}/.well-known/mcp.json", 404),
        (f"{api}/.well-known/oauth-authorization-server", 200),
        (f"{app}/.well-known/oauth-authorization-server", 404),
        (f"{api}/openapi.json", 200), (f"{app}/openapi.json", 404),
    ):
        found = status(url)
        assert found == expected, f"{url} answered {found}, not {expected}"
    for url in (f"{api}/oauth/jwks", f"{api}/mcp"):
        found = status(url, headers={"host": "evil.example"})
        assert found == 421, f"{url} under another name answered {found}"


def the_doctor_finds_nothing_to_fix(deployment):
    done = subprocess.run([deployment.binary, "doctor", deployment.url, "--json"],
                          capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    bad = [one for one in told["findings"] if one["verdict"] == "bad"]
    assert done.returncode == 0 and not bad, f"{bad} {done.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    parser.add_argument("--only", default=",".join(NAMES), help="names, separated by commas: " + ", ".join(NAMES))
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="which of: " + ", ".join(LAYOUTS))
    options = parser.parse_args()
    passed = failed = 0

    def step(title, what):
        nonlocal passed, failed
        since = time.monotonic()
        try:
            told = what()
            passed += 1
            print(f"ok    {title} ({time.monotonic() - since:.1f} s){': ' + told if told else ''}", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as why:
            failed += 1
            print(f"FAIL  {title} ({time.monotonic() - since:.1f} s)\n{why}\n{deployment.tail()}", flush=True)

    def run(command, name):
        told = drive(command, deployment.url, deployment, control, TOOL=deployment.tool)
        judge(control, name)
        return told

    for layout in options.layouts.split(","):
        deployment = Deployment(options.binary, layout)
        control = Doorkeeper(deployment)
        try:
            deployment.start()
            if layout == "split-origins":
                step("each path is at its own host", lambda: each_path_is_at_its_own_host(deployment))
            # Where every 401 is the same, it names no cause, and the doctor says so.
            if layout != "hidden-tools":
                step(f"{layout}: the doctor finds nothing to fix", lambda: the_doctor_finds_nothing_to_fix(deployment))
            for name in options.only.split(","):
                title, command = CLIENTS[name]
                step(f"{layout}: {title}", lambda command=command, name=name: run(command, name))
        finally:
            control.server.shutdown()
            deployment.end()
            shutil.rmtree(deployment.folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
