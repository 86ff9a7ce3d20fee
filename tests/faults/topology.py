"""A deployment on many machines, on this one: Redis, auth-servers, a gateway, a backend, and wires between them."""

import http.server
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading

from grants import PASSWORD, send
from wires import Wire, free_ports, listens, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROFILE = ROOT / "profiles/demo/deployment.toml"
STOP_SECONDS = 20


class Process:
    """A child process with a log of its own; `start` may be called again after it ended."""

    def __init__(self, name, command, folder, port):
        self.name, self.command, self.port = name, [str(part) for part in command], port
        self.log, self.process = pathlib.Path(folder, f"{name}.log"), None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "VESTIBULE_DEMO_PASSWORD": PASSWORD})
        wait_until(f"{self.name} answers", lambda: self._answers() or self._ended())
        return self

    def _answers(self):
        return listens(self.port)

    def _ended(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.tail()}"
        return False

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM, and a limit for its end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {STOP_SECONDS} s of SIGTERM") from None

    def tail(self, lines=12):
        """The last lines that it printed."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Redis(Process):
    """A redis-server that answers when what it wrote is on its disk."""

    def __init__(self, name, folder):
        (port,) = free_ports(1)
        data = pathlib.Path(folder, name)
        data.mkdir(exist_ok=True)
        super().__init__(name, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", data, "--save", "",
                                "--appendonly", "yes", "--appendfsync", "always"], folder, port)

    def _answers(self):
        return self.ask("PING") == "PONG"

    def ask(self, *command):
        """One command's answer, as text."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, command)], capture_output=True, text=True)
        return done.stdout.strip()


