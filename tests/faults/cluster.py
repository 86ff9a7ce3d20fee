"""A Redis Cluster of three primaries and three replicas, whose primaries die and whose slots move under load."""

import concurrent.futures
import subprocess
import threading

from grants import Grant, is_gone, is_transient
from topology import Deployment, Redis
from wires import wait_until

WORKERS = 8
NODES = 6
# A node's bus listens this far above its port.
BUS = 10000
MOVED_SLOTS = 600


def a_cluster_whose_primaries_die_logs_nobody_out(binary, counts):
    with ClusterDeployment(binary) as deployment:
        grants = [Grant(deployment.issuer, deployment.resource, f"Cluster {number}") for number in range(WORKERS)]
        revoked, waited = [], 0
        for outage in range(min(counts.outages, 3)):
            gone = [Grant(deployment.issuer, deployment.resource, f"Revoked {number}") for number in range(3)]
            with Load(deployment, grants) as load:
                for one in gone:
                    answer = one.revoke()
                    assert answer.status == 200, f"a revocation was refused: {answer}"
                revoked += gone
                died = deployment.cluster.primaries()[outage]
                died.kill()
                deployment.cluster.wait_whole(without=died)
            waited += load.refused
            for grant in grants:
                wait_until(f"{grant.name} refreshes again", lambda: grant.refresh().status == 200)
            deployment.cluster.bring_back(died)
            for one in revoked:
                wait_until(f"{one.name} is answered", lambda: not is_transient(one.refresh()))
                assert is_gone(one.refresh()), f"a revoked grant lives: {one.refresh()}"
            newer = Grant(deployment.issuer, deployment.resource, "Newer")
            assert newer.revoke().status == 200 and is_gone(newer.refresh())
        return f"{outage + 1} primaries died; {waited} requests were asked to come back"


def slots_that_move_under_load_log_nobody_out(binary, _counts):
    with ClusterDeployment(binary) as deployment:
        grants = [Grant(deployment.issuer, deployment.resource, f"Slots {number}") for number in range(WORKERS)]
        gone = Grant(deployment.issuer, deployment.resource, "Revoked")
        assert gone.revoke().status == 200
        with Load(deployment, grants) as load:
            first, second, _ = deployment.cluster.primaries()
            deployment.cluster.move(first, second, MOVED_SLOTS)
            deployment.cluster.move(second, first, MOVED_SLOTS)
        for grant in grants:
            grant.refreshed()
        assert is_gone(gone.refresh()), f"a revoked grant lives: {gone.refresh()}"
        return f"{2 * MOVED_SLOTS} slots moved among {load.done} refreshes; {load.refused} were asked to come back"


class Load:
    """Everybody refreshes without a pause; every answer is tokens or a clear request to come back."""

    def __init__(self, deployment, grants):
        self.ports, self.grants = [one.port for one in deployment.auth_servers], grants
        self.done, self.refused = 0, 0
        self._stop, self._lock = threading.Event(), threading.Lock()

    def __enter__(self):
        self._pool = concurrent.futures.ThreadPoolExecutor(len(self.grants))
        self._works = [self._pool.submit(self._work, grant) for grant in self.grants]
        wait_until("everybody refreshes", lambda: self.done >= len(self.grants))
        return self

    def __exit__(self, *_why):
        self._stop.set()
        for work in self._works:
            work.result()
        self._pool.shutdown()

    def _work(self, grant):
        number = 0
        while not self._stop.is_set():
            answer = grant.refresh(self.ports[number % len(self.ports)])
            assert answer.status == 200 or is_transient(answer), f"{grant.name}: {answer}"
            number += 1
            with self._lock:
                self.done += answer.status == 200
                self.refused += answer.status != 200


class Node(Redis):
    """A node of a Cluster."""

    def __init__(self, number, folder):
        super().__init__(f"node-{number}", folder)
        self.command += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-announce-ip",
                         "127.0.0.1", "--cluster-config-file", f"node-{number}.conf", "--repl-diskless-sync-delay", "0"]

    def id(self):
        return self.ask("CLUSTER", "MYID")


class Cluster:
    """Three primaries with a replica each."""

    def __init__(self, folder):
        self.nodes = []
        while len(self.nodes) < NODES:
            node = Node(len(self.nodes), folder)
            if node.port + BUS < 65536:
                self.nodes.append(node.start())

    def join(self):
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        cli("--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes")
        self.wait_whole()
        return self

    def primaries(self):
        """Those that own slots, as a living node tells, in the order of their ports."""
        living = next(node for node in self.nodes if node.process.poll() is None)
        lines = [line.split() for line in living.ask("CLUSTER", "NODES").splitlines()]
        ports = {int(line[1].split("@")[0].rsplit(":", 1)[1]) for line in lines
                 if "master" in line[2] and "fail" not in line[2] and len(line) > 8}
        return [node for node in self.nodes if node.port in ports]

    def wait_whole(self, without=None):
        """Waits until every living node knows an owner of every slot, with a replica unless its one was promoted."""
        living = [node for node in self.nodes if node is not without]
        for node in living:
            wait_until(f"{node.name} sees the whole Cluster", lambda: "cluster_state:ok" in node.ask("CLUSTER", "INFO"))
        wait_until("three primaries own the slots", lambda: without not in self.primaries() and len(self.primaries()) == 3)
        if without is None:
            for node in self.primaries():
                wait_until(f"{node.name} has a replica", lambda: "state=online" in node.ask("INFO", "replication"))

    def bring_back(self, node):
        """Starts a node that died; it becomes a replica of the one that took its place."""
        node.start()
        self.wait_whole()

    def move(self, old, new, slots):
        """Moves slots, once every node knows of the last move."""
        wait_until("all nodes agree", lambda: redis_cli("--cluster", "check", f"127.0.0.1:{old.port}").returncode == 0)
        cli("--cluster", "reshard", f"127.0.0.1:{old.port}", "--cluster-from", old.id(), "--cluster-to", new.id(),
            "--cluster-slots", slots, "--cluster-yes")

    def stop(self):
        for node in self.nodes:
            node.stop()


class ClusterDeployment(Deployment):
    """Auth-servers on a Cluster; what must last is on a replica before it is answered."""

    def __init__(self, binary):
        self.cluster = None
        super().__init__(binary)

    def _start_redis(self, _replicas, _sentinels):
        self.cluster = Cluster(self.folder).join()
        self.redis = self.cluster.nodes[0]

    def _store(self, _port, _replicas):
        url = self.secret("redis-urls", "\n".join(f"redis://127.0.0.1:{node.port}/" for node in self.cluster.nodes))
        return f"""
[store]
engine = "redis"
redis_topology = "cluster"
auth_redis_url_file = "{url}"
gateway_redis_url_file = "{url}"
replicas = 1
"""

    def close(self):
        super().close()
        self.cluster.stop()


def cli(*words):
    done = redis_cli(*words)
    assert done.returncode == 0, f"{words[:2]}: {done.stdout[-500:]}{done.stderr}"


def redis_cli(*words):
    return subprocess.run(["redis-cli", *map(str, words)], capture_output=True, text=True, timeout=120)


SCENARIOS = [a_cluster_whose_primaries_die_logs_nobody_out, slots_that_move_under_load_log_nobody_out]
