// The TypeScript client, second generation, in the protocol era named by the first argument.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { answered, assert, done, listed, MemoryProvider, restart, spoiled, tool, url } from './harness.mjs';

const mode = process.argv[2];
const provider = new MemoryProvider(`TypeScript client 2 (${mode})`);
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
const client = () => new Client({ name: 'sdk-v2', version: '1' }, { versionNegotiation: { mode } });

const first = transport();
const refused = await client().connect(first).then(() => null, (error) => error);
assert(refused instanceof UnauthorizedError, `connecting without a token: ${refused}`);
await first.finishAuth(await provider.answer());

const connected = client();
await connected.connect(transport());
const version = connected.getNegotiatedProtocolVersion();
assert((version === '2026-07-28') === (mode === 'auto'), `negotiated ${version} in mode ${mode}`);
const { tools } = await connected.listTools();
const steps = ['signed in', version, listed(tools), answered(await connected.callTool({ name: tool }))];

steps.push(await restart(), answered(await connected.callTool({ name: tool })));

provider.held = { ...provider.held, access_token: spoiled(provider.held.access_token) };
const results = await Promise.all([1, 2, 3].map(() => connected.callTool({ name: tool })));
results.forEach((result) => answered(result));
steps.push('3 calls at once with an expired token');
assert(provider.authorizations.length === 1, `asked to sign in ${provider.authorizations.length} times`);
done(steps);
