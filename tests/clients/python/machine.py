"""The service accounts' way of both Python SDKs: with a secret and with a signed assertion, nobody at a browser."""

import os
import pathlib

import anyio
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client

from harness import ISSUER, TOOL, URL, Storage, listed, restart

try:
    from mcp import Client
except ImportError:
    Client = None

# Each generation signs with another algorithm; the client has published a key for both.
ALGORITHM = "RS256" if Client is None else "ES256"


def with_secret(storage):
    return ClientCredentialsOAuthProvider(
        server_url=URL, storage=storage, client_id="worker", client_secret=os.environ["SECRET"], issuer=ISSUER)


def with_assertion(storage):
    key = pathlib.Path(os.environ["KEYS"], f"{ALGORITHM}.pem").read_text()
    signed = SignedJWTParameters(issuer="signer", subject="signer", signing_key=key, signing_algorithm=ALGORITHM)
    return PrivateKeyJWTOAuthProvider(
        server_url=URL, storage=storage, client_id="signer", assertion_provider=signed.create_assertion_provider(),
        issuer=ISSUER)


async def call(session):
    result = await session.call_tool(TOOL, {})
    failed = result.isError if Client is None else result.is_error
    assert not failed and result.content, f"{TOOL} failed: {result}"
    return TOOL


async def use(session, storage):
    steps = [listed((await session.list_tools()).tools), await call(session)]
    assert storage.tokens.refresh_token is None, "a service account got a refresh token"
    return steps


async def first_generation(auth, storage):
    import httpx
    from mcp import ClientSession

    async with (httpx.AsyncClient(auth=auth, timeout=30) as http,
                streamable_http_client(URL, http_client=http) as (read, write, _),
                ClientSession(read, write) as session):
        await session.initialize()
        return await use(session, storage)


async def second_generation(auth, storage):
    import httpx2

    async with (httpx2.AsyncClient(auth=auth, timeout=30) as http,
                Client(streamable_http_client(URL, http_client=http)) as session):
        return await use(session, storage)


async def main():
    steps = []
    for name, provider in (("a secret", with_secret), ("an assertion", with_assertion)):
        storage = Storage()
        connect = first_generation if Client is None else second_generation
        auth = provider(storage)
        steps += [f"with {name}", *await connect(auth, storage), restart()]
        # Over connections of their own: a pooled one may not know yet that the server it led to is gone.
        steps += await connect(auth, storage)
    print(", ".join(steps))


anyio.run(main)
