"""The processes of a measurement: Redis beside the load, and one authorization server at a time apart from it."""

import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

SERVER_PROCESSOR, LOAD_PROCESSOR = 0, 1
PEOPLE = 100
RESOURCE = "http://127.0.0.1:8080/mcp"
SCOPE = "crm:read crm:write"
# The password "bench" with the least of memory and time: what a password costs is bounded elsewhere, and is not measured.
PASSWORD = "$argon2id$v=19$m=8,t=1,p=1$YmVuY2hiZW5jaGJlbmNoIQ$EFQ7WcW6BytxvcR+MA05+yR532Q7AupkI9AuYlzE8OE"
# The machine has settled when a server has been idle for so long.
SETTLE_SECONDS = 1.5
# How many records are weighed.
SAMPLES = 200


class Server:
    """A child process on one processor, with a folder of its own."""

    def __init__(self, name, port, processor, where=None):
        self.name, self.port, self.processor, self.process = name, port, processor, None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"vestibule-bench-{name}-", dir=where))

    def start(self):
        """Starts, and returns the seconds until a connection was accepted."""
        since = time.perf_counter()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment()}, preexec_fn=lambda: os.sched_setaffinity(0, {self.processor}))
        while not self.is_ready():
            if self.process.poll() is not None or time.perf_counter() - since > 30:
                raise SystemExit(f"{self.name} does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.0005)
        return time.perf_counter() - since

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def environment(self):
        return {}

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def pid(self):
        return self.process.pid

    def memory(self):
        """Its share of memory in MiB after a while without work."""
        time.sleep(SETTLE_SECONDS)
        rollup = pathlib.Path(f"/proc/{self.pid()}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1]) / 1024

    def start_times(self, count):
        """The median time from the start of the process to its first connection, in milliseconds."""
        times = []
        for _ in range(count + 1):
            times.append(self.start())
            self.stop()
        # The first start makes keys and warms the page cache.
        return {"listening_ms": statistics.median(times[1:]) * 1000}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """Keeps what it wrote, as an authorization server's Redis must: in memory by default, so that no disk is measured."""

    def __init__(self, folder):
        super().__init__("redis", free_port(), LOAD_PROCESSOR, folder)

    def command(self):
        return ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always"]

    def ask(self, *command):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, command)], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def memory(self):
        """Bytes of what it holds."""
        return int(re.search(r"used_memory_dataset:(\d+)", self.ask("INFO", "memory"))[1])

    def bytes_of(self, pattern):
        """The mean size of the records with such keys, key and all."""
        keys = self.ask("--scan", "--pattern", pattern).splitlines()
        sizes = [int(self.ask("MEMORY", "USAGE", key, "SAMPLES", "0")) for key in keys[:SAMPLES]]
        return statistics.mean(sizes) if sizes else None

    def all_bytes_of(self, pattern):
        """The size of all records with such keys together."""
        return sum(int(self.ask("MEMORY", "USAGE", key, "SAMPLES", "0")) for key in self.ask("--scan", "--pattern", pattern).splitlines())


class AuthorizationServer(Server):
    """What both have: a start that is timed, and a discovery document."""

    discovery = "/.well-known/oauth-authorization-server"

    def __init__(self, name, redis, issuer_host):
        super().__init__(name, free_port(), SERVER_PROCESSOR)
        self.redis = redis
        self.issuer = f"http://{issuer_host}:{self.port}"
        self.load = ["--issuer", self.issuer, "--discovery", self.discovery, "--resource", RESOURCE, "--scope", SCOPE,
                     "--people", str(PEOPLE)]

    def grants(self):
        with urllib.request.urlopen(self.issuer + self.discovery) as answer:
            return json.load(answer).get("grant_types_supported", [])


class OidcProvider(AuthorizationServer):
    """npm oidc-provider on Node with its state in Redis."""

    discovery = "/.well-known/openid-configuration"

    def __init__(self, redis, folder):
        super().__init__("oidc-provider", redis, "127.0.0.1")
        self.script = folder / "oidc_provider.mjs"

    def command(self):
        inside = pathlib.Path(__file__).resolve().parents[2] / ".tools/node/bin/node"
        return [inside if inside.exists() else "node", self.script]

    def environment(self):
        return {"PORT": str(self.port), "REDIS_PORT": str(self.redis.port), "RESOURCE": RESOURCE, "SCOPE": SCOPE,
                "NODE_ENV": "production"}


class Vestibule(AuthorizationServer):
    """`vestibule auth-server` with its state in Redis, behind a trusted proxy: the load."""

    def __init__(self, redis, binary):
        super().__init__("vestibule", redis, "localhost")
        self.binary = binary
        for name, text in (("password", PASSWORD), ("secret", "bench-secret"), ("redis-url", f"redis://127.0.0.1:{redis.port}/0")):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o600)
        (self.folder / "deployment.toml").write_text(self.deployment())

    def command(self):
        return [self.binary, "auth-server", "--config", self.folder / "deployment.toml", "--data-dir", self.folder / "data"]

    def deployment(self):
        people = "".join(f"""
[[auth.user]]
id = "usr_bench_{number}"
username = "bench-{number}"
name = "Bench {number}"
password_file = "{self.folder}/password"
membership = [{{ workspace = "ws_bench", role = "owner" }}]
""" for number in range(PEOPLE))
        return f"""
[deployment]
name = "Bench"
issuer = "{self.issuer}"

[listen]
auth = ["127.0.0.1:{self.port}"]
trusted_proxies = ["127.0.0.1"]

[store]
engine = "redis"
auth_redis_url_file = "{self.folder}/redis-url"

[auth]
registration = "open"
client_capacity = 10000000
new_clients_per_minute = 10000000

[[auth.workspace]]
id = "ws_bench"
name = "Bench"
{people}
[[client]]
id = "bench-web"
name = "Bench"
redirect_uris = ["http://127.0.0.1:7777/cb"]

[[client]]
id = "bench-cc"
name = "Bench service"
grant_types = ["client_credentials"]
secret_file = "{self.folder}/secret"
service = {{ scopes = ["crm:read", "crm:write"], workspaces = ["ws_bench"] }}

[[resource]]
url = "{RESOURCE}"
name = "Bench"
default = true
access_token_seconds = 300
workspace = "optional_argument"
default_scopes = ["crm:read", "crm:write"]
prm_scopes = ["crm:read", "crm:write"]
scope = [
    {{ name = "crm:read", description = "See records" }},
    {{ name = "crm:write", description = "Change records" }},
]
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
