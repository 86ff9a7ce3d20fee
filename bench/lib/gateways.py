"""The processes of a gateway's measurement: the issuer of its tokens and the backend beside the load, and one gateway at a
time apart from them."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.request

from servers import LOAD_PROCESSOR, SERVER_PROCESSOR, Server, free_port

SCOPE = "crm:read"
# The workspace that every call is bound to.
WORKSPACE = "ws_bench"
BACKEND_PORT = free_port()
PLENTY = 2_000_000_000


class Backend(Server):
    """The MCP server behind every gateway."""

    def __init__(self, binary, tools):
        super().__init__("backend", BACKEND_PORT, LOAD_PROCESSOR)
        self.binary, self.tools = binary, tools

    def command(self):
        return [self.binary, "backend", "--port", self.port, "--tools", self.tools, "--workspace", WORKSPACE]


class Issuer(Server):
    """`vestibule auth-server`, which issues the tokens that every gateway verifies."""

    def __init__(self, binaries):
        super().__init__("issuer", free_port(), LOAD_PROCESSOR)
        self.binaries, self.internal, self.gateway = binaries, free_port(), free_port()
        # A copy, because pages of one program that two processes share would count half for each.
        self.program = shutil.copy(binaries / "vestibule", self.folder / "issuer")
        self.issuer = f"http://localhost:{self.port}"
        self.metrics = free_port()
        for name in ("secret", "internal-credential"):
            (self.folder / name).write_text("bench-secret-of-thirty-two-letters")
            (self.folder / name).chmod(0o600)
        exported = f'[telemetry]\nmetrics = ["127.0.0.1:{self.metrics}"]\n'
        (self.folder / "deployment.toml").write_text(self.deployment())
        (self.folder / "gateway.toml").write_text(self.deployment() + exported)

    def command(self):
        return [self.program, "auth-server", "--config", self.folder / "deployment.toml", "--data-dir", self.folder / "auth"]

    def resource(self, path="/mcp"):
        return f"http://localhost:{self.gateway}{path}"

    def jwks(self):
        with urllib.request.urlopen(f"{self.issuer}/jwks") as answer:
            return answer.read()

    def key(self):
        return json.loads(self.jwks())["keys"][0]

    def tokens(self, count, path="/mcp"):
        """Access tokens of a client's own."""
        done = subprocess.run(
            [self.binaries / "calls", "mint", "--address", f"127.0.0.1:{self.port}", "--host", f"localhost:{self.port}",
             "--client", f"bench-{path[1:]}:bench-secret-of-thirty-two-letters", "--resource", self.resource(path), "--scope", SCOPE,
             "--count", str(count)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"no tokens: {done.stderr}")
        return done.stdout.split()

    def deployment(self):
        resource = """
[[client]]
id = "bench-{name}"
name = "Bench"
grant_types = ["client_credentials"]
secret_file = "{folder}/secret"
service = {{ resource = "{url}", scopes = ["crm:read"], workspaces = ["{workspace}"] }}

[[resource]]
url = "{url}"
name = "Bench"
access_token_seconds = 3600
workspace = "argument"
default_scopes = ["crm:read"]
prm_scopes = ["crm:read", "crm:delete"]
scope = [
    {{ name = "crm:read", description = "See records" }},
    {{ name = "crm:delete", description = "Remove records" }},
]

[[gateway.route]]
resource = "{url}"
backends = ["bench"]
on_missing_scope = "hide"
{more}
"""
        more = {"mcp": "", "examined": 'row_workspace = "workspace_id"'}
        resources = "".join(
            resource.format(url=self.resource(f"/{name}"), name=name, more=text, folder=self.folder, workspace=WORKSPACE)
            for name, text in more.items())
        return f"""
[deployment]
name = "Bench"
issuer = "{self.issuer}"

[listen]
auth = ["127.0.0.1:{self.port}"]
gateway = ["127.0.0.1:{self.gateway}"]
internal = ["127.0.0.1:{self.internal}"]
internal_credential_file = "{self.folder}/internal-credential"
trusted_proxies = ["127.0.0.1"]

[auth]

[[auth.workspace]]
id = "{WORKSPACE}"
name = "Bench"

[gateway]
internal_base = "http://127.0.0.1:{self.internal}"
internal_credential_file = "{self.folder}/internal-credential"
credential_calls_per_minute = {PLENTY}
discovery_per_minute = {PLENTY}
failed_authentications_per_minute = {PLENTY}
workspace_burst = {PLENTY}
workspace_calls_per_minute = {PLENTY}

[[backend]]
name = "bench"
url = "http://127.0.0.1:{BACKEND_PORT}/mcp"

[[backend.class]]
match = ["search_*", "report_*"]
access = "read"
domain = "crm"

[[backend.class]]
match = "delete_*"
access = "delete"
domain = "crm"
{resources}
"""


class Gateway(Server):
    """What stands before the backend."""

    connections = 32

    def __init__(self, issuer, port=None):
        super().__init__(self.name, port or free_port(), SERVER_PROCESSOR)
        self.issuer, self.resource = issuer, issuer.resource()
        self.host = f"127.0.0.1:{self.port}"
        self.prepare()

    def prepare(self):
        pass


class Direct:
    """No gateway at all."""

    name, label, connections = "direct", "no gateway", 32

    def __init__(self, backend):
        self.port, self.host, self.backend = BACKEND_PORT, f"127.0.0.1:{BACKEND_PORT}", backend

    def pid(self):
        return self.backend.pid()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Vestibule(Gateway):
    """`vestibule gateway` with everything on: verification, decision, binding, validation, limits, numbers and the log."""

    name, label = "vestibule", "vestibule"

    def __init__(self, issuer):
        super().__init__(issuer, issuer.gateway)
        self.host = f"localhost:{self.port}"

    def command(self):
        return [self.issuer.binaries / "vestibule", "gateway", "--config", self.issuer.folder / "gateway.toml",
                "--data-dir", self.folder / "data"]

    def start_times(self, count):
        # The first start makes the store, and must be let finish.
        with_store = self.start()
        time.sleep(max(1, with_store))
        self.stop()
        return super().start_times(count)

    def numbers(self):
        """What it exports, by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.issuer.metrics}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    def log_lines(self):
        return (self.folder / "log").read_bytes().count(b"\n")


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def changed(token, header=None, claims=None, signature=None):
    """A token that says something else; its signature no longer fits, which is not looked at first."""
    parts = token.split(".")
    for at, more in ((0, header), (1, claims)):
        if more:
            held = json.loads(base64.urlsafe_b64decode(parts[at] + "=="))
            parts[at] = part({**held, **more})
    if signature:
        parts[2] = signature + parts[2][len(signature):]
    return ".".join(parts)


def write_tokens(folder, name, tokens):
    path = pathlib.Path(folder) / name
    path.write_text("\n".join(tokens) + "\n")
    os.chmod(path, 0o600)
    return path
