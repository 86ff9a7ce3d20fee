#!/usr/bin/env python3
"""Keys rotate while everybody works, and nobody notices.

Two auth-servers and two gateways share a Redis; clients refresh without a pause, and every token is judged by the
gateways and by JOSE libraries that keep the published keys for exactly as long as they may. An operator rotates
ten times and pulls one key out in an emergency. Beside them the server that leads is killed at each step.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from grants import Grant, is_transient, send
from topology import Deployment
from verifiers import GOOD, kid, part, patiently, verifiers
from wires import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MAX_AGE = 1
PACE = f"""jwks_max_age_seconds = {MAX_AGE}
jwks_stale_seconds = 0
clock_skew_seconds = 0
refresh_seconds = 1
"""
TOKEN_SECONDS = 60
GRANTS = 4
# How long before its end a token is no longer judged.
NEARLY_OVER = 5
# Of how many asks one may be answered late: a busy machine is not what this is about.
LATE = 100
# How long a rotation may have to wait for the oldest key to retire, where the set holds all that verifiers read.
FULL_SECONDS = 120
# Between two refreshes of a grant, so that those who judge keep up with the rotations on any machine.
PAUSE = 0.1


class Operator:
    """Somebody who runs `vestibule keys` beside one of the auth-servers."""

    def __init__(self, deployment):
        self.deployment = deployment

    def run(self, server, *command):
        folder = self.deployment.folder
        return subprocess.run(
            [self.deployment.binary, "keys", *command, "--json", "--config", folder / f"{server.name}.toml",
             "--data-dir", folder / f"{server.name}-data"], capture_output=True, text=True, timeout=30)

    def ask(self, server, *command):
        done = self.run(server, *command)
        assert done.returncode == 0, f"keys {' '.join(command)} ended with {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def keys(self, server, state, purpose="issuer"):
        listed = self.ask(server, "list")["keys"]
        return [key["id"] for key in listed if key["state"] == state and key["purpose"] == purpose]

    def rotate(self, server, *which):
        """Rotates as soon as that is allowed; what comes too early is refused and changes nothing."""
        def rotated():
            done = self.run(server, "rotate", *which)
            assert done.returncode == 0 or "yet" in done.stderr, f"a rotation was refused: {done.stderr}"
            return done.returncode == 0
        wait_until("a rotation is allowed", rotated, FULL_SECONDS)


class Load:
    """Clients that refresh all the time at every auth-server, and verifiers that judge what they get."""

    def __init__(self, deployment):
        self.deployment, self.judges = deployment, verifiers(deployment, MAX_AGE)
        self.grants = [Grant(deployment.issuer, deployment.resource, f"Rotation {number}") for number in range(GRANTS)]
        self.judged, self.kids, self.revoked = collections.Counter(), set(), set()
        self.refreshes, self.waits, self._stop = 0, 0, threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(GRANTS)
        self._works = [self._pool.submit(self._work, grant) for grant in self.grants]

    def check(self):
        """Fails as soon as any of the work has."""
        for work in self._works:
            if work.done():
                work.result()

    def close(self):
        self._stop.set()
        try:
            for work in self._works:
                work.result()
        finally:
            for judge in self.judges:
                judge.close()

    def late(self):
        """How many asks had to wait; too many fail."""
        asked, late = self.refreshes + self.judged.total(), self.waits + sum(judge.waits for judge in self.judges)
        assert late * LATE <= asked, f"{late} of {asked} asks were answered 503 at first"
        return f"{late} of {asked} late"

    def _work(self, grant):
        ports, kept = [server.port for server in self.deployment.auth_servers], collections.deque(maxlen=40)
        while not self._stop.wait(PAUSE):
            port = ports[self.refreshes % len(ports)]
            answer, waited = patiently(lambda port=port: grant.refresh(port), is_transient)
            self.waits += waited
            assert answer.status == 200, f"{grant.name} was not refreshed: {answer}"
            self.refreshes += 1
            kept.append(grant.tokens["access_token"])
            self._judge(kept[-1])
            # What an earlier key signed is good until it ends.
            self._judge(kept[0])

    def _about(self, token):
        """How old a token is, and what has become of its key at each auth-server."""
        age, operator = time.time() - part(token, 1)["iat"], Operator(self.deployment)
        listed = [[key for key in operator.ask(server, "list")["keys"] if key["id"] == kid(token)]
                  for server in self.deployment.auth_servers]
        return f"signed {age:.1f} s ago, its key now: {listed}"

    def _judge(self, token):
        if part(token, 1)["exp"] < time.time() + NEARLY_OVER:
            return
        self.kids.add(kid(token))
        for judge in self.judges:
            verdict = judge.judge(token)
            if part(token, 1)["exp"] <= time.time():
                # The machine was so busy that the token has ended meanwhile.
                return
            assert verdict == GOOD or kid(token) in self.revoked, (
                f"{judge.name} refused a good token: {verdict}; {self._about(token)}")
            self.judged[judge.name] += verdict == GOOD


def nobody_notices_rotations(binary, rotations):
    with Deployment(binary, gateways=2, keys=PACE, token_seconds=TOKEN_SECONDS) as deployment:
        operator, load = Operator(deployment), Load(deployment)
        try:
            for number in range(rotations):
                operator.rotate(deployment.auth_servers[number % 2])
                load.check()
            revoke_in_an_emergency(deployment, operator, load)
            operator.rotate(deployment.auth_servers[0])
            load.check()
        finally:
            load.close()
        assert len(load.kids) >= rotations, f"only {len(load.kids)} keys signed what was judged"
        judged = ", ".join(f"{name} {count}" for name, count in load.judged.items())
        return f"{rotations} rotations and a revocation among {load.refreshes} refreshes, {load.late()}; good: {judged}"


def each_algorithm_rotates_alone(binary, rotations):
    """Keys of RS256, EdDSA and ES256 side by side, judged by the same gateways and libraries."""
    said = []
    for first in ("RS256", "EdDSA"):
        algorithms = f'algorithms = ["{first}", "ES256"]\n'
        with Deployment(binary, gateways=2, keys=PACE + algorithms, token_seconds=TOKEN_SECONDS) as deployment:
            operator, load = Operator(deployment), Load(deployment)
            try:
                assert part(load.grants[0].tokens["access_token"], 0)["alg"] == first
                for number in range(rotations):
                    operator.rotate(deployment.auth_servers[number % 2])
                    operator.rotate(deployment.auth_servers[number % 2], "--algorithm", "ES256")
                    load.check()
                last = operator.keys(deployment.auth_servers[0], "active")
                wait_until(f"the last {first} key signs", lambda: load.kids & set(last))
            finally:
                load.close()
            assert len(load.kids) > rotations, f"only {len(load.kids)} keys signed what was judged"
            said.append(f"{first}: " + ", ".join(f"{name} {count}" for name, count in load.judged.items()) + f", {load.late()}")
    return "; ".join(said)


def revoke_in_an_emergency(deployment, operator, load):
    """The key that signs is pulled out once its standby is known everywhere: it costs its own tokens and no more."""
    first = deployment.auth_servers[0]
    (stolen,) = operator.keys(first, "active")
    wait_until("the key signs", lambda: kid(load.grants[0].tokens["access_token"]) == stolen)
    mine = load.grants[0].tokens["access_token"]

    def revoked():
        early = operator.run(first, "revoke", stolen)
        if early.returncode == 0:
            return True
        assert "yet" in early.stderr, f"a revocation was refused: {early.stderr}"
        return False
    load.revoked.add(stolen)
    wait_until("the standby is known everywhere", revoked)
    told = time.monotonic()
    gateways = [judge for judge in load.judges if judge.name.startswith("gateway")]
    for gateway in gateways:
        wait_until(f"{gateway.name} refuses the stolen key", lambda: "401" in gateway.judge(mine), 1)
    assert time.monotonic() - told < 1 + 0.5, "the revocation took longer than a second"
    for judge in load.judges:
        wait_until(f"{judge.name} refuses the stolen key", lambda: judge.judge(mine) != GOOD, MAX_AGE + 2)
    (heir,) = operator.keys(first, "active")
    for server in deployment.auth_servers:
        grant = load.grants[0]
        wait_until(f"{server.name} signs with the standby", lambda: signed_at(grant, server) == heir, 5)
    load.check()


def signed_at(grant, server):
    """The key that a server signs with: another grant of the same client, so that none is refreshed twice."""
    return kid(Grant(grant.issuer, grant.resource, "Look", grant.person).refreshed(server.port)["access_token"])


class Leaders:
    """Two auth-servers of which one leads, and the other takes over."""

    def __init__(self, deployment):
        self.deployment, self.operator = deployment, Operator(deployment)
        self.leader, self.other = 0, 1
        self.lease = self._lease()
        self.grant = Grant(deployment.issuer, deployment.resource, "Leaders")

    def server(self, number):
        return self.deployment.auth_servers[number]

    def _lease(self):
        wait_until("a server leads", lambda: self._read())
        return self._read()

    def _read(self):
        record = self.deployment.redis.ask("--raw", "GET", "auth:key-lease:rotation")
        return json.loads(record)[1] if record else None

    def kill_when(self, asked, act=()):
        """Kills the leader when Redis has done what holds `asked`, and it has not heard of it; `act` is a command
        that makes it ask that."""
        leader = self.server(self.leader)
        died = self.deployment.redis_wires[self.leader].lose(asked=asked, then=leader.kill)
        if act:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                # How the command ends is no matter: its server dies under it.
                pool.submit(self.operator.run, leader, *act)
        wait_until(f"the leader asks for {asked}", died.is_set)

    def taken_over(self):
        """The other one has a whole set at once, and leads soon; then the one that died comes back."""
        survivor = self.server(self.other)
        self.deployment.wire.point(survivor.port)
        self.whole(survivor)
        before = self.lease

        def leads():
            self.lease = self._read()
            return self.lease["holder"] != before["holder"]
        wait_until("the other server leads", leads)
        assert self.lease["term"] > before["term"], f"{before} was followed by {self.lease}"
        self.server(self.leader).start()
        self.whole(self.server(self.leader))
        self.leader, self.other = self.other, self.leader

    def whole(self, server):
        """Exactly one key of each purpose is active, another stands by, and what is published and signed with fits."""
        listed = self.operator.ask(server, "list")["keys"]
        for purpose in {key["purpose"] for key in listed}:
            states = collections.Counter(key["state"] for key in listed if key["purpose"] == purpose)
            assert states["active"] == 1 and states["pending"] >= 1, f"the {purpose} keys: {dict(states)}"
        published = [key["kid"] for key in send(f"{self.deployment.issuer}/jwks", port=server.port).json()["keys"]]
        over = {key["id"] for key in listed if key["state"] in ("retired", "revoked")}
        assert not over & set(published), f"published though over: {over & set(published)}"
        answer, _ = patiently(lambda: self.grant.refresh(server.port), is_transient)
        assert answer.status == 200, f"{self.grant.name} was logged out: {answer}"
        assert kid(self.grant.tokens["access_token"]) in published, "signed with an unpublished key"


ISSUER = b'"purpose":"issuer"'


def killed_leaders_leave_whole_sets(binary, again):
    with Deployment(binary, keys=PACE + 'rotate_every = "2s"\n', token_seconds=TOKEN_SECONDS) as deployment:
        leaders = Leaders(deployment)
        kills = 0
        for _ in range(again):
            for name, asked, act in (
                ("the lease is renewed", b'"holder"', None), ("the standby signs", ISSUER, None),
                ("another is announced", ISSUER, lambda: ("announce",)),
                ("a key retires", ISSUER, lambda: ("retire", "--emergency", one_of(leaders, "retiring"))),
                ("a key is revoked", ISSUER, lambda: ("revoke", "--emergency", one_of(leaders, "active")))):
                try:
                    leaders.kill_when(asked, act() if act else ())
                    leaders.taken_over()
                except AssertionError as why:
                    raise AssertionError(f"killed as {name}: {why}") from None
                kills += 1
        return f"{kills} leaders were killed and followed"


def one_of(leaders, state):
    server = leaders.server(leaders.leader)
    wait_until(f"a key is {state}", lambda: leaders.operator.keys(server, state))
    return leaders.operator.keys(server, state)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule")
    parser.add_argument("--long", action="store_true", help="many more rotations and kills")
    options = parser.parse_args()
    scenarios = {nobody_notices_rotations: 100 if options.long else 10,
                 killed_leaders_leave_whole_sets: 10 if options.long else 1}
    if options.long:
        scenarios[each_algorithm_rotates_alone] = 3
    since, failed = time.monotonic(), 0
    # RSA signs ten times slower: beside the other two it would starve them, so it comes after the first.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {scenario: pool.submit(scenario, options.binary, often) for scenario, often in scenarios.items()}
        for scenario, run in runs.items():
            title = scenario.__name__.replace("_", " ")
            try:
                verdict, told = "ok", run.result()
            except (AssertionError, OSError, subprocess.SubprocessError) as why:
                verdict, told, failed = "FAIL", why, failed + 1
            print(f"{verdict:<5} {title} ({time.monotonic() - since:.1f} s): {told}", flush=True)
    print(f"{len(runs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
