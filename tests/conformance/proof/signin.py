"""A person at a browser, and a client that gets its token through that person.

Everything is found from the issuer's metadata (RFC 8414 section 3); the pages are walked by their
forms alone.
"""

import base64
import hashlib
import html.parser
import http.cookiejar
import json
import secrets
import threading
import time
import typing
import urllib.error
import urllib.parse
import urllib.request

from .deployment import metadata_url

MOST_PAGES = 15
REDIRECTS = (301, 302, 303, 307, 308)


class Person(typing.NamedTuple):
    """Who signs in."""

    username: str
    password: str


class Reply(typing.NamedTuple):
    """One answer over HTTP."""

    url: str
    status: int
    headers: typing.Any
    text: str


class Browser:
    """Keeps cookies and follows no redirect by itself."""

    def __init__(self):
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies, _NoRedirect())

    def send(self, url, body=None, headers=None):
        request = urllib.request.Request(url, data=body, headers=headers or {})
        try:
            answer = self.opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode("utf-8", "replace")
            return Reply(url, answer.status, answer.headers, text)

    def post_form(self, url, fields, headers=None):
        return self.send(url, urllib.parse.urlencode(fields).encode(), headers)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class _Forms(html.parser.HTMLParser):
    """The forms of a page: where each goes, what it holds, and the names of its buttons."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.open = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.open = {"action": given.get("action", ""), "fields": [], "buttons": set()}
            self.forms.append(self.open)
        elif self.open is not None and tag in ("input", "button") and given.get("name"):
            kind = given.get("type", "text" if tag == "input" else "submit")
            if kind == "submit":
                self.open["buttons"].add(given["name"])
            else:
                self.open["fields"].append((kind, given["name"], given.get("value", ""), "checked" in given))

    def handle_endtag(self, tag):
        if tag == "form":
            self.open = None


def walk(url, redirect, person):
    """From an authorization URL over sign-in and consent to the URL the client is sent back to."""
    browser = Browser()
    page = browser.send(url)
    for _ in range(MOST_PAGES):
        if page.status in REDIRECTS:
            target = urllib.parse.urljoin(page.url, page.headers["Location"])
            if target.startswith(redirect):
                return target
            page = browser.send(target)
            continue
        form = next((form for form in _Forms(page.text).forms if _wanted(form)), None)
        if page.status != 200 or form is None:
            raise RuntimeError(f"no way on from {page.url}: {page.status}\n{page.text[:1000]}")
        origin = "://".join(urllib.parse.urlsplit(page.url)[:2])
        action = urllib.parse.urljoin(page.url, form["action"])
        page = browser.post_form(action, _filled(form, person), {"Origin": origin})
    raise RuntimeError(f"sign-in did not end; last page {page.url}")


def _names(form):
    return {name for _, name, _, _ in form["fields"]} | form["buttons"]


def _wanted(form):
    return bool(_names(form) & {"decision", "password"})


def _filled(form, person):
    """Signs in, and says yes to everything that is asked."""
    fields, chosen = [], set()
    for kind, name, value, checked in form["fields"]:
        if name == "decision":
            continue
        if kind == "radio":
            wanted = checked or not any(
                other == name and on for _, other, _, on in form["fields"]
            )
            if not wanted or name in chosen:
                continue
            chosen.add(name)
        fields.append((name, {"username": person.username, "password": person.password}.get(name, value)))
    if "decision" in _names(form):
        fields.append(("decision", "approve"))
    return fields


def open_page(url, redirect, person):
    """Walks the pages and then, as a browser would, goes where they lead."""
    Browser().send(walk(url, redirect, person))


def _document(url):
    reply = Browser().send(url)
    if reply.status != 200:
        raise RuntimeError(f"{url} answered {reply.status}")
    return json.loads(reply.text)


def metadata(issuer):
    """The authorization server metadata of an issuer (RFC 8414 section 3.1)."""
    parts = urllib.parse.urlsplit(issuer)
    path = parts.path.rstrip("/")
    found = _document(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}")
    if found["issuer"] != issuer:
        raise RuntimeError(f"the metadata of {issuer} is that of {found['issuer']}")
    return found


def register(issuer, redirect):
    """Registers a public client with one redirect (RFC 7591 section 3.1); answers its id."""
    body = {
        "client_name": "Conformance proof",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [redirect],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    reply = Browser().send(
        metadata(issuer)["registration_endpoint"],
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    if reply.status != 201:
        raise RuntimeError(f"registration answered {reply.status}: {reply.text[:500]}")
    return json.loads(reply.text)["client_id"]


class Grant:
    """An access token for one resource, renewed before it ends. Callable from any thread."""

    def __init__(self, resource, person, redirect, issuer=None, client_id=None):
        self.resource, self.redirect = resource, redirect
        described = _document(metadata_url(resource))
        self.issuer = issuer or described["authorization_servers"][0]
        self.server = metadata(self.issuer)
        self.client_id = client_id or register(self.issuer, redirect)
        self.scope = " ".join(described.get("scopes_supported", []))
        self.lock = threading.Lock()
        self._begin(person)

    def __call__(self):
        with self.lock:
            if time.monotonic() > self.renew_at and self.refresh_token:
                self._redeem(grant_type="refresh_token", refresh_token=self.refresh_token)
            return self.access_token

    def _begin(self, person):
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        state = secrets.token_urlsafe(16)
        asked = {
            "client_id": self.client_id,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "redirect_uri": self.redirect,
            "resource": self.resource,
            "response_type": "code",
            "state": state,
            **({"scope": self.scope} if self.scope else {}),
        }
        url = f"{self.server['authorization_endpoint']}?{urllib.parse.urlencode(asked)}"
        back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(walk(url, self.redirect, person)).query))
        if back.get("state") != state or "code" not in back:
            raise RuntimeError(f"the authorization answered {back}")
        self._redeem(
            grant_type="authorization_code",
            code=back["code"],
            code_verifier=verifier,
            redirect_uri=self.redirect,
        )

    def _redeem(self, **fields):
        asked = {**fields, "client_id": self.client_id, "resource": self.resource}
        reply = Browser().post_form(self.server["token_endpoint"], asked)
        if reply.status != 200:
            raise RuntimeError(f"the token endpoint answered {reply.status}: {reply.text[:500]}")
        tokens = json.loads(reply.text)
        self.access_token = tokens["access_token"]
        self.refresh_token = tokens.get("refresh_token", fields.get("refresh_token"))
        self.renew_at = time.monotonic() + tokens.get("expires_in", 300) / 2
