"""Authlib against the authorization server: code with PKCE, refresh with a scope, revocation."""

import httpx
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client, OAuthError

from harness import ISSUER, REDIRECT_URI, parameters_of, restart, sign_in

server = httpx.get(f"{ISSUER}/.well-known/oauth-authorization-server").raise_for_status().json()
assert server["issuer"] == ISSUER, f"issuer is {server['issuer']}"
assert server["authorization_response_iss_parameter_supported"] is True
registered = httpx.post(server["registration_endpoint"], json={
    "client_name": "Authlib", "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": [REDIRECT_URI], "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_post"})
assert registered.status_code == 201, f"registration answered {registered.status_code}: {registered.text}"
registration = registered.json()

client = OAuth2Client(
    registration["client_id"], registration["client_secret"], redirect_uri=REDIRECT_URI,
    token_endpoint_auth_method="client_secret_post", revocation_endpoint_auth_method="client_secret_post",
    code_challenge_method="S256", token_endpoint=server["token_endpoint"])
verifier = generate_token(48)
authorization_url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
callback = sign_in(authorization_url)
assert parameters_of(callback).get("iss") == ISSUER, f"the answer names no issuer: {callback}"
tokens = dict(client.fetch_token(authorization_response=callback, state=state, code_verifier=verifier))
steps = ["discovered", "registered", "signed in", "iss checked", restart()]

renewed = dict(client.refresh_token(server["token_endpoint"], refresh_token=tokens["refresh_token"], scope=tokens["scope"]))
assert set(renewed["scope"].split()) == set(tokens["scope"].split()), f"refreshed scope is {renewed['scope']}"
latest = renewed.get("refresh_token", tokens["refresh_token"])
revoked = client.revoke_token(server["revocation_endpoint"], token=latest, token_type_hint="refresh_token")
assert revoked.status_code == 200, f"revocation answered {revoked.status_code}: {revoked.text}"
try:
    client.refresh_token(server["token_endpoint"], refresh_token=latest)
except OAuthError as refused:
    assert refused.error == "invalid_grant", f"a revoked refresh token: {refused}"
else:
    raise AssertionError("a revoked refresh token was refreshed")
steps += ["refreshed", "revoked"]
print(", ".join(steps))