class Sentinel(Redis):
    """Watches a primary named `main`, and promotes its replica when it is gone."""

    def __init__(self, number, folder, primary):
        super().__init__(f"sentinel-{number}", folder)
        settings = pathlib.Path(folder, f"sentinel-{number}.conf")
        settings.write_text(f"sentinel monitor main 127.0.0.1 {primary.port} 2\n"
                            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n")
        self.command = ["redis-server", str(settings), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1",
                        "--dir", str(folder)]


class Service(Process):
    """One of ours: it is there when it says that it lives."""

    def _answers(self):
        try:
            return send(f"http://localhost:{self.port}/healthz").status == 200
        except OSError:
            return False


class Deployment:
    """Auth-servers that share one Redis, and one issuer that leads to the first of them.

    Each auth-server reaches Redis by a wire of its own, and the issuer is a wire too."""

    def __init__(self, binary, auth_servers=2, gateways=0, replicas=0, sentinels=0, keys="", token_seconds=300):
        self.binary, self.keys, self.token_seconds = str(binary), keys, token_seconds
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-faults-"))
        self.redis, self.replica, self.sentinels = None, None, []
        self._start_redis(replicas, sentinels)
        self.wire = Wire()
        self.issuer = f"http://localhost:{self.wire.port}"
        self.gateway_port, self.backend = free_ports(1)[0], Backend() if gateways else None
        self.resource = f"http://localhost:{self.gateway_port}/mcp"
        self.secret("password", PASSWORD)
        self.secret("credential", secrets.token_urlsafe(32))
        self.redis_wires, self.auth_servers, internal = [], [], []
        for number in range(auth_servers):
            listen, inside = free_ports(2)
            self.redis_wires.append(Wire(self.redis.port))
            config = self._config(f"auth-{number}", f"""
[listen]
auth = ["127.0.0.1:{listen}"]
internal = ["127.0.0.1:{inside}"]
internal_credential_file = "{self.folder}/credential"
{self._store(self.redis_wires[number].port, replicas)}""")
            self.auth_servers.append(self._service(f"auth-{number}", "auth-server", config, listen).start())
            internal.append(inside)
        self.wire.point(self.auth_servers[0].port)
        self.gateways = []
        for number in range(gateways):
            listen = free_ports(1)[0] if number else self.gateway_port
            config = self._config(f"gateway-{number}", f"""
[listen]
gateway = ["127.0.0.1:{listen}"]
{self._store(self.redis.port, 0)}""", f"""[gateway]
jwks_refetch_seconds = 1
internal_base = "http://127.0.0.1:{internal[number % auth_servers]}"
internal_credential_file = "{self.folder}/credential"
""")
            self.gateways.append(self._service(f"gateway-{number}", "gateway", config, listen).start())

    def _start_redis(self, replicas, sentinels):
        self.redis = Redis("redis", self.folder).start()
        if replicas:
            self.replica = Redis("replica", self.folder).start()
            self.follow()
        self.sentinels = [Sentinel(number, self.folder, self.redis).start() for number in range(sentinels)]
        for sentinel in self.sentinels:
            wait_until("the sentinels know one another and the replica",
                       lambda: f"slaves=1,sentinels={sentinels}" in sentinel.ask("INFO", "sentinel"))

    def __enter__(self):
        return self

    def __exit__(self, kind, why, _trace):
        told = self.told() if kind else ""
        self.close()
        if isinstance(why, AssertionError):
            raise AssertionError(f"{why}\n{told}") from None

    def follow(self):
        """Makes the replica follow the primary, and waits until it has caught up."""
        self.replica.ask("REPLICAOF", "127.0.0.1", self.redis.port)
        wait_until("the replica follows", lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"))

    def secret(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def close(self):
        """Ends everything; what was kept and logged goes too."""
        for one in (*self.gateways, *self.auth_servers, *self.sentinels, self.replica, self.redis):
            if one is not None:
                one.stop()
        for wire in (self.wire, *self.redis_wires):
            wire.close()
        if self.backend:
            self.backend.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def told(self):
        """The last lines of every process."""
        running = [one for one in (*self.auth_servers, *self.gateways, self.redis, self.replica) if one]
        return "\n".join(f"-- {one.name}\n{one.tail(6)}" for one in running)

    def _store(self, port, replicas):
        url = self.secret(f"redis-url-{port}", f"redis://127.0.0.1:{port}/0")
        more = ""
        if self.sentinels:
            url = self.secret("redis-url", "redis://main/0")
            watchers = "\n".join(f"redis://127.0.0.1:{one.port}/" for one in self.sentinels)
            more = f'redis_topology = "sentinel"\nredis_sentinels_file = "{self.secret("sentinels", watchers)}"'
        return f"""
[store]
engine = "redis"
auth_redis_url_file = "{url}"
gateway_redis_url_file = "{url}"
replicas = {replicas}
{more}
"""

    def _config(self, name, more, gateway="[gateway]\n"):
        text = fill(PROFILE.read_text(), self.wire.port, self.gateway_port,
                    self.backend.url if self.backend else "http://127.0.0.1:1/mcp", self.folder / "password")
        # The first process that starts makes the key-encryption key.
        key = f'\n[keys]\nkey_encryption_key_file = "{self.folder}/kek"\n{self.keys}'
        text = text.replace("access_token_seconds = 300", f"access_token_seconds = {self.token_seconds}")
        path = self.folder / f"{name}.toml"
        path.write_text(text.replace("[gateway]\n", gateway) + more + key)
        return path

    def _service(self, name, command, config, port):
        data = self.folder / f"{name}-data"
        return Service(name, [self.binary, command, "--config", config, "--data-dir", data], self.folder, port)


def fill(text, auth_port, gateway_port, crm_url, password_file):
    """The demo's deployment file with its places filled in."""
    for place, value in (("auth_port", auth_port), ("gateway_port", gateway_port), ("crm_url", crm_url),
                         ("crm_audience", "urn:vestibule:crm"), ("password_file", password_file)):
        text = text.replace("{" + place + "}", str(value))
    return text


class Backend:
    """An MCP server with one tool that always works."""

    def __init__(self):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _BackendHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _BackendHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    RESULTS = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "backend", "version": "1"}},
        "tools/list": {"tools": [{"name": "list_contacts", "inputSchema": {
            "type": "object", "properties": {"workspace_id": {"type": "string"}}}}]},
        "tools/call": {"content": [{"type": "text", "text": "done"}]},
    }

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {"jsonrpc": "2.0", "id": message.get("id")}
        result = self.RESULTS.get(message.get("method"))
        answer |= {"error": {"code": -32601, "message": "no such method"}} if result is None else {"result": result}
        body = json.dumps(answer).encode() if "id" in message else b""
        self.send_response(200 if body else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
