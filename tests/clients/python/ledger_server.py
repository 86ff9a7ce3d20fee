"""A small MCP server of other people's making that takes the tokens of one authorization server: fastmcp, which verifies
them by the server's published keys. Arguments: its port, that server, and whom its tokens are for."""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token

port, issuer, audience = sys.argv[1:]
verifier = JWTVerifier(jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=audience, algorithm="RS256",
                       required_scopes=["ledger"])
server = FastMCP("Ledger", auth=verifier)


@server.tool(annotations={"readOnlyHint": True})
def whoami() -> dict:
    """Tells whose ledger this is."""
    claims = get_access_token().claims
    return {name: claims.get(name) for name in ("client_id", "iss", "kind", "sub", "workspaces")}


server.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
