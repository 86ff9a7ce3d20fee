"""A client with one grant, speaking plain HTTP to whichever process a scenario names."""

import base64
import hashlib
import http.client
import json
import pathlib
import secrets
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from browser import Person  # noqa: E402
from demo import PASSWORD, USERNAME  # noqa: E402

REDIRECT = "http://127.0.0.1:33418/callback"
ERAS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}

# The workspace that calls act in which say nothing else.
ACME = {"workspace_id": "ws_acme"}


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body or b"null")

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


def send(url, body=None, headers=None, port=None, form=True, method=None):
    """One request on a connection of its own; `port` names another process that answers for the URL's host."""
    parts = urllib.parse.urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    data = None
    headers = {"host": parts.netloc, **(headers or {})}
    if body is not None:
        data = urllib.parse.urlencode(body).encode() if form else json.dumps(body).encode()
        headers["content-type"] = "application/x-www-form-urlencoded" if form else "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port or parts.port, timeout=30)
    try:
        connection.request(method or ("GET" if data is None else "POST"), target, data, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except http.client.HTTPException as why:
        raise OSError(str(why)) from why
    finally:
        connection.close()


class Grant:
    """A registered public client whose user has signed in and approved it."""

    def __init__(self, issuer, resource, name="Fault", person=None):
        self.issuer, self.resource, self.name = issuer, resource, name
        self.person = person or Person(USERNAME, PASSWORD)
        self.client = self.register(name)
        self.tokens = self.exchange(*self.code())

    def register(self, name):
        answer = send(f"{self.issuer}/register", {
            "client_name": name, "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"]}, form=False)
        assert answer.status == 201, f"{name} cannot register: {answer}"
        return answer.json()["client_id"]

    def code(self):
        """Has the person approve; returns the code and its verifier."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        back = self.person.authorize(f"{self.issuer}/authorize?" + urllib.parse.urlencode({
            "response_type": "code", "client_id": self.client, "redirect_uri": REDIRECT, "resource": self.resource,
            "code_challenge": challenge, "code_challenge_method": "S256"}))
        return urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["code"][0], verifier

    def exchange(self, code, verifier):
        answer = send(f"{self.issuer}/token", {
            "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "client_id": self.client,
            "code_verifier": verifier})
        assert answer.status == 200, f"a code of {self.name} was refused: {answer}"
        return answer.json()

    def refresh(self, port=None, token=None):
        """Refreshes; the answer's tokens are kept if there are any."""
        answer = send(f"{self.issuer}/token", {
            "grant_type": "refresh_token", "refresh_token": token or self.tokens["refresh_token"],
            "client_id": self.client}, port=port)
        if answer.status == 200:
            self.tokens = answer.json()
        return answer

    def refreshed(self, port=None):
        """Refreshes, and fails if that does not work."""
        answer = self.refresh(port)
        assert answer.status == 200, f"{self.name} was logged out: {answer}"
        return self.tokens

    def revoke(self, port=None):
        return send(f"{self.issuer}/revoke", {"token": self.tokens["refresh_token"], "client_id": self.client}, port=port)

    def call(self, tool="list_contacts", arguments=None):
        return call(self.resource, self.tokens["access_token"], tool, arguments)


def call(resource, token, tool="list_contacts", arguments=None, port=None):
    """Calls a tool at the resource, or at another process that answers for it."""
    return send(resource, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                           "params": {"name": tool, "arguments": ACME if arguments is None else arguments}},
                {"authorization": f"Bearer {token}", **ERAS}, port=port, form=False)


def works(answer):
    """A tool was called, and did what it was asked."""
    return answer.status == 200 and not answer.json()["result"].get("isError")


def is_gone(answer):
    """The grant is over, and the client is told so."""
    return answer.status == 400 and answer.json()["error"] == "invalid_grant"


def is_transient(answer):
    """What every client understands as: keep your tokens and come back."""
    return (answer.status == 503 and answer.json()["error"] == "temporarily_unavailable"
            and int(answer.headers["retry-after"]) >= 1)
