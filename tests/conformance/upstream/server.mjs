// The upstream of the conformance proof: one listener, `/legacy/mcp` for the revisions with
// sessions, `/modern/mcp` for 2026-07-28, and REST below `/rest/`. Prints one line when it listens.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { answerJson, isLocal } from './http.mjs';
import { legacyEndpoint } from './legacy.mjs';
import { modernEndpoint } from './modern.mjs';
import { restEndpoint } from './rest.mjs';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

const endpoints = new Map([
  ['/legacy/mcp', legacyEndpoint()],
  ['/modern/mcp', modernEndpoint()],
]);

const listener = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  const endpoint = endpoints.get(path) ?? restEndpoint(path);
  if (!isLocal(request)) return answerJson(response, 403, { error: 'this host or origin is not served' });
  if (!endpoint) return answerJson(response, 404, { error: 'nothing is here' });
  try {
    await endpoint(request, response);
  } catch (error) {
    process.stderr.write(`${error.stack}\n`);
    if (!response.headersSent) answerJson(response, 500, { error: 'the upstream failed' });
  }
});

listener.listen(Number(values.port), '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${listener.address().port}\n`);
});
