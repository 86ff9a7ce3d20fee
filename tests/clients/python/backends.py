"""Lists tools and makes the calls it is told to, with a token it is given, by whichever client is installed.

What came back is printed as JSON.
"""

import contextlib
import importlib.util
import json
import os
import sys

import anyio

URL = sys.argv[-1]
TOKEN = os.environ["ACCESS_TOKEN"]
CALLS = json.loads(os.environ["CALLS"])
BEARER = {"authorization": f"Bearer {TOKEN}"}


@contextlib.asynccontextmanager
async def first_generation():
    import httpx
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (httpx.AsyncClient(headers=BEARER, timeout=30) as http,
                streamable_http_client(URL, http_client=http) as (read, write, _),
                ClientSession(read, write) as session):
        opened = await session.initialize()
        yield session, opened.protocolVersion


@contextlib.asynccontextmanager
async def second_generation():
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (httpx2.AsyncClient(headers=BEARER, timeout=30) as http,
                Client(streamable_http_client(URL, http_client=http)) as client):
        yield client, client.protocol_version


@contextlib.asynccontextmanager
async def fast():
    from fastmcp import Client

    async with Client(URL, auth=TOKEN) as client:
        yield client, "fastmcp"


def installed():
    if importlib.util.find_spec("fastmcp"):
        return fast(), {"raise_on_error": False}
    if importlib.util.find_spec("httpx2"):
        return second_generation(), {}
    return first_generation(), {}


def told(result):
    failed = result.isError if hasattr(result, "isError") else result.is_error
    return {"error": bool(failed), "text": "".join(part.text for part in result.content)}


async def main():
    opening, more = installed()
    async with opening as (client, version):
        listed = await client.list_tools()
        tools = [tool.name for tool in getattr(listed, "tools", listed)]
        results = [told(await client.call_tool(call["tool"], call["arguments"], **more)) for call in CALLS]
        try:
            unknown = str(await client.call_tool("nobody_has_this", {}, **more))
        except Exception as why:  # each client has errors of its own
            unknown = f"{getattr(getattr(why, 'error', why), 'code', '')} {why}"
    print(json.dumps({"version": version, "tools": tools, "results": results, "unknown": unknown}))


anyio.run(main)
