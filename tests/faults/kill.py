#!/usr/bin/env python3
"""`kill -9` at any moment loses nothing that was answered.

Several connections refresh their tokens, register clients and write CRM records without a pause while
the demo is killed and started again. Whatever was answered before a kill must be there afterwards: the
newest refresh token works, an issued code is exchanged, the client is known, the record is found, and a
revoked grant stays revoked.
"""

import argparse
import os
import pathlib
import random
import secrets
import signal
import sys
import threading
import urllib.parse

from grants import PASSWORD, REDIRECT, USERNAME, Grant, Person, is_gone, send, works

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
from demo import Demo  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
CONNECTIONS = 4


class Connection(Grant):
    """A grant, and what the server has answered to its client so far."""

    def __init__(self, demo, name):
        super().__init__(demo.issuer, demo.url, name)
        self.records, self.clients, self.refreshes = [], [], 0

    def refresh(self, *more):
        answer = super().refresh(*more)
        self.refreshes += answer.status == 200
        return answer

    def register_another(self):
        self.clients.append(self.register(f"{self.name} {secrets.token_hex(4)}"))

    def write(self):
        answer = self.call("create_note", {"title": f"Kill {secrets.token_hex(4)}", "body": "written", "workspace_id": "ws_acme"})
        if works(answer):
            self.records.append(answer.json()["result"]["structuredContent"]["id"])

    def work(self, stop):
        """Asks for one thing after another until the server goes away or the round ends."""
        while not stop.is_set():
            try:
                random.choice((self.refresh, self.refresh, self.register_another, self.write))()
            except (OSError, AssertionError):
                # What was refused or not answered promises nothing.
                continue

    def check(self):
        """Everything that was answered is still there."""
        self.refreshed()
        for client in self.clients[-3:]:
            page = send(f"{self.issuer}/authorize?" + urllib.parse.urlencode({"client_id": client, "redirect_uri": REDIRECT}))
            assert b"is not registered" not in page.body, f"the client {client} was lost"
        for record in self.records[-3:]:
            answer = self.call("get_note", {"id": record})
            assert works(answer), f"the record {record} was lost: {answer}"


def kill_among_work(demo, connections, gone):
    """One kill while everybody works; what was answered to `gone` comes just before it."""
    stop = threading.Event()
    workers = [threading.Thread(target=one.work, args=(stop,)) for one in connections]
    for worker in workers:
        worker.start()
    try:
        stop.wait(random.uniform(0.05, 0.8))
        code = gone.code()
        answer = gone.revoke()
        assert answer.status == 200, f"a revocation was refused: {answer}"
        demo.process.send_signal(signal.SIGKILL)
        demo.process.wait()
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule")
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    demo = Demo(options.binary).start()
    passed = 0
    try:
        connections = [Connection(demo, f"Kill {number}") for number in range(CONNECTIONS)]
        person, revoked = Person(USERNAME, PASSWORD), []
        for _ in range(options.kills):
            gone = Grant(demo.issuer, demo.url, "Revoked", person)
            revoked.append(gone)
            code = kill_among_work(demo, connections, gone)
            demo.start()
            for connection in connections:
                connection.check()
            for one in revoked:
                answer = one.refresh()
                assert is_gone(answer), f"a revoked grant lives: {answer}"
            # A new grant of the same client: the code was answered, and the revocation was of the old one.
            gone.exchange(*code)
            passed += 1
        refreshes = sum(connection.refreshes for connection in connections)
        writes = sum(len(connection.records) for connection in connections)
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
