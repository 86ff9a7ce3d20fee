// openid-client signs people in: OpenID Connect discovery, ID token, userinfo, refresh, introspection.
// Its refresh names neither resource nor scope.

import * as client from 'openid-client';
import { assert, done, issuer, redirectUri, restart, signIn, url } from './harness.mjs';

const insecure = { execute: [client.allowInsecureRequests] };
const metadata = {
  client_name: 'openid-client',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: [redirectUri],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};
const config = await client.dynamicClientRegistration(new URL(issuer), metadata, client.None(), insecure);
assert(config.serverMetadata().issuer === issuer, `issuer is ${config.serverMetadata().issuer}`);

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const callback = await signIn(
  client.buildAuthorizationUrl(config, {
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    max_age: '3600',
    nonce: expectedNonce,
    redirect_uri: redirectUri,
    scope: 'openid profile email contacts:read',
    state: expectedState,
  }).href,
);
const checks = { expectedNonce, expectedState, idTokenExpected: true, maxAge: 3600, pkceCodeVerifier };
const tokens = await client.authorizationCodeGrant(config, callback, checks);
const { sub } = tokens.claims();
const about = await client.fetchUserInfo(config, tokens.access_token, sub);
assert(about.email === process.env.USERNAME, `userinfo says ${JSON.stringify(about)}`);
const steps = ['discovered', 'registered', 'ID token checked', 'userinfo', await restart()];

const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
assert(renewed.scope === tokens.scope, `refreshed scope is ${renewed.scope}, was ${tokens.scope}`);
assert(renewed.claims()?.sub === sub, 'the refresh brings no ID token of the same person');
const server = await client.discovery(
  new URL(issuer),
  'resource-server',
  undefined,
  client.ClientSecretPost(process.env.SECRET),
  insecure,
);
const known = await client.tokenIntrospection(server, renewed.access_token);
assert(known.active && known.sub === sub && known.aud === url, `introspection says ${JSON.stringify(known)}`);
const latest = renewed.refresh_token ?? tokens.refresh_token;
await client.tokenRevocation(config, latest);
const refused = await client.refreshTokenGrant(config, latest).then(() => null, (error) => error);
assert(refused?.error === 'invalid_grant', `a revoked refresh token: ${refused}`);
const ended = await client.tokenIntrospection(server, renewed.access_token);
assert(!ended.active, 'a revoked access token is active');
steps.push('refreshed', 'introspected', 'revoked');
done(steps);
