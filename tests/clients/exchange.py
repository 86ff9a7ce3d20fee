"""A backend that takes its own authorization server's tokens: fastmcp behind npm oidc-provider, which gives them for
identities of the gateway (RFC 8693), all of other people's making."""

import base64
import json
import time
import urllib.parse

from browser import Person
from demo import PASSWORD, SECRET, USERNAME, _free_ports
from oauth import Connection, ask
from run import node, python
from servers import Server

AUDIENCE = "api://ledger"
START_SECONDS = 60

TABLES = """
[[resource]]
url = "http://localhost:{{gateway_port}}/ledger/mcp"
name = "Ledger"
access_token_seconds = 3600
default_scopes = ["ledger"]
prm_scopes = ["ledger"]
scope = [{{ name = "ledger", description = "See the ledger" }}]

[[gateway.route]]
resource = "http://localhost:{{gateway_port}}/ledger/mcp"
backends = ["ledger"]

[[backend]]
name = "ledger"
url = "http://127.0.0.1:{ledger}/mcp"
session = "pooled"
tool = [{{ match = "*", scopes = ["ledger"] }}]

[backend.identity.exchange]
token_endpoint = "http://127.0.0.1:{provider}/token"
client_id = "gateway"
client_secret_file = "{{folder}}/resource-server-secret"
audience = "{audience}"
scope = "ledger"
"""


class Exchange:
    """The backend and its authorization server."""

    def __init__(self, demo):
        ledger, provider = _free_ports(2)
        self.issuer, self.url = f"http://127.0.0.1:{provider}", f"http://localhost:{demo.gateway}/ledger/mcp"
        # What the demo's gateway calls itself towards backends.
        self.gateway = f"http://127.0.0.1:{demo.gateway}"
        self.provider = Server(demo.folder, "provider", provider, node(
            "exchange_provider.mjs", str(provider), self.gateway, AUDIENCE), SECRET=SECRET)
        self.ledger = Server(demo.folder, "ledger", ledger, [
            *python("fastmcp", "ledger_server.py"), str(ledger), self.issuer, AUDIENCE])
        self.tables = TABLES.format(ledger=ledger, provider=provider, audience=AUDIENCE)

    def stop(self):
        self.ledger.stop()
        self.provider.stop()

    def given(self, subject):
        """How many tokens were given for somebody."""
        return self.provider.said().splitlines().count(f"a token for {subject}")

    def signed_in(self, demo, username=USERNAME):
        return Connection(demo.issuer, self.url).register().sign_in(Person(username, PASSWORD))


def the_backend_knows_the_person_by_its_own_servers_token(demo, exchange):
    dana = exchange.signed_in(demo)
    limit = time.monotonic() + START_SECONDS
    while dana.status("whoami") != 200:
        assert time.monotonic() < limit, f"the ledger was not read: {exchange.ledger.said()[-1000:]}"
        time.sleep(0.2)
    told = json.loads(dana.call("whoami").rsplit("data: ", 1)[-1])["result"]["structuredContent"]
    assert told == {"client_id": "gateway", "iss": exchange.issuer, "kind": "person", "sub": "usr_demo",
                    "workspaces": ["ws_acme"]}, told
    # The gateway reads the catalogue in its own name.
    assert exchange.given(exchange.gateway) >= 1, exchange.provider.said()


def one_exchange_serves_many_calls(demo, exchange):
    dana, before = exchange.signed_in(demo), exchange.given("usr_demo")
    for _ in range(5):
        dana.call("whoami")
    assert exchange.given("usr_demo") == before + 1, exchange.provider.said()


def whom_the_server_gives_no_token_is_told_so(demo, exchange):
    status, text = exchange.signed_in(demo, "second@example.com").answer("whoami")
    assert status == 200 and '"isError":true' in text and "gives no token for this caller" in text, f"{status} {text}"
    assert "nobody knows this subject here" not in text, "what the server says is for the log"
    assert "invalid_request: nobody knows this subject here" in exchange.provider.said(), exchange.provider.said()


def the_clients_own_token_opens_neither(demo, exchange):
    token = exchange.signed_in(demo).tokens["access_token"]
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}})
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json",
               "accept": "application/json, text/event-stream"}
    status, _ = ask(f"http://127.0.0.1:{exchange.ledger.port}/mcp", body.encode(), headers)
    assert status == 401, f"the ledger answered {status} to a token that is not for it"
    for secret, subject, error in ((SECRET, token, "invalid_request"), ("another secret", token, "invalid_client")):
        assert exchanged(exchange, secret, subject) == error


def without_the_server_calls_wait_and_tokens_that_live_go_on(demo, exchange):
    dana = exchange.signed_in(demo)
    dana.call("whoami")
    exchange.provider.stop()
    dana.call("whoami")
    status, text = exchange.signed_in(demo).answer("whoami")
    assert status == 200 and '"isError":true' in text and "token endpoint is not available" in text, f"{status} {text}"


def exchanged(exchange, secret, subject):
    """The error that the provider answers somebody with."""
    kind = "urn:ietf:params:oauth:token-type"
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": subject,
            "subject_token_type": f"{kind}:jwt", "requested_token_type": f"{kind}:access_token",
            "audience": AUDIENCE, "scope": "ledger"}
    basic = base64.b64encode(f"gateway:{urllib.parse.quote_plus(secret)}".encode()).decode()
    headers = {"authorization": f"Basic {basic}", "content-type": "application/x-www-form-urlencoded"}
    return json.loads(ask(f"{exchange.issuer}/token", urllib.parse.urlencode(form).encode(), headers)[1])["error"]


CASES = [the_backend_knows_the_person_by_its_own_servers_token, one_exchange_serves_many_calls,
         whom_the_server_gives_no_token_is_told_so, the_clients_own_token_opens_neither,
         without_the_server_calls_wait_and_tokens_that_live_go_on]
