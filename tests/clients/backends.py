#!/usr/bin/env python3
"""Released MCP clients, unmodified, before a REST backend and before several backends behind one resource; and a backend
that takes the tokens of another authorization server.

The REST backend is described by an OpenAPI document; beside it stand the reference CRM and a server
written with fastmcp. Each client lists the tools, calls some with arguments, and meets errors; all must
tell the same, in both protocol eras.
"""

import argparse
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

from browser import Person
from demo import PASSWORD, USERNAME, Demo, _free_ports
from exchange import CASES, Exchange
from oauth import Connection, ask
from run import TARGET, node, python
from servers import START_SECONDS, Server

CLIENT_SECONDS = 90

CLIENTS = {
    "sdk-v1": ("TypeScript SDK 1.32.2", node("backends.mjs", "v1")),
    "sdk-v2-legacy": ("TypeScript client 2.4.0, legacy era", node("backends.mjs", "legacy")),
    "sdk-v2-modern": ("TypeScript client 2.4.0, modern era", node("backends.mjs", "auto")),
    "python-v1": ("Python mcp 1.30.0", python("mcp-v1", "backends.py")),
    "python-v2": ("Python mcp 2.3.0", python("mcp-v2", "backends.py")),
    "fastmcp": ("fastmcp 4.1.0", python("fastmcp", "backends.py")),
    "rmcp": ("rmcp 3.9", [str(TARGET / "debug/examples/rmcp_backends")]),
}

ORDERS = {"1": {"id": "1", "item": "Tea & \"milk\"", "open": True}, "2": {"id": "2", "item": "Caf\u00e9", "open": False}}

OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Orders", "version": "1.0.0"},
    "paths": {
        "/orders": {
            "get": {
                "operationId": "list_orders",
                "summary": "List orders",
                "parameters": [
                    {"name": "open", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "item", "in": "query", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"description": "Orders", "content": {"application/json": {"schema": {
                    "type": "object", "required": ["orders"], "properties": {"orders": {"type": "array"}}}}}}},
            },
            "post": {
                "operationId": "create_order",
                "requestBody": {"required": True, "content": {"application/json": {"schema": {
                    "type": "object", "required": ["item"], "additionalProperties": False,
                    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}}}}}},
            },
        },
        "/orders/{id}": {"get": {
            "operationId": "get_order",
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        }},
    },
}

# What the operator of the demo adds.
TABLES = """
[[resource]]
url = "http://localhost:{{gateway_port}}/rest/mcp"
name = "Orders"
access_token_seconds = 3600
default_scopes = ["orders"]
prm_scopes = ["orders"]
scope = [{{ name = "orders", description = "See and place orders" }}]

[[resource]]
url = "http://localhost:{{gateway_port}}/many/mcp"
name = "Everything"
access_token_seconds = 3600
workspace = "optional_argument"
default_scopes = ["orders", "contacts:read"]
prm_scopes = ["orders", "contacts:read"]
scope = [
    {{ name = "orders", description = "See and place orders" }},
    {{ name = "contacts:read", description = "See your contacts" }},
]

[[gateway.route]]
resource = "http://localhost:{{gateway_port}}/rest/mcp"
backends = ["orders"]

[[gateway.route]]
resource = "http://localhost:{{gateway_port}}/many/mcp"
backends = ["crm", "shop", "desk"]

[[backend]]
name = "orders"
url = "http://127.0.0.1:{rest}/v1"
openapi = "{{folder}}/orders.json"
operation = [{{ match = "*", scopes = ["orders"] }}]

[[backend]]
name = "shop"
url = "http://127.0.0.1:{rest}/v2"
openapi = "{{folder}}/orders.json"
prefix = "shop_"
operation = [{{ match = "*", scopes = ["orders"] }}]

[[backend]]
name = "desk"
url = "http://127.0.0.1:{desk}/mcp"
prefix = "desk_"
session = "pooled"
alias = {{ greeting = "greet" }}
tool = [{{ match = "*", scopes = ["orders"] }}]
"""


def calls(prefix):
    """Calls with the words that the result must hold, and whether it is an error of the tool."""
    return [
        (f"{prefix}list_orders", {"open": True, "item": "a&b=c d"}, ["Tea & \\\"milk\\\"", "a&b=c d"], False),
        (f"{prefix}get_order", {"id": "2"}, ["Caf\u00e9"], False),
        (f"{prefix}create_order", {"item": "Milk", "count": 2}, ["\"count\":2", "Milk"], False),
        (f"{prefix}get_order", {"id": "9"}, ["there is no order 9"], True),
        (f"{prefix}create_order", {"count": 2}, ["Validation error", "item"], True),
        (f"{prefix}create_order", {"item": "Milk", "cuont": 2}, ["Validation error", "count"], True),
    ]


RESOURCES = {
    "rest": ({"list_orders", "get_order", "create_order"}, set(), calls("")),
    "many": (
        {"shop_list_orders", "shop_get_order", "shop_create_order", "greeting", "desk_add", "list_contacts"},
        {"list_orders", "desk_greet", "delete_contact"},
        [
            *calls("shop_"),
            ("desk_add", {"a": 2, "b": 3}, ["5"], False),
            ("greeting", {"name": "Ada"}, ["Hello, Ada"], False),
            ("list_contacts", {"workspace_id": "ws_acme"}, [""], False),
            ("list_contacts", {"workspace_id": "ws_initech"}, ["workspace"], True),
        ],
    ),
}


