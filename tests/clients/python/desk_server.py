"""A small MCP server of other people's making: fastmcp, on the port it is told."""

import sys

from fastmcp import FastMCP

server = FastMCP("Desk")


@server.tool(annotations={"readOnlyHint": True})
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Hello, {name}"


@server.tool(annotations={"readOnlyHint": True})
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
