"""Redis that restarts under load, is away, or fails over to a replica that lost the last rotations."""

import concurrent.futures
import threading
import time

from grants import Grant, is_gone, is_transient, send, works
from topology import Deployment
from wires import wait_until

WORKERS = 8
# Longer than a gateway believes a feed that is silent.
AWAY = 4


def redis_killed_under_load_logs_nobody_out(binary, counts):
    with Deployment(binary) as deployment:
        ports = [one.port for one in deployment.auth_servers]
        grants = [Grant(deployment.issuer, deployment.resource, f"Load {number}") for number in range(WORKERS)]
        revoked = []
        for _ in range(counts.outages):
            gone = Grant(deployment.issuer, deployment.resource, "Revoked")
            stop, refreshed = threading.Event(), threading.Event()

            def work(grant, stop=stop, refreshed=refreshed):
                """Refreshes without a pause; every answer is tokens or a clear request to come back."""
                done = 0
                while not stop.is_set():
                    answer = grant.refresh(ports[done % len(ports)])
                    assert answer.status == 200 or is_transient(answer), f"{grant.name}: {answer}"
                    done += 1
                    refreshed.set()
                return done

            with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
                workers = [pool.submit(work, grant) for grant in grants]
                try:
                    assert refreshed.wait(10), "nobody could refresh"
                    answer = gone.revoke()
                    assert answer.status == 200, f"a revocation was refused: {answer}"
                    revoked.append(gone)
                    deployment.redis.kill()
                    deployment.redis.start()
                finally:
                    stop.set()
                for one in workers:
                    one.result()
            for grant in grants:
                wait_until(f"{grant.name} refreshes again", lambda: grant.refresh().status == 200)
            for gone in revoked:
                assert is_gone(gone.refresh()), f"a revoked grant lives: {gone.refresh()}"
        return f"{counts.outages} kills of Redis"


def while_redis_is_away_answers_are_transient(binary, _counts):
    with Deployment(binary) as deployment:
        grant = Grant(deployment.issuer, deployment.resource)
        deployment.redis.kill()
        issuer, asks = deployment.issuer, {}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asks["refresh"] = pool.submit(grant.refresh)
            asks["revoke"] = pool.submit(grant.revoke)
            asks["code"] = pool.submit(send, f"{issuer}/token", {
                "grant_type": "authorization_code", "code": f"ac_{'A' * 22}.{'A' * 43}", "client_id": grant.client,
                "code_verifier": "A" * 43})
            asks["register"] = pool.submit(send, f"{issuer}/register", {
                "redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"}, form=False)
            ready = pool.submit(send, f"{issuer}/readyz")
            page = pool.submit(send, f"{issuer}/authorize?client_id={grant.client}")
            still = [pool.submit(send, issuer + path) for path in
                     ("/healthz", "/jwks", "/.well-known/oauth-authorization-server")]
            for name, ask in asks.items():
                assert is_transient(ask.result()), f"{name}: {ask.result()}"
            for ask in (ready, page):
                assert ask.result().status == 503 and ask.result().headers["retry-after"], ask.result()
            for ask in still:
                assert ask.result().status == 200, ask.result()
        deployment.redis.start()
        for server in deployment.auth_servers:
            wait_until("refreshes work again without a restart", lambda: grant.refresh(server.port).status == 200)
        return "recovered without a restart"


def while_redis_is_away_gateways_go_on_verifying(binary, _counts):
    with Deployment(binary, auth_servers=1, gateways=1) as deployment:
        grant = Grant(deployment.issuer, deployment.resource)
        wait_until(f"a call works: {grant.call()}", lambda: works(grant.call()))
        deployment.redis.kill()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            refused = pool.submit(grant.refresh)
            calls, until = 0, time.monotonic() + AWAY
            while time.monotonic() < until:
                answer = grant.call()
                assert works(answer), f"call {calls} of a good token: {answer}"
                calls += 1
            assert is_transient(refused.result()), refused.result()
        deployment.redis.start()
        wait_until("refreshes work again", lambda: grant.refresh().status == 200)
        wait_until("calls work", lambda: works(grant.call()))
        return f"{calls} calls"


