#!/usr/bin/env python3
"""The deployment of docker-compose.yml as processes: one Redis, two auth-servers, two gateways behind a
balancer, and the reference CRM, from the files in deploy/. A person signs in, clients call tools, instances
are killed and come back, and nobody notices.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "clients"))
import run as clients  # noqa: E402
from browser import Person  # noqa: E402
from oauth import Connection  # noqa: E402

USERNAME = "ada@example.com"
START_SECONDS = 30
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Topology:
    """Every process of the deployment, in a folder of its own."""

    def __init__(self, binary):
        self.binary = str(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-topology-"))
        self.secrets, self.users = self.folder / "secrets", self.folder / "redis-users"
        names = ("redis", "crm", "auth", "internal", "gateway",
                 "auth-1", "auth-2", "internal-1", "internal-2", "gateway-1", "gateway-2")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.issuer = f"http://localhost:{self.ports['auth']}"
        self.url = f"http://localhost:{self.ports['gateway']}/mcp"
        self.alias = self.url
        self.processes = {}

    def start(self):
        """Starts everything in the order of the compose file."""
        self.users.mkdir()
        subprocess.run(["sh", ROOT / "deploy/setup.sh", self.secrets, self.users, f"127.0.0.1:{self.ports['redis']}"],
                       check=True)
        self.run("redis", ["redis-server", self.redis_conf()], None)
        self.wait_until(self.redis_listens)
        for number in (1, 2):
            self.run(f"auth-server-{number}", self.service("auth-server", number), f"auth-{number}")
        self.run("balancer", ["nginx", "-p", self.folder, "-c", self.nginx_conf(), "-g", "daemon off;"], "auth")
        for number in (1, 2):
            self.run(f"gateway-{number}", self.service("gateway", number), f"gateway-{number}")
        keys = f"http://127.0.0.1:{self.ports['gateway']}/.well-known/jwks.json"
        self.run("crm", [self.binary, "crm", "--config", self.config(0), "--data-dir", self.folder / "crm",
                         "--listen", f"127.0.0.1:{self.ports['crm']}", "--gateway-keys", keys], None)
        self.wait_until(lambda: self.answers("gateway-1", "/readyz") and self.answers("gateway-2", "/readyz"))
        return self

    def service(self, name, number):
        return [self.binary, name, "--config", self.config(number), "--data-dir", self.folder / f"{name}-{number}"]

    def config(self, number):
        """deploy/deployment.toml with this machine's ports and folders, and nothing else changed."""
        text = (ROOT / "deploy/deployment.toml").read_text()
        changes = {
            "0.0.0.0:7410": f"127.0.0.1:{self.ports.get(f'auth-{number}', 1)}",
            "0.0.0.0:7411": f"127.0.0.1:{self.ports.get(f'internal-{number}', 1)}",
            "0.0.0.0:7400": f"127.0.0.1:{self.ports.get(f'gateway-{number}', 1)}",
            "http://localhost:7410": self.issuer,
            "http://localhost:7400": self.url.removesuffix("/mcp"),
            "http://balancer:7411": f"http://127.0.0.1:{self.ports['internal']}",
            "http://crm:7420": f"http://127.0.0.1:{self.ports['crm']}",
            "172.30.74.0/24": "127.0.0.1",
            "/run/secrets/vestibule": str(self.secrets),
        }
        return self.filled(f"deployment-{number}.toml", text, changes)

    def redis_conf(self):
        text = (ROOT / "deploy/redis.conf").read_text()
        text += f"port {self.ports['redis']}\nbind 127.0.0.1\ndir {self.folder}\n"
        return self.filled("redis.conf", text, {"/etc/redis-users": str(self.users)})

    def nginx_conf(self):
        text = (ROOT / "deploy/nginx.conf").read_text()
        changes = {f"{name}-{number}:{port}": f"127.0.0.1:{self.ports[f'{own}-{number}']}"
                   for name, port, own in (("auth-server", 7410, "auth"), ("auth-server", 7411, "internal"),
                                           ("gateway", 7400, "gateway")) for number in (1, 2)}
        changes |= {f"listen {port};": f"listen 127.0.0.1:{self.ports[own]};"
                    for port, own in ((7410, "auth"), (7411, "internal"), (7400, "gateway"))}
        return self.filled("nginx.conf", text, changes | {"/tmp/": f"{self.folder}/nginx-"})

    def filled(self, name, text, changes):
        for old, new in changes.items():
            assert old in text, f"{name} has no {old}"
            text = text.replace(old, new)
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, name, command, port):
        """Starts a process, and waits until it listens if it is known where."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log)
        if port:
            self.wait_until(lambda: self.answers(port, "/healthz"), name)

    def redis_listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports["redis"])) == 0

    def answers(self, port, path):
        try:
            with OPENER.open(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_until(self, condition, name=None):
        limit = time.monotonic() + START_SECONDS
        while not condition():
            ended = [each for each, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > limit:
                raise AssertionError(f"{ended or name or 'the deployment'} is not there: {self.tail(ended or [name])}")
            time.sleep(0.05)

    def kill(self, name):
        """Ends a process without any warning."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def again(self, name):
        """Starts a killed instance again, with the folder it had."""
        service, number = name.rsplit("-", 1)
        self.run(name, self.service(service, number), f"{service.removesuffix('-server')}-{number}")
        self.wait_until(lambda: self.answers(f"{service.removesuffix('-server')}-{number}", "/readyz"))

    def restart(self):
        """Every instance of ours, one after the other."""
        since = time.monotonic()
        for name in ("auth-server-1", "auth-server-2", "gateway-1", "gateway-2"):
            process = self.processes.pop(name)
            process.terminate()
            process.wait(20)
            self.again(name)
        return time.monotonic() - since

    def tail(self, names=None, lines=4):
        logs = [self.folder / f"{name}.log" for name in names or self.processes if name]
        return "\n".join(f"[{log.name}]\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
                         for log in logs if log.exists())

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def a_person_connects_and_calls(topology, person):
    connection = Connection(topology.issuer, topology.url).register().sign_in(person)
    for _ in range(10):
        connection.call("list_contacts")
    return connection


