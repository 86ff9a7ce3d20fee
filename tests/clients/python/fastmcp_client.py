"""fastmcp's own OAuth helper: it looks at the authorization URL first, then opens a browser and listens for it."""

import time

import anyio
from fastmcp import Client
from fastmcp.client.auth import OAuth

from harness import TOOL, URL, listed, restart


async def call(client):
    result = await client.call_tool(TOOL, {})
    assert result.content, f"{TOOL} answered nothing: {result}"
    return TOOL


async def main():
    oauth = OAuth(mcp_url=URL, client_name="fastmcp", callback_timeout=60)
    async with Client(URL, auth=oauth) as client:
        steps = ["signed in", listed(await client.list_tools()), await call(client)]
        steps += [await anyio.to_thread.run_sync(restart), await call(client)]
        before = oauth.context.current_tokens.access_token
        oauth.context.token_expiry_time = time.time() - 1
        await call(client)
        assert oauth.context.current_tokens.access_token != before, "an expired token was not refreshed"
        steps.append("refreshed")
    print(", ".join(steps))


anyio.run(main)
