// mcp-remote as a desktop client starts it: a stdio server that signs its user in through the browser.

import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { expire } from './command.mjs';
import { answered, done, freePort, listed, restart, tool, url } from './harness.mjs';

const program = fileURLToPath(new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url));
const port = String(await freePort());

async function connect() {
  const client = new Client({ name: 'desktop', version: '1' });
  await client.connect(
    new StdioClientTransport({
      args: [program, url, port, '--transport', 'http-only'],
      command: process.execPath,
      env: process.env,
      stderr: 'inherit',
    }),
    { timeout: 60_000 },
  );
  return client;
}

const client = await connect();
const { tools } = await client.listTools();
const steps = ['signed in', listed(tools), answered(await client.callTool({ name: tool }))];
steps.push(await restart(), answered(await client.callTool({ name: tool })));
await client.close();

expire();
const again = await connect();
steps.push('started anew with an expired token', answered(await again.callTool({ name: tool })));
await again.close();
done(steps);
