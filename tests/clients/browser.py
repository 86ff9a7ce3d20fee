"""A person with a browser, without the browser: cookies, redirects, and the forms of the sign-in pages."""

import html.parser
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request

HOPS = 12


class Page:
    """One answer: status, headers, text and the URL it came from."""

    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers = url, status, headers
        self.text = body.decode("utf-8", "replace")


class _KeepRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_more):
        return None


class _Forms(html.parser.HTMLParser):
    """Collects the forms of a page: action, fields with their state, and named buttons."""

    def __init__(self, text):
        super().__init__()
        self.forms, self._form = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._form = {"action": values.get("action", ""), "fields": [], "buttons": []}
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input" and values.get("type", "text") not in ("submit", "button", "image"):
            kind = values.get("type", "text")
            chosen = "checked" in values if kind in ("checkbox", "radio") else True
            self._form["fields"].append((values.get("name", ""), values.get("value", ""), kind, chosen))
        elif tag == "button" and values.get("type", "submit") == "submit":
            self._form["buttons"].append((values.get("name", ""), values.get("value", "")))

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None


class Person:
    """Signs in with a name and a password and approves what is asked, in every workspace offered."""

    def __init__(self, username, password):
        self.username, self.password = username, password
        self.sign_ins = self.consents = 0
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "http"))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _KeepRedirects(),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(policy=policy)))

    def authorize(self, url):
        """Walks from an authorization URL to the redirect that goes back to the client, and returns that URL."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        client = query.get("redirect_uri", [""])[0]
        page = self._open(url)
        for _ in range(HOPS):
            target = page.headers.get("location")
            if page.status in (301, 302, 303, 307, 308) and target:
                target = urllib.parse.urljoin(page.url, target)
                if _leaves_for(target, client):
                    return target
                page = self._open(target)
                continue
            page = self._submit(page)
        raise AssertionError(f"the sign-in pages did not come to an end at {page.url}")

    def _submit(self, page):
        form = next((form for form in _Forms(page.text).forms if _asks(form)), None)
        if page.status != 200 or form is None:
            raise AssertionError(f"{page.url} answered {page.status}: {page.text[:300]}")
        fields = [(name, self._value(name, value)) for name, value, kind, chosen in form["fields"]
                  if name and (chosen or name == "workspace" and kind == "checkbox")]
        names = {name for name, *_ in form["fields"]}
        if "password" in names:
            self.sign_ins += 1
        if ("decision", "approve") in form["buttons"]:
            self.consents += 1
            fields.append(("decision", "approve"))
        origin = "://".join(urllib.parse.urlsplit(page.url)[:2])
        return self._open(urllib.parse.urljoin(page.url, form["action"]), fields, origin)

    def _value(self, name, value):
        return {"username": self.username, "password": self.password}.get(name, value)

    def _open(self, url, fields=None, origin=None):
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(url, data=body, headers={"origin": origin} if origin else {})
        try:
            with self._opener.open(request, timeout=20) as answer:
                return Page(url, answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Page(url, answer.code, answer.headers, answer.read())


def _asks(form):
    names = {name for name, *_ in form["fields"]} | {name for name, _ in form["buttons"]}
    return bool(names & {"password", "decision"})


def _leaves_for(target, client):
    """Whether a redirect goes back to the client: the same scheme, host, port and path as its redirect URI."""
    return urllib.parse.urlsplit(target)[:3] == urllib.parse.urlsplit(client)[:3]
