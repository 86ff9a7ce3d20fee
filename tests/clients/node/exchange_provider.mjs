// npm oidc-provider with the grant of RFC 8693 section 2.1, which it leaves to its operator: for an identity that the
// gateway signed it gives a token of its own. Arguments: its port, the gateway's URL, and whom its tokens are for.

import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Provider, errors } from 'oidc-provider';

const [port, gateway, audience] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const UNKNOWN_HERE = 'usr_second';

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'gateway',
    client_secret: process.env.SECRET,
    grant_types: [GRANT],
    redirect_uris: [],
    response_types: [],
  }],
  cookies: { keys: ['a key of this test'] },
  extraTokenClaims: ({ identity: { kind, workspaces } }) => ({ kind, workspaces }),
  scopes: ['ledger'],
  ttl: { AccessToken: 300 },
});

const keys = createRemoteJWKSet(new URL(`${gateway}/.well-known/jwks.json`));

async function subject(token) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ['ES256'],
      audience: `${issuer}/token`,
      issuer: gateway,
      requiredClaims: ['exp', 'jti', 'sub', 'sub_iss'],
      typ: 'vestibule-identity+jwt',
    });
    return payload;
  } catch (error) {
    throw new errors.InvalidRequest(`the subject token is none: ${error.message}`);
  }
}

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  if (params.subject_token_type !== JWT || params.requested_token_type !== ACCESS_TOKEN) {
    throw new errors.InvalidRequest('these types of token are not exchanged');
  }
  if (params.audience !== audience) {
    throw new errors.InvalidTarget('no token is given for this audience');
  }
  const identity = await subject(params.subject_token);
  if (identity.sub === UNKNOWN_HERE) {
    throw new errors.InvalidRequest('nobody knows this subject here');
  }
  ctx.identity = identity;
  const token = new provider.AccessToken({
    accountId: identity.sub,
    client,
    gty: GRANT,
    scope: params.scope,
  });
  token.resourceServer = new provider.ResourceServer(audience, {
    accessTokenFormat: 'jwt', audience, scope: 'ledger',
  });
  ctx.body = {
    access_token: await token.save(),
    expires_in: token.expiration,
    issued_token_type: ACCESS_TOKEN,
    scope: token.scope,
    token_type: token.tokenType,
  };
  console.log(`a token for ${identity.sub}`);
}

provider.registerGrantType(GRANT, exchange, [
  'audience', 'requested_token_type', 'resource', 'scope', 'subject_token', 'subject_token_type',
]);
for (const event of ['grant.error', 'server_error']) {
  provider.on(event, (context, error) => console.log(`${event} ${error.error}: ${error.error_description}`));
}
provider.listen(Number(port), '127.0.0.1');
