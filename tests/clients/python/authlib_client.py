"""Authlib signs people in: OpenID Connect discovery, code with PKCE and nonce, ID token, userinfo, refresh with a
scope, introspection, revocation."""

import os

import httpx
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from harness import ISSUER, REDIRECT_URI, parameters_of, restart, sign_in

server = httpx.get(f"{ISSUER}/.well-known/openid-configuration").raise_for_status().json()
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
    code_challenge_method="S256", scope="openid profile email contacts:read", token_endpoint=server["token_endpoint"])
verifier = generate_token(48)
authorization_url, state = client.create_authorization_url(
    server["authorization_endpoint"], code_verifier=verifier, nonce="a nonce")
callback = sign_in(authorization_url)
assert parameters_of(callback).get("iss") == ISSUER, f"the answer names no issuer: {callback}"
tokens = dict(client.fetch_token(authorization_response=callback, state=state, code_verifier=verifier))
keys = KeySet.import_key_set(httpx.get(server["jwks_uri"]).raise_for_status().json())


def claims_of(answer, nonce):
    """The claims of an answer's ID token, checked as Authlib's own relying party does it."""
    token = jwt.decode(answer["id_token"], keys, algorithms=server["id_token_signing_alg_values_supported"])
    options = {"iss": {"values": [ISSUER]}}
    parameters = {"nonce": nonce, "client_id": registration["client_id"], "access_token": answer["access_token"]}
    claims = CodeIDToken(token.claims, token.header, options, parameters)
    claims.validate(leeway=30)
    return claims


person = claims_of(tokens, "a nonce")["sub"]
about = client.get(server["userinfo_endpoint"]).raise_for_status().json()
assert about["sub"] == person and about["email"] == os.environ["USERNAME"], f"userinfo says {about}"
steps = ["discovered", "registered", "signed in", "iss checked", "ID token checked", "userinfo", restart()]

renewed = dict(client.refresh_token(server["token_endpoint"], refresh_token=tokens["refresh_token"], scope=tokens["scope"]))
assert set(renewed["scope"].split()) == set(tokens["scope"].split()), f"refreshed scope is {renewed['scope']}"
assert claims_of(renewed, None)["sub"] == person, "the refreshed ID token is about somebody else"
resource_server = OAuth2Client("resource-server", os.environ["SECRET"])


def introspected(token):
    """What a resource server is told of a token."""
    return resource_server.introspect_token(server["introspection_endpoint"], token=token).raise_for_status().json()


known = introspected(renewed["access_token"])
assert known["active"] and known["sub"] == person, f"introspection says {known}"
latest = renewed.get("refresh_token", tokens["refresh_token"])
revoked = client.revoke_token(server["revocation_endpoint"], token=latest, token_type_hint="refresh_token")
assert revoked.status_code == 200, f"revocation answered {revoked.status_code}: {revoked.text}"
try:
    client.refresh_token(server["token_endpoint"], refresh_token=latest)
except OAuthError as refused:
    assert refused.error == "invalid_grant", f"a revoked refresh token: {refused}"
else:
    raise AssertionError("a revoked refresh token was refreshed")
assert introspected(renewed["access_token"]) == {"active": False}, "a revoked access token is active"
steps += ["refreshed", "introspected", "revoked"]
print(", ".join(steps))