class Rest(http.server.ThreadingHTTPServer):
    """The REST backend; it refuses whoever brings no identity."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Orders)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Orders(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        _, _, order = parts.path.partition("/orders/")
        if order and order not in ORDERS:
            problem = {"title": "Not found", "detail": f"there is no order {order}"}
            self.answer(404, problem, "application/problem+json")
        elif order:
            self.answer(200, ORDERS[order])
        else:
            found = [one for one in ORDERS.values() if str(one["open"]).lower() == query.get("open", "true")]
            self.answer(200, {"orders": found, "asked": query})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(201, {"id": "3", **body})

    def answer(self, status, body, media="application/json"):
        if not self.headers.get("authorization", "").startswith("Bearer "):
            status, body = 401, {}
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def start_desk(folder):
    """The server written with fastmcp."""
    port = _free_ports(1)[0]
    return Server(folder, "desk", port, [*python("fastmcp", "desk_server.py"), str(port)])


def drive(command, url, token, asked):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MCP")}
    environment |= {"ACCESS_TOKEN": token, "CALLS": json.dumps(asked), "NO_PROXY": "localhost,127.0.0.1",
                    "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, url], env=environment, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=CLIENT_SECONDS)
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0 and lines, "\n".join((done.stdout + done.stderr).splitlines()[-25:])
    return json.loads(lines[-1])


def judge(told, wanted, unwanted, expected):
    names = set(told["tools"])
    assert wanted <= names, f"not listed: {sorted(wanted - names)}"
    assert not unwanted & names, f"listed: {sorted(unwanted & names)}"
    for (tool, arguments, words, fails), result in zip(expected, told["results"], strict=True):
        about = f"{tool} {arguments} answered {result}"
        assert result["error"] is fails, about
        for word in words:
            assert word in result["text"].replace(": ", ":") or word in result["text"], f"{word!r} is missing: {about}"
    assert "-32602" in told["unknown"] or "nknown tool" in told["unknown"], told["unknown"]


def prepared(binary, stack):
    """The demo with the further resources, once the catalogue of each backend is known."""
    rest = Rest()
    stack.append(rest.shutdown)
    demo = Demo(binary)
    stack.append(lambda: shutil.rmtree(demo.folder, ignore_errors=True))
    pathlib.Path(demo.folder, "orders.json").write_text(json.dumps(OPENAPI))
    desk, exchange = start_desk(demo.folder), Exchange(demo)
    stack += [desk.stop, exchange.stop]
    demo.add(TABLES.format(rest=rest.server_port, desk=desk.port) + exchange.tables).start()
    stack.append(demo.stop)
    return demo, exchange


def tokens(demo):
    """One sign-in for each resource."""
    held = {}
    for name in RESOURCES:
        url = f"http://localhost:{demo.gateway}/{name}/mcp"
        connection = Connection(demo.issuer, url).register().sign_in(Person(USERNAME, PASSWORD))
        held[name] = (url, connection.tokens["access_token"])
    return held


def wait_for(held):
    """The catalogue of the slowest backend is read when all its tools are listed."""
    limit = time.monotonic() + START_SECONDS
    url, token = held["many"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "accept": "application/json"}
    while True:
        _, text = ask(url, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', headers)
        names = {tool["name"] for tool in json.loads(text).get("result", {}).get("tools", [])}
        if RESOURCES["many"][0] <= names:
            return
        assert time.monotonic() < limit, f"only these are listed: {sorted(names)}"
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    parser.add_argument("--only", default=",".join(CLIENTS), help="names, separated by commas: " + ", ".join(CLIENTS))
    options = parser.parse_args()
    names, stack, passed, failed, lists = options.only.split(","), [], 0, 0, {}
    try:
        demo, exchange = prepared(options.binary, stack)
        held = tokens(demo)
        wait_for(held)
        for name in names:
            title, command = CLIENTS[name]
            for kind, (wanted, unwanted, expected) in RESOURCES.items():
                url, token = held[kind]
                since = time.monotonic()
                try:
                    asked = [{"tool": tool, "arguments": arguments} for tool, arguments, _, _ in expected]
                    told = drive(command, url, token, asked)
                    judge(told, wanted, unwanted, expected)
                    same = lists.setdefault(kind, sorted(told["tools"]))
                    assert sorted(told["tools"]) == same, f"{told['tools']} are not {same}"
                    passed += 1
                    print(f"ok    {title}, {kind} ({time.monotonic() - since:.1f} s): {told['version']}, "
                          f"{len(told['tools'])} tools, {len(asked)} calls", flush=True)
                except (AssertionError, OSError, subprocess.TimeoutExpired) as why:
                    failed += 1
                    print(f"FAIL  {title}, {kind} ({time.monotonic() - since:.1f} s)\n{why}", flush=True)
        for case in CASES:
            title, since = case.__name__.replace("_", " "), time.monotonic()
            try:
                case(demo, exchange)
                passed += 1
                print(f"ok    {title} ({time.monotonic() - since:.1f} s)", flush=True)
            except (AssertionError, OSError) as why:
                failed += 1
                print(f"FAIL  {title} ({time.monotonic() - since:.1f} s)\n{why}", flush=True)
        if failed:
            print(f"the demo's last lines:\n{demo.tail()}")
    finally:
        for undo in reversed(stack):
            undo()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
