#!/usr/bin/env python3
"""People sign in to the demo through npm oidc-provider, a provider of other people's making, in a process of its own."""

import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

from browser import HOPS, Person, _Forms, _leaves_for
from demo import SECRET, Demo, _free_ports
from oauth import REDIRECT, Connection, ask
from run import HERE, TARGET, node

TABLE = """
[[auth.upstream]]
id = "north"
name = "Northwind"
issuer = "http://127.0.0.1:{port}"
client_id = "vestibule"
client_secret_file = "{{folder}}/resource-server-secret"
scopes = ["openid", "email", "profile", "groups"]
create_accounts = true
workspace = [{{ claim = "groups", value = "sales", workspace = "ws_initech", role = "member" }}]
"""


class Upstream:
    """The provider as a child process, and what it says about people."""

    def __init__(self, demo, port):
        self.people = pathlib.Path(demo.folder, "people.json")
        self.says({})
        self.log = pathlib.Path(demo.folder, "provider.log").open("w")
        callback = f"{demo.issuer}/login/north/callback"
        self.process = subprocess.Popen(
            node("upstream_provider.mjs", str(port), callback, str(self.people)), env={**os.environ, "SECRET": SECRET},
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        assert line.strip() == "ready", f"the provider did not start: {pathlib.Path(self.log.name).read_text()}"

    def says(self, people):
        self.people.write_text(json.dumps(people))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Colleague(Person):
    """Somebody who continues with the provider, and signs in there."""

    def __init__(self, login):
        super().__init__(login, "the provider's own business")
        self.refusal = None

    def authorize(self, url):
        """The answer to the client; None if this server shows a page that refuses instead."""
        client = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["redirect_uri"][0]
        page = self._open(url)
        for _ in range(2 * HOPS):
            target = page.headers.get("location")
            if page.status in (302, 303) and target:
                target = urllib.parse.urljoin(page.url, target)
                if _leaves_for(target, client):
                    return target
                page = self._open(target)
            elif page.status != 200:
                self.refusal = page
                return None
            elif way := _way(page):
                page = self._open(way)
            else:
                page = self._answer(page)
        raise AssertionError(f"no end at {page.url}")

    def _answer(self, page):
        form = _Forms(page.text).forms[0]
        if ("decision", "approve") in form["buttons"]:
            return self._submit(page)
        fields = [(name, self.username if name == "login" else value) for name, value, _, chosen in form["fields"]
                  if name and chosen]
        origin = "://".join(urllib.parse.urlsplit(page.url)[:2])
        return self._open(urllib.parse.urljoin(page.url, form["action"]), fields, origin)


def _way(page):
    """The link to the provider, if the page has one."""
    start = page.text.find("/login/north?")
    if start < 0:
        return None
    return urllib.parse.urljoin(page.url, page.text[start:page.text.index('"', start)].replace("&amp;", "&"))


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed_in(demo, login):
    """A connection of somebody who signed in through the provider."""
    connection = Connection(demo.issuer, demo.url).register().sign_in(Colleague(login))
    assert connection.status("list_contacts") == 200
    return connection


def refused(demo, login):
    """The page that somebody is refused with."""
    connection, colleague = Connection(demo.issuer, demo.url).register(), Colleague(login)
    query = urllib.parse.urlencode({
        "response_type": "code", "client_id": connection.client, "redirect_uri": REDIRECT, "resource": demo.url,
        "code_challenge": "A" * 43, "code_challenge_method": "S256", "state": "s"})
    answer = colleague.authorize(f"{demo.issuer}/authorize?{query}")
    assert answer is None, f"{login} was let in"
    return colleague.refusal


def a_verified_address_opens_the_account_that_has_it(demo, upstream):
    upstream.says({"dana-there": {"email": "demo@example.com", "email_verified": True, "name": "Dana"}})
    first = claims(signed_in(demo, "dana-there").tokens["access_token"])
    assert (first["sub"], first["workspaces"]) == ("usr_demo", ["ws_acme", "ws_globex"]), first
    # From now on the subject counts, whatever becomes of the address.
    upstream.says({"dana-there": {"email": "elsewhere@example.com"}})
    assert claims(signed_in(demo, "dana-there").tokens["access_token"])["sub"] == "usr_demo"


def an_unverified_address_makes_no_link(demo, upstream):
    for vouched in ({"email_verified": False}, {}):
        upstream.says({"mallory": {"email": "second@example.com", "name": "Sam Second", **vouched}})
        page = refused(demo, "mallory")
        assert page.status == 403 and "second@example.com" not in page.text, page.text[:300]
    # The provider's word later on links this subject, and only then.
    upstream.says({"mallory": {"email": "second@example.com", "email_verified": True}})
    assert claims(signed_in(demo, "mallory").tokens["access_token"])["sub"] == "usr_second"


def claims_give_workspaces_and_take_them_again(demo, upstream):
    about = {"email": "nora@example.com", "email_verified": True, "name": "Nora New"}
    upstream.says({"nora": {**about, "groups": ["sales", "others"]}})
    nora = signed_in(demo, "nora")
    token = claims(nora.tokens["access_token"])
    assert token["workspaces"] == ["ws_initech"] and token["sub"].startswith("usr_"), token
    upstream.says({"nora": {**about, "groups": ["others"]}})
    again = Colleague("nora")
    other = Connection(demo.issuer, demo.url).register().sign_in(again)
    later = claims(other.tokens["access_token"])
    assert (later["sub"], later["workspaces"]) == (token["sub"], []), later
    narrowed = claims(nora.refresh(nora.tokens["refresh_token"])["access_token"])
    assert narrowed["workspaces"] == [], narrowed


def an_unknown_person_gets_an_account_without_workspaces(demo, upstream):
    upstream.says({"vera": {"name": "Vera"}})
    connection = Connection(demo.issuer, demo.url).register().sign_in(Colleague("vera"))
    assert claims(connection.tokens["access_token"])["workspaces"] == []


def the_provider_gone_is_said_on_a_page(demo, upstream):
    upstream.stop()
    demo.restart()
    status, text = ask(f"{demo.issuer}/login")
    assert status == 200 and "Northwind" in text, text[:300]
    assert refused(demo, "dana-there").status in (502, 503)


CASES = [a_verified_address_opens_the_account_that_has_it, an_unverified_address_makes_no_link,
         claims_give_workspaces_and_take_them_again, an_unknown_person_gets_an_account_without_workspaces,
         the_provider_gone_is_said_on_a_page]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    options = parser.parse_args()
    port, = _free_ports(1)
    demo = Demo(options.binary).add(TABLE.format(port=port))
    upstream = Upstream(demo, port)
    failed = 0
    try:
        demo.start()
        for case in CASES:
            name = case.__name__.replace("_", " ")
            try:
                case(demo, upstream)
                print(f"ok    {name}", flush=True)
            except AssertionError as why:
                failed += 1
                print(f"FAIL  {name}: {why}", flush=True)
        if failed:
            print(f"the provider's last lines:\n{pathlib.Path(upstream.log.name).read_text()[-2000:]}")
            print(f"the demo's last lines:\n{demo.tail(40)}")
    finally:
        upstream.stop()
        if demo.process and demo.process.poll() is None:
            demo.stop()
    if not failed:
        shutil.rmtree(demo.folder, ignore_errors=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
