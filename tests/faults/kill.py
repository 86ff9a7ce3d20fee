#!/usr/bin/env python3
"""`kill -9` at any moment loses nothing that was answered.

Several connections refresh their tokens, register clients and write CRM records without a pause while
the demo is killed and started again. Whatever was answered before a kill must be there afterwards: the
newest refresh token works, the client is known, the record is found, and a revoked grant stays revoked.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import random
import secrets
import signal
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from browser import Person  # noqa: E402
from demo import PASSWORD, USERNAME, Demo  # noqa: E402

REDIRECT = "http://127.0.0.1:33418/callback"


def post(url, body, headers=None, form=True):
    data = urllib.parse.urlencode(body).encode() if form else json.dumps(body).encode()
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    request = urllib.request.Request(url, data=data, headers={"content-type": kind, **(headers or {})})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read() or b"null")


class Connection:
    """One grant of one client, and what the server has answered to it so far."""

    def __init__(self, demo, name):
        self.demo, self.name = demo, name
        self.records, self.clients, self.refreshes, self.writes = [], [], 0, 0
        status, client = post(f"{demo.issuer}/register", {
            "client_name": name, "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"]}, form=False)
        assert status == 201, client
        self.client = client["client_id"]
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        back = Person(USERNAME, PASSWORD).authorize(f"{demo.issuer}/authorize?" + urllib.parse.urlencode({
            "response_type": "code", "client_id": self.client, "redirect_uri": REDIRECT, "resource": demo.url,
            "code_challenge": challenge, "code_challenge_method": "S256"}))
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["code"][0]
        status, tokens = post(f"{demo.issuer}/token", {
            "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT,
            "client_id": self.client, "code_verifier": verifier})
        assert status == 200, tokens
        self.tokens = tokens

    def refresh(self):
        status, tokens = post(f"{self.demo.issuer}/token", {
            "grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"], "client_id": self.client})
        if status == 200:
            self.tokens, self.refreshes = tokens, self.refreshes + 1
        return status, tokens

    def register(self):
        name = f"{self.name} {secrets.token_hex(4)}"
        status, client = post(f"{self.demo.issuer}/register", {
            "client_name": name, "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}, form=False)
        if status == 201:
            self.clients.append(client["client_id"])

    def write(self):
        status, answer = self.call("create_note", {"title": f"Kill {secrets.token_hex(4)}", "body": "written",
                                                   "workspace_id": "ws_acme"})
        if status == 200 and not answer["result"].get("isError"):
            self.records.append(answer["result"]["structuredContent"]["id"])
            self.writes += 1
        return answer

    def call(self, tool, arguments):
        return post(self.demo.url, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                                    "params": {"name": tool, "arguments": arguments}},
                    {"authorization": f"Bearer {self.tokens['access_token']}",
                     "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}, form=False)

    def work(self, stop):
        """Asks for one thing after another until the server goes away or the round ends."""
        while not stop.is_set():
            try:
                random.choice((self.refresh, self.refresh, self.register, self.write))()
            except (OSError, ValueError, KeyError):
                return

    def check(self):
        """Everything that was answered is still there."""
        status, tokens = self.refresh()
        assert status == 200, f"{self.name} was logged out: {tokens}"
        for client in self.clients[-3:]:
            page = urllib.request.Request(f"{self.demo.issuer}/authorize?" + urllib.parse.urlencode(
                {"client_id": client, "redirect_uri": REDIRECT}))
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), KeepRedirects())
            try:
                text = opener.open(page, timeout=20).read().decode()
            except urllib.error.HTTPError as answer:
                text = answer.read().decode()
            assert "is not registered" not in text, f"the client {client} was lost"
        for record in self.records[-3:]:
            status, answer = self.call("get_note", {"id": record})
            assert status == 200 and not answer["result"].get("isError"), f"the record {record} was lost: {answer}"


class KeepRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_more):
        return None


def main():
    root = HERE.parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=root / "target/release/vestibule")
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    demo = Demo(options.binary).start()
    passed = 0
    try:
        connections = [Connection(demo, f"Kill {number}") for number in range(4)]
        revoked = []
        for _ in range(options.kills):
            gone = Connection(demo, "Revoked")
            old = gone.tokens["refresh_token"]
            stop = threading.Event()
            workers = [threading.Thread(target=one.work, args=(stop,)) for one in connections]
            for worker in workers:
                worker.start()
            threading.Event().wait(random.uniform(0.05, 0.8))
            status, _ = post(f"{demo.issuer}/revoke", {"token": old, "client_id": gone.client})
            assert status == 200
            revoked.append((gone.client, old))
            demo.process.send_signal(signal.SIGKILL)
            demo.process.wait()
            stop.set()
            for worker in workers:
                worker.join()
            demo.start()
            for connection in connections:
                connection.check()
            for client, token in revoked:
                status, answer = post(f"{demo.issuer}/token", {
                    "grant_type": "refresh_token", "refresh_token": token, "client_id": client})
                assert (status, answer["error"]) == (400, "invalid_grant"), f"a revoked grant lives: {answer}"
            passed += 1
        refreshes = sum(connection.refreshes for connection in connections)
        writes = sum(connection.writes for connection in connections)
        print(f"{options.kills} kills among {refreshes} refreshes and {writes} writes")
    except AssertionError as why:
        print(f"FAIL after {passed} kills: {why}\n{demo.tail()}")
        print(f"{passed} passed, 1 failed")
        return 1
    finally:
        if demo.process.poll() is None:
            demo.stop()
    print(f"{passed} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
