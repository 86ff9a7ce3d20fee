// The service accounts' way of both TypeScript SDKs: with a secret and with a signed assertion, nobody at a browser.
// The first argument names the generation.

import { readFileSync } from 'node:fs';
import { answered, assert, done, issuer, listed, restart, spoiled, tool, url } from './harness.mjs';

const generation = process.argv[2];
const { Client, Transport, ClientCredentialsProvider, PrivateKeyJwtProvider } = await {
  v1: async () => ({
    ...(await import('@modelcontextprotocol/sdk/client/auth-extensions.js')),
    ...(await import('@modelcontextprotocol/sdk/client/index.js')),
    Transport: (await import('@modelcontextprotocol/sdk/client/streamableHttp.js')).StreamableHTTPClientTransport,
  }),
  v2: async () => {
    const library = await import('@modelcontextprotocol/client');
    return { ...library, Transport: library.StreamableHTTPClientTransport };
  },
}[generation]();

// Each generation signs with another algorithm; the client has published a key for both.
const algorithm = { v1: 'ES256', v2: 'RS256' }[generation];
const ways = {
  'a secret': new ClientCredentialsProvider({ clientId: 'worker', clientSecret: process.env.SECRET, expectedIssuer: issuer }),
  'an assertion': new PrivateKeyJwtProvider({
    algorithm,
    clientId: 'signer',
    expectedIssuer: issuer,
    privateKey: readFileSync(`${process.env.KEYS}/${algorithm}.pem`, 'utf8'),
  }),
};

const steps = [];
for (const [name, provider] of Object.entries(ways)) {
  const connected = new Client({ name: `machine-${generation}`, version: '1' });
  await connected.connect(new Transport(new URL(url), { authProvider: provider }));
  const { tools } = await connected.listTools();
  steps.push(`with ${name}`, listed(tools), answered(await connected.callTool({ name: tool })));
  steps.push(await restart(), answered(await connected.callTool({ name: tool })));
  const before = provider.tokens();
  assert(!before.refresh_token, 'a service account got a refresh token');
  provider.saveTokens({ ...before, access_token: spoiled(before.access_token) });
  steps.push(answered(await connected.callTool({ name: tool }), 'another token'));
}
done(steps);