def a_failover_that_loses_rotations_logs_nobody_out(binary, counts):
    with Deployment(binary, replicas=1) as deployment:
        first, second = deployment.auth_servers
        grants = [Grant(deployment.issuer, deployment.resource, f"Failover {number}") for number in range(WORKERS)]
        revoked = Grant(deployment.issuer, deployment.resource, "Revoked")
        answer = revoked.revoke()
        assert answer.status == 200, f"a revocation was refused: {answer}"
        late = Grant(deployment.issuer, deployment.resource, "Late")
        # From here on the replica hears nothing: rotations are answered, what must last is not.
        deployment.replica.ask("REPLICAOF", "NO", "ONE")
        for number, grant in enumerate(grants):
            for _ in range(number):
                grant.refreshed(first.port)
        answer = late.revoke(first.port)
        assert is_transient(answer), f"a revocation that one server alone has was answered: {answer}"
        deployment.redis.kill()
        deployment.redis, deployment.replica = deployment.replica, None
        for wire in deployment.redis_wires:
            wire.point(deployment.redis.port)
        deployment.redis.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        for server in (first, second):
            wait_until("the new primary is found", lambda: send(f"http://localhost:{server.port}/readyz").status == 200)
        for grant in grants[1:]:
            newest = grant.tokens["refresh_token"]
            ways = [first.port, second.port]
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                answers = list(pool.map(lambda port: grant.refresh(port, newest), ways))
            for answer in answers:
                assert answer.status == 200, f"{grant.name} was logged out: {answer}"
            branches = {answer.json()["refresh_token"] for answer in answers}
            assert len(branches) == 1, f"{grant.name} has {len(branches)} live branches"
        assert is_gone(revoked.refresh()), f"a revoked grant lives: {revoked.refresh()}"
        return f"{len(grants) - 1} grants, up to {len(grants) - 1} rotations lost"


def a_sentinel_failover_that_loses_rotations_logs_nobody_out(binary, _counts):
    with Deployment(binary, replicas=1, sentinels=3) as deployment:
        first, second = deployment.auth_servers
        grants = [Grant(deployment.issuer, deployment.resource, f"Sentinel {number}") for number in range(WORKERS)]
        revoked, late = (Grant(deployment.issuer, deployment.resource, name) for name in ("Revoked", "Late"))
        answer = revoked.revoke()
        assert answer.status == 200, f"a revocation was refused: {answer}"
        deployment.redis.ask("WAIT", "1", "5000")
        # From here on the replica hears nothing: a password that nobody asks for keeps it away.
        deployment.replica.ask("CONFIG", "SET", "masterauth", "wrong")
        deployment.redis.ask("CLIENT", "KILL", "TYPE", "replica")
        wait_until("the replica is cut off", lambda: "connected_slaves:0" in deployment.redis.ask("INFO", "replication"))
        for number, grant in enumerate(grants):
            for _ in range(number):
                grant.refreshed(first.port)
        with concurrent.futures.ThreadPoolExecutor(2 * WORKERS) as pool:
            # What one server alone has is not answered, and not forgotten.
            pending = pool.submit(late.revoke, first.port)
            wait_until("the revocation is pending", lambda: pending_in(deployment, first))
            deployment.redis.kill()
            # Everybody asks at once, and waits for the failover rather than being sent away.
            newest = [grant.tokens["refresh_token"] for grant in grants]
            asks = [pool.submit(grant.refresh, port, token) for grant, token in zip(grants, newest)
                    for port in (first.port, second.port)]
            assert not is_gone(pending.result()), pending.result()
            waited = [ask.result() for ask in asks]
        for answer in waited:
            assert answer.status == 200 or is_transient(answer), f"logged out by a failover: {answer}"
        for grant, token in zip(grants, newest):
            wait_until(f"{grant.name} refreshes again", lambda: grant.refresh(second.port, token).status == 200)
            branches = {grant.refresh(port, token).json()["refresh_token"] for port in (first.port, second.port)}
            assert len(branches) == 1, f"{grant.name} has {len(branches)} live branches"
            grant.refreshed(first.port)
        # What must last is answered again when the old primary has come back as a replica.
        deployment.redis.start()
        wait_until("the new primary has a replica", lambda: "state=online" in deployment.replica.ask("INFO", "replication"))
        assert is_gone(revoked.refresh()), f"a revoked grant lives: {revoked.refresh()}"
        wait_until("the pending revocation is in force", lambda: is_gone(late.refresh(first.port)))
        newer = Grant(deployment.issuer, deployment.resource, "Newer")
        assert newer.revoke().status == 200 and is_gone(newer.refresh())
        return f"{WORKERS} grants, up to {WORKERS - 1} rotations lost; {sum(a.status == 200 for a in waited)} of {len(waited)} waited it out"


def pending_in(deployment, server):
    """Whether a server's log has the revocation that was answered and another one."""
    log = deployment.folder / f"{server.name}-data/revocations.journal"
    return log.read_text().count('"class":"family"') >= 2


SCENARIOS = [redis_killed_under_load_logs_nobody_out, while_redis_is_away_answers_are_transient,
             while_redis_is_away_gateways_go_on_verifying, a_failover_that_loses_rotations_logs_nobody_out,
             a_sentinel_failover_that_loses_rotations_logs_nobody_out]
