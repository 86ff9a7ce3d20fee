// The TypeScript client, second generation, that wants more than it has: a tool answers 403 with the scopes it needs,
// the person agrees to those too, and the same session goes on. What was granted before stays. The first argument
// names the protocol era.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { answered, assert, done, issuer, MemoryProvider, restart, spoiled, tool, url } from './harness.mjs';

const mode = process.argv[2];
const workspace = { workspace_id: 'ws_acme' };
const more = 'contacts:delete';

const scopes = (text) => new Set((text ?? '').split(' ').filter(Boolean));
const includes = (all, some) => [...scopes(some)].every((scope) => scopes(all).has(scope));

/** A client that is signed in with what it gets without asking. */
async function signedIn(name) {
  const provider = new MemoryProvider(name);
  const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  const client = () => new Client({ name: 'step-up', version: '1' }, { versionNegotiation: { mode } });
  const first = transport();
  const refused = await client().connect(first).then(() => null, (error) => error);
  assert(refused instanceof UnauthorizedError, `connecting without a token: ${refused}`);
  await first.finishAuth(await provider.answer());
  const connected = client();
  const session = transport();
  await connected.connect(session);
  assert(!scopes(provider.held.scope).has(more), `granted without being asked for: ${provider.held.scope}`);
  return { connected, provider, session };
}

const made = async ({ connected }) => {
  const contact = { ...workspace, name: 'Grace Hopper' };
  const result = await connected.callTool({ name: 'create_contact', arguments: contact });
  answered(result, 'create_contact');
  return { ...workspace, id: result.structuredContent.id };
};
const removed = ({ connected }, contact) => connected.callTool({ name: 'delete_contact', arguments: contact });
const listed = async ({ connected }) => answered(await connected.callTool({ name: tool }));

const other = await signedIn(`Another client (${mode})`);
const one = await signedIn(`A client that wants more (${mode})`);
const before = one.provider.held;
const contact = await made(one);

const refused = await removed(one, contact).then(() => null, (error) => error);
assert(refused instanceof UnauthorizedError, `a tool beyond the scopes: ${refused}`);
assert(one.provider.authorizations.length === 2, `asked ${one.provider.authorizations.length} times`);
const asked = new URL(one.provider.authorizations[1]).searchParams;
assert(asked.get('client_id') === one.provider.information.client_id, 'registered once more');
assert(includes(asked.get('scope'), `${before.scope} ${more}`), `asked for ${asked.get('scope')}`);
const steps = [`403 for ${more}`, await listed(one)];

await one.session.finishAuth(await one.provider.answer());
assert(includes(one.provider.held.scope, `${before.scope} ${more}`), `granted ${one.provider.held.scope}`);
steps.push('the person agreed', answered(await removed(one, contact), 'delete_contact'), await listed(one));

// The wider grant is what is refreshed from now on, also after a restart.
steps.push(await restart());
one.provider.held = { ...one.provider.held, access_token: spoiled(one.provider.held.access_token) };
answered(await removed(one, await made(one)), 'delete_contact');
assert(includes(one.provider.held.scope, `${before.scope} ${more}`), `refreshed to ${one.provider.held.scope}`);
assert(one.provider.authorizations.length === 2, `asked ${one.provider.authorizations.length} times`);
steps.push('again with a refreshed token');

// Nobody else's grant became wider or went away, nor did the one of before.
await listed(other);
other.provider.held = { ...other.provider.held, access_token: spoiled(other.provider.held.access_token) };
await listed(other);
assert(!scopes(other.provider.held.scope).has(more), `another client has ${other.provider.held.scope}`);
const old = await fetch(`${issuer}/token`, {
  method: 'POST',
  body: new URLSearchParams({
    client_id: one.provider.information.client_id,
    grant_type: 'refresh_token',
    refresh_token: before.refresh_token,
    resource: url,
  }),
});
const answer = await old.json();
assert(old.ok, `the grant of before: ${old.status} ${JSON.stringify(answer)}`);
assert(includes(before.scope, answer.scope), `the grant of before has ${answer.scope}`);
steps.push('every other grant is as it was');
done(steps);
