// A TypeScript SDK through lost answers, kills and an absent Redis: it never drops its tokens and never needs its user.

import * as second from '@modelcontextprotocol/client';
import * as oldAuth from '@modelcontextprotocol/sdk/client/auth.js';
import * as oldClient from '@modelcontextprotocol/sdk/client/index.js';
import * as oldTransport from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { answered, assert, done, fault, MemoryProvider, spoiled, tool, url } from './harness.mjs';

const LIMIT = 30_000;
const generation = process.argv[2];
const { Client, StreamableHTTPClientTransport, UnauthorizedError } =
  generation === 'v1' ? { ...oldAuth, ...oldClient, ...oldTransport } : second;

class RememberingProvider extends MemoryProvider {
  dropped = [];

  invalidateCredentials(what) {
    this.dropped.push(what);
    if (what === 'all' || what === 'tokens') this.held = undefined;
    if (what === 'all' || what === 'client') this.information = undefined;
  }
}

const provider = new RememberingProvider(`TypeScript SDK ${generation}, faults`);
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
const client = () => new Client({ name: 'faults', version: '1' });

const first = transport();
const refused = await client().connect(first).then(() => null, (error) => error);
assert(refused instanceof UnauthorizedError, `connecting without a token: ${refused}`);
const parameters = await provider.answer();
await first.finishAuth(generation === 'v1' ? parameters.get('code') : parameters);

const connected = client();
await connected.connect(transport());
const steps = ['signed in', answered(await connected.callTool({ name: tool }))];

/** One call with an access token that is no longer good; it may fail, the tokens may not go. */
async function strike(what) {
  provider.held = { ...provider.held, access_token: spoiled(provider.held.access_token) };
  const outcome = await connected.callTool({ name: tool }).then(() => 'answered', (error) => error.name);
  assert(provider.dropped.length === 0, `${what}: dropped ${provider.dropped}`);
  assert(provider.held?.refresh_token, `${what}: no refresh token is left`);
  return outcome;
}

/** Calls until one is answered, without anybody signing in. */
async function recovered(what) {
  const limit = Date.now() + LIMIT;
  for (;;) {
    const error = await connected.callTool({ name: tool }).then(answered, (why) => why);
    if (error === tool) break;
    assert(Date.now() < limit, `${what}: still ${error}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert(provider.dropped.length === 0, `${what}: dropped ${provider.dropped}`);
  steps.push(what);
}

for (const again of ['', ' again']) {
  await fault('answer lost');
  await strike(`answer lost${again}`);
  await recovered(`answer lost${again}`);
}

await fault('killed before the answer');
await strike('killed before the answer');
await fault('started again');
await recovered('killed before the answer');

await fault('redis away');
await strike('redis away');
await fault('redis back');
await recovered('redis away');

done(steps);
