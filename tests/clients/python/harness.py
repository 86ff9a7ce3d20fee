"""What every Python driver shares: where the demo is, the person with the browser, and the restart."""

import json
import os
import sys
import urllib.parse
import urllib.request

URL, CONTROL = sys.argv[-2:]
ISSUER = os.environ["ISSUER"]
REDIRECT_URI = "http://127.0.0.1:33418/callback"
TOOL = os.environ.get("TOOL", "list_contacts")


def _ask(path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(CONTROL + path, timeout=60) as answer:
        return json.load(answer)


def sign_in(authorization_url):
    """Sends the person to an authorization URL; returns the URL their browser is sent back to."""
    return _ask("/open?url=" + urllib.parse.quote(str(authorization_url), safe=""))["callback"]


def parameters_of(callback):
    """The parameters of the authorization answer."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback).query))


def restart():
    """Stops the demo and starts it again on the same ports and data."""
    return f"restarted in {_ask('/restart')['seconds']} s"


def listed(tools):
    """Fails unless the tool is listed, and says how many are."""
    names = [tool.name for tool in tools]
    assert TOOL in names, f"{TOOL} is not among {names}"
    return f"{len(names)} tools"


class Storage:
    """Keeps tokens and registration in memory, as both SDKs want it."""

    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info
