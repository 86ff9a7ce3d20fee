"""The Python SDK, first generation: connect, sign in, call; restart; call; call with an expired token."""

import time

import anyio
import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from harness import REDIRECT_URI, TOOL, URL, Storage, listed, parameters_of, restart, sign_in

answers = []


async def to_browser(authorization_url):
    answers.append(await anyio.to_thread.run_sync(sign_in, authorization_url))


async def from_browser():
    parameters = parameters_of(answers[-1])
    return parameters["code"], parameters["state"]


async def call(session):
    result = await session.call_tool(TOOL, {})
    assert not result.isError and result.content, f"{TOOL} failed: {result}"
    return TOOL


async def main():
    storage = Storage()
    provider = OAuthClientProvider(
        server_url=URL,
        client_metadata=OAuthClientMetadata(client_name="Python mcp 1", redirect_uris=[REDIRECT_URI]),
        storage=storage, redirect_handler=to_browser, callback_handler=from_browser)
    async with (httpx.AsyncClient(auth=provider, timeout=30) as http,
                streamable_http_client(URL, http_client=http) as (read, write, _),
                ClientSession(read, write) as session):
        opened = await session.initialize()
        steps = ["signed in", opened.protocolVersion, listed((await session.list_tools()).tools), await call(session)]
        steps += [await anyio.to_thread.run_sync(restart), await call(session)]
        before = storage.tokens.access_token
        provider.context.token_expiry_time = time.time() - 1
        await call(session)
        assert storage.tokens.access_token != before, "an expired token was not refreshed"
        steps.append("refreshed")
    print(", ".join(steps))


anyio.run(main)
