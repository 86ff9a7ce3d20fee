// mcporter as a person uses it: `auth`, `list` and `call`, each a process of its own with a callback port of its own.

import { writeFileSync } from 'node:fs';
import { expire, run } from './command.mjs';
import { assert, done, listed, restart, tool, url } from './harness.mjs';

const config = `${process.env.HOME}/mcporter.json`;
writeFileSync(config, JSON.stringify({ imports: [], mcpServers: { crm: { auth: 'oauth', url } } }));
const mcporter = (...parameters) => run('mcporter/dist/cli.js', ['--config', config, ...parameters]);
const call = async (...more) => {
  const out = await mcporter('call', `crm.${tool}`, '--output', 'raw', ...more);
  assert(out.trim(), 'the call printed nothing');
  return tool;
};

await mcporter('auth', 'crm');
const list = JSON.parse(await mcporter('list', 'crm', '--json'));
const steps = ['signed in', listed(list.tools), await call('--no-oauth')];
steps.push(await restart(), await call('--no-oauth'));
expire();
steps.push(`${await call()} with an expired token`);
done(steps);
