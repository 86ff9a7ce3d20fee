// The TypeScript SDK, first generation: connect, sign in, call; restart; call; three calls at once with an expired token.

import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { answered, assert, done, listed, MemoryProvider, restart, spoiled, tool, url } from './harness.mjs';

const provider = new MemoryProvider('TypeScript SDK 1');
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
const client = () => new Client({ name: 'sdk-v1', version: '1' });

const first = transport();
const refused = await client().connect(first).then(() => null, (error) => error);
assert(refused instanceof UnauthorizedError, `connecting without a token: ${refused}`);
const parameters = await provider.answer();
await first.finishAuth(parameters.get('code'));

const connected = client();
await connected.connect(transport());
const { tools } = await connected.listTools();
const steps = ['signed in', listed(tools), answered(await connected.callTool({ name: tool }))];

steps.push(await restart(), answered(await connected.callTool({ name: tool })));

provider.held = { ...provider.held, access_token: spoiled(provider.held.access_token) };
const results = await Promise.all([1, 2, 3].map(() => connected.callTool({ name: tool })));
results.forEach((result) => answered(result));
steps.push('3 calls at once with an expired token');
assert(provider.authorizations.length === 1, `asked to sign in ${provider.authorizations.length} times`);
done(steps);