def every_instance_answers(topology, connection):
    """Both instances of each service know what the other one did."""
    for number in (1, 2):
        direct = f"http://127.0.0.1:{topology.ports[f'gateway-{number}']}/mcp"
        connection.call("list_contacts", at=direct)
    first = connection.tokens["refresh_token"]
    answers = [connection.refresh(first, at=f"http://127.0.0.1:{topology.ports[f'auth-{number}']}") for number in (1, 2)]
    assert len({answer["refresh_token"] for answer in answers}) == 1, "two instances gave two successors"


def parallel_refreshes_have_one_successor(topology, connection):
    token = connection.tokens["refresh_token"]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: connection.refresh(token), range(20)))
    assert len({answer["refresh_token"] for answer in answers}) == 1, "one token got several successors"


def killed_instances_are_not_noticed(topology, connection):
    for name in ("auth-server-1", "gateway-1", "auth-server-2", "gateway-2"):
        topology.kill(name)
        for _ in range(5):
            connection.call("list_contacts")
            connection.refresh(connection.tokens["refresh_token"])
        topology.again(name)


def a_revocation_is_effective_everywhere(topology, connection):
    connection.revoke()
    limit = time.monotonic() + 2
    for number in (1, 2):
        direct = f"http://127.0.0.1:{topology.ports[f'gateway-{number}']}/mcp"
        while connection.status("list_contacts", at=direct) != 401:
            assert time.monotonic() < limit, f"gateway-{number} still takes a revoked token after 2 s"
            time.sleep(0.05)


def each_service_reads_its_own_keys_only(topology, _connection):
    for user, foreign in (("auth", "gateway"), ("gateway", "auth")):
        password = (topology.secrets / f"redis-{user}-password").read_text().strip()
        asked = ["redis-cli", "-p", str(topology.ports["redis"]), "--no-auth-warning", "--user", user, "--pass", password]
        for command in (["GET", f"{foreign}:keys:issuer"], ["FLUSHALL"], ["CONFIG", "SET", "save", ""]):
            answer = subprocess.run([*asked, *command], capture_output=True, text=True, timeout=10)
            assert "NOPERM" in answer.stdout + answer.stderr, f"{user} may {command[0]}: {answer.stdout}"


def a_released_client_stays_connected(topology, password):
    """The TypeScript SDK connects through the balancer, and every instance is restarted under it."""
    control = clients.Control(topology)
    control.begin = lambda: setattr(control, "person", Person(USERNAME, password)) or setattr(control, "restarts", 0)
    try:
        return clients.drive(clients.CLIENTS["sdk-v1"][1], topology.url, topology, control)
    finally:
        control.server.shutdown()


def compose_file_is_valid():
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            subprocess.run([*command, "-f", ROOT / "docker-compose.yml", "config", "-q"], check=True, cwd=ROOT)
            return
    raise AssertionError("docker-compose is not installed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=clients.TARGET / "release/vestibule", help="the vestibule binary")
    options = parser.parse_args()
    compose_file_is_valid()
    print("ok    docker-compose.yml is valid", flush=True)
    topology = Topology(options.binary)
    failed = False
    try:
        topology.start()
        password = (topology.secrets / "person-password").read_text().strip()
        connection = a_person_connects_and_calls(topology, Person(USERNAME, password))
        print("ok    a person connects and calls", flush=True)
        for step in (every_instance_answers, parallel_refreshes_have_one_successor, killed_instances_are_not_noticed,
                     each_service_reads_its_own_keys_only, a_revocation_is_effective_everywhere):
            since = time.monotonic()
            step(topology, connection)
            print(f"ok    {step.__name__.replace('_', ' ')} ({time.monotonic() - since:.1f} s)", flush=True)
        print(f"ok    a released client stays connected: {a_released_client_stays_connected(topology, password)}")
    except (AssertionError, OSError, subprocess.SubprocessError) as why:
        failed = True
        print(f"FAIL  {why}\n{topology.tail()}", flush=True)
    finally:
        topology.stop()
        shutil.rmtree(topology.folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
