// oauth4webapi, the strictest of the libraries, against the authorization server: every documented step.

import * as oauth from 'oauth4webapi';
import { assert, done, issuer, redirectUri, restart, signIn, url } from './harness.mjs';

const insecure = { [oauth.allowInsecureRequests]: true };

const resource = await oauth.processResourceDiscoveryResponse(
  new URL(url),
  await oauth.resourceDiscoveryRequest(new URL(url), insecure),
);
assert(resource.authorization_servers[0] === issuer, `issuer is ${resource.authorization_servers}`);
const server = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure }),
);
const twin = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oidc', ...insecure }),
);
assert(JSON.stringify(twin) === JSON.stringify(server), 'the two discovery documents differ');
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(
    server,
    {
      client_name: 'oauth4webapi',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    insecure,
  ),
);
assert(client.client_secret, 'no secret was issued for client_secret_basic');
const authentication = oauth.ClientSecretBasic(client.client_secret);
const steps = ['discovered', 'registered'];

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const authorization = new URL(server.authorization_endpoint);
authorization.search = new URLSearchParams({
  client_id: client.client_id,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  nonce,
  redirect_uri: redirectUri,
  resource: url,
  response_type: 'code',
  scope: 'openid profile contacts:read',
  state,
});
const callback = await signIn(authorization.href);
const parameters = oauth.validateAuthResponse(server, client, callback, state);
for (const iss of [null, 'https://other.example']) {
  const other = new URL(callback);
  if (iss) other.searchParams.set('iss', iss);
  else other.searchParams.delete('iss');
  assert(!passes(() => oauth.validateAuthResponse(server, client, other, state)), `the answer passes with iss=${iss}`);
}
const answer = await oauth.authorizationCodeGrantRequest(
  server,
  client,
  authentication,
  parameters,
  redirectUri,
  verifier,
  { additionalParameters: { resource: url }, ...insecure },
);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, {
  expectedNonce: nonce,
  requireIdToken: true,
});
await oauth.validateApplicationLevelSignature(server, answer, insecure);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);
const about = await oauth.processUserInfoResponse(
  server,
  client,
  sub,
  await oauth.userInfoRequest(server, client, tokens.access_token, insecure),
);
assert(about.name, `userinfo says ${JSON.stringify(about)}`);
const request = new Request(url, { headers: { authorization: `Bearer ${tokens.access_token}` } });
const claims = await oauth.validateJwtAccessToken(server, request, url, insecure);
assert(claims.client_id === client.client_id, `client_id is ${claims.client_id}`);
steps.push('signed in', 'iss checked', 'access token and ID token verified', 'userinfo');

steps.push(await restart());
const refresh = (token) => oauth.refreshTokenGrantRequest(server, client, authentication, token, insecure);
const renewed = await oauth.processRefreshTokenResponse(server, client, await refresh(tokens.refresh_token));
assert(renewed.scope === tokens.scope, `refreshed scope is ${renewed.scope}, was ${tokens.scope}`);
const owner = { client_id: 'resource-server' };
const introspect = async (signed) =>
  oauth.processIntrospectionResponse(
    server,
    { ...owner, ...(signed && { introspection_signed_response_alg: 'ES256' }) },
    await oauth.introspectionRequest(
      server,
      owner,
      oauth.ClientSecretBasic(process.env.SECRET),
      renewed.access_token,
      { ...insecure, requestJwtResponse: signed },
    ),
  );
for (const signed of [false, true]) {
  const known = await introspect(signed);
  assert(known.active && known.sub === sub && known.aud === url, `introspection says ${JSON.stringify(known)}`);
}
const latest = renewed.refresh_token ?? tokens.refresh_token;
await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, latest, insecure));
const refused = await refresh(latest);
assert(refused.status === 400, `a revoked refresh token answers ${refused.status}`);
assert((await refused.json()).error === 'invalid_grant', 'a revoked refresh token is not invalid_grant');
assert(!(await introspect(false)).active, 'a revoked access token is active');
steps.push('refreshed', 'introspected as JSON and as JWT', 'revoked');
done(steps);

function passes(check) {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
