"""The Python SDK, second generation, as it comes: it finds the modern era by itself."""

import time

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from harness import REDIRECT_URI, TOOL, URL, Storage, listed, parameters_of, restart, sign_in

answers = []


async def to_browser(authorization_url):
    answers.append(await anyio.to_thread.run_sync(sign_in, authorization_url))


async def from_browser():
    parameters = parameters_of(answers[-1])
    return AuthorizationCodeResult(code=parameters["code"], state=parameters["state"], iss=parameters.get("iss"))


async def call(client):
    result = await client.call_tool(TOOL, {})
    assert not result.is_error and result.content, f"{TOOL} failed: {result}"
    return TOOL


async def main():
    storage = Storage()
    provider = OAuthClientProvider(
        server_url=URL,
        client_metadata=OAuthClientMetadata(client_name="Python mcp 2", redirect_uris=[REDIRECT_URI]),
        storage=storage, redirect_handler=to_browser, callback_handler=from_browser)
    async with (httpx2.AsyncClient(auth=provider, timeout=30) as http,
                Client(streamable_http_client(URL, http_client=http)) as client):
        assert client.protocol_version == "2026-07-28", f"negotiated {client.protocol_version}"
        steps = ["signed in", client.protocol_version, listed((await client.list_tools()).tools), await call(client)]
        steps += [await anyio.to_thread.run_sync(restart), await call(client)]
        before = storage.tokens.access_token
        provider.context.token_expiry_time = time.time() - 1
        await call(client)
        assert storage.tokens.access_token != before, "an expired token was not refreshed"
        steps.append("refreshed")
    print(", ".join(steps))


anyio.run(main)
