#!/usr/bin/env python3
"""A gateway under load dials its backend, its issuer and its Redis, and nothing else.

The process runs under `strace`, which sees every connection and every datagram of every thread. Clients, tokens and
the backend itself name a listener that nobody may reach."""

import argparse
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import sys
import threading
import urllib.parse

import topology
from grants import ACME, ERAS, Grant, send, works

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ROUNDS = 20
CALLS = "connect,sendto,sendmsg,sendmmsg"
# The system's own look-ups of names: a socket of this machine, and no network.
LOCAL = re.compile(r"sa_family=AF_(UNIX|UNSPEC|NETLINK)")
PLACE = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')


class Trap:
    """A listener whose address strangers name; it counts who comes."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.visits = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self):
        self._socket.close()


class Traced(topology.Deployment):
    """A deployment whose gateway is watched."""

    def _service(self, name, command, config, port):
        service = super()._service(name, command, config, port)
        if command == "gateway":
            self.trace = self.folder / "trace"
            # -D: the gateway stays our child, and signals reach it.
            watch = ["strace", "-D", "-f", "-qq", "-s", "0", "-e", f"trace={CALLS}", "-o", str(self.trace)]
            service.command = watch + service.command
        return service


def strange_tokens(token, trap):
    """Tokens that point elsewhere: in their header, in their issuer, and as nobody's at all."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    header, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    plain = json.loads(base64.urlsafe_b64decode(header + "=="))
    for name in ("jku", "x5u"):
        yield f"{part({**plain, name: trap.url})}.{claims}.{signature}"
    yield f"{part({**plain, 'kid': trap.url})}.{claims}.{signature}"
    yield f"{header}.{part({**said, 'iss': trap.url.rstrip('/')})}.{signature}"


def load(deployment, trap):
    """What clients may send, and what they should not."""
    grant = Grant(deployment.issuer, deployment.resource)

    def work(number):
        assert works(grant.call())
        for token in strange_tokens(grant.tokens["access_token"], trap):
            answer = send(deployment.resource, {"jsonrpc": "2.0", "id": 1, "method": "ping"},
                          {"authorization": f"Bearer {token}", **ERAS}, form=False)
            assert answer.status in (401, 429), answer
        pointing = {"x-forwarded-host": urllib.parse.urlsplit(trap.url).netloc, "forwarded": f'host="{trap.url}"',
                    "referer": trap.url, "x-original-url": trap.url}
        call = {"jsonrpc": "2.0", "id": number, "method": "tools/call",
                "params": {"name": "list_contacts", "arguments": ACME, "_meta": {"url": trap.url}}}
        send(deployment.resource, call, {"authorization": f"Bearer {grant.tokens['access_token']}", **ERAS, **pointing},
             form=False)
        for uri in (trap.url, "file:///etc/passwd"):
            send(deployment.resource, {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}},
                 {"authorization": f"Bearer {grant.tokens['access_token']}", **ERAS}, form=False)
        send(deployment.resource.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))
        send(deployment.resource.replace("/mcp", f"/authorize?redirect_uri={trap.url}"))

    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        list(workers.map(work, range(ROUNDS)))
    grant.refreshed()
    assert works(grant.call())
    assert grant.revoke().status == 200


def dialled(trace):
    """The addresses of every connection and datagram, and the lines that name none that is known."""
    places, odd = set(), []
    for line in trace.read_text(errors="replace").splitlines():
        if "sa_family" not in line or LOCAL.search(line):
            continue
        found = PLACE.search(line)
        if found:
            places.add((found[2] or found[3], int(found[1])))
        else:
            odd.append(line)
    return places, odd


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule")
    options = parser.parse_args()
    trap = Trap()
    with Traced(options.binary, auth_servers=1, gateways=1) as deployment:
        internal = re.search(r'internal_base = "http://127.0.0.1:(\d+)"',
                             (deployment.folder / "gateway-0.toml").read_text())
        expected = {("127.0.0.1", urllib.parse.urlsplit(deployment.backend.url).port): "the backend",
                    ("127.0.0.1", int(internal[1])): "the issuer", ("127.0.0.1", deployment.redis.port): "Redis"}
        load(deployment, trap)
        deployment.gateways[0].stop()
        places, odd = dialled(deployment.trace)
    trap.close()
    assert not odd, f"addresses of a kind that nobody expects: {odd[:3]}"
    missing = [name for place, name in expected.items() if place not in places]
    assert not missing, f"never dialled, so nothing was watched: {', '.join(missing)}"
    others = places - expected.keys()
    assert not others, f"dialled beside {', '.join(expected.values())}: {sorted(others)}"
    assert trap.visits == 0, f"somebody was led to the trap {trap.visits} times"
    print(f"ok    a gateway dials {', '.join(expected.values())} and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
