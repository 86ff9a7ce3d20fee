"""Those who judge access tokens: our gateways, and JOSE libraries that read the published keys."""

import base64
import json
import pathlib
import subprocess
import sys
import threading
import time

from grants import call

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from run import node, python  # noqa: E402

GOOD = "good"
PATIENCE = 10


class Gateway:
    """One of our gateways; a token is good if a tool can be called with it."""

    def __init__(self, service, resource):
        self.name, self.port, self.resource, self.waits = service.name, service.port, resource, 0

    def judge(self, token):
        def ask():
            return call(self.resource, token, arguments={"workspace_id": "ws_acme"}, port=self.port)
        answer, waited = patiently(ask, lambda answer: answer.status == 503)
        self.waits += waited
        return GOOD if answer.status == 200 and b'"done"' in answer.body else repr(answer)

    def close(self):
        pass


class Library:
    """A program that reads a token from each line and writes a verdict for each."""

    def __init__(self, name, command):
        self.name, self.waits, self._lock = name, 0, threading.Lock()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def judge(self, token):
        with self._lock:
            self._process.stdin.write(token + "\n")
            self._process.stdin.flush()
            verdict = self._process.stdout.readline().strip()
        assert verdict, f"{self.name} ended with {self._process.poll()}"
        return verdict

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def patiently(ask, is_busy):
    """The answer, asked for again while it is 503, as clients do: that says nothing of a token or a grant, only that
    the machine was busy. And whether that was so."""
    limit, answer = time.monotonic() + PATIENCE, ask()
    waited = is_busy(answer)
    while is_busy(answer) and time.monotonic() < limit:
        time.sleep(0.2)
        answer = ask()
    return answer, waited


def verifiers(deployment, max_age):
    """One of each kind, which keeps the published keys for `max_age` seconds, and every gateway."""
    asked = [deployment.issuer, deployment.resource, str(max_age)]
    libraries = {
        "jose": node("verify_tokens.mjs"),
        "PyJWT": python("docs", "verify_pyjwt.py"),
        "joserfc": python("authlib", "verify_joserfc.py"),
    }
    return ([Gateway(one, deployment.resource) for one in deployment.gateways]
            + [Library(name, [*command, *asked]) for name, command in libraries.items()])


def part(token, number):
    """The header of a token, or its claims."""
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def kid(token):
    return part(token, 0)["kid"]
