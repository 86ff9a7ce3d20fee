// openid-client against the authorization server; its refresh names neither resource nor scope.

import * as client from 'openid-client';
import { assert, done, issuer, redirectUri, restart, signIn } from './harness.mjs';

const insecure = { execute: [client.allowInsecureRequests] };
const metadata = {
  client_name: 'openid-client',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: [redirectUri],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};
const config = await client.dynamicClientRegistration(new URL(issuer), metadata, client.None(), {
  algorithm: 'oauth2',
  ...insecure,
});
assert(config.serverMetadata().issuer === issuer, `issuer is ${config.serverMetadata().issuer}`);

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const callback = await signIn(
  client.buildAuthorizationUrl(config, {
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    redirect_uri: redirectUri,
    state: expectedState,
  }).href,
);
const tokens = await client.authorizationCodeGrant(config, callback, { expectedState, pkceCodeVerifier });
const steps = ['discovered', 'registered', 'signed in', await restart()];

const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
assert(renewed.scope === tokens.scope, `refreshed scope is ${renewed.scope}, was ${tokens.scope}`);
const latest = renewed.refresh_token ?? tokens.refresh_token;
await client.tokenRevocation(config, latest);
const refused = await client.refreshTokenGrant(config, latest).then(() => null, (error) => error);
assert(refused?.error === 'invalid_grant', `a revoked refresh token: ${refused}`);
steps.push('refreshed', 'revoked');
done(steps);
