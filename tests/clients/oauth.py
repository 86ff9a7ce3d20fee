"""A small OAuth client over HTTP for tests of whole deployments: registers, signs in, refreshes, calls tools."""

import base64
import hashlib
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
REDIRECT = "http://127.0.0.1:33419/callback"


def ask(url, body=None, headers=None, timeout=20):
    """Status and text of an answer, whatever the status."""
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with OPENER.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


class Connection:
    """One registered client with one person's grant."""

    def __init__(self, issuer, resource):
        self.issuer, self.resource = issuer, resource
        self.client = self.tokens = None
        self.host = urllib.parse.urlsplit(issuer).netloc

    def register(self):
        body = json.dumps({"client_name": "A test", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
                           "grant_types": ["authorization_code", "refresh_token"]}).encode()
        status, text = ask(f"{self.issuer}/register", body, {"content-type": "application/json"})
        assert status == 201, f"registration answered {status}: {text}"
        self.client = json.loads(text)["client_id"]
        return self

    def sign_in(self, person):
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urllib.parse.urlencode({
            "response_type": "code", "client_id": self.client, "redirect_uri": REDIRECT, "resource": self.resource,
            "code_challenge": challenge, "code_challenge_method": "S256", "state": "s"})
        back = person.authorize(f"{self.issuer}/authorize?{query}")
        answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
        assert answer["iss"] == self.issuer, answer
        self.tokens = self.token({"grant_type": "authorization_code", "code": answer["code"],
                                  "redirect_uri": REDIRECT, "code_verifier": verifier})
        return self

    def refresh(self, token, at=None):
        self.tokens = self.token({"grant_type": "refresh_token", "refresh_token": token}, at)
        return self.tokens

    def token(self, fields, at=None):
        status, text = self.post("/token", fields, at)
        assert status == 200, f"the token endpoint answered {status}: {text}"
        return json.loads(text)

    def revoke(self):
        status, text = self.post("/revoke", {"token": self.tokens["refresh_token"]})
        assert status == 200, f"the revocation endpoint answered {status}: {text}"

    def post(self, path, fields, at=None):
        body = urllib.parse.urlencode({**fields, "client_id": self.client}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "host": self.host}
        return ask(f"{at or self.issuer}{path}", body, headers)

    def status(self, tool, at=None):
        """The status a tool call is answered with."""
        return self.answer(tool, at)[0]

    def call(self, tool, at=None):
        status, text = self.answer(tool, at)
        assert status == 200, f"{tool} answered {status}: {text[:300]}"
        assert '"isError":true' not in text, text[:300]
        return text

    def answer(self, tool, at=None):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
        headers = {"authorization": f"Bearer {self.tokens['access_token']}", "content-type": "application/json",
                   "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25",
                   "host": urllib.parse.urlsplit(self.resource).netloc}
        return ask(at or self.resource, body.encode(), headers)
