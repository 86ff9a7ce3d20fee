// The Inspector's command line: it signs its user in once, then works from its store, in both eras.

import { answered, done, freePort, listed, restart, tool, url } from './harness.mjs';
import { expire, run } from './command.mjs';

const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
const environment = {
  MCP_AUTO_OPEN_ENABLED: 'true',
  MCP_INSPECTOR_SECRET_STORE: 'file',
  MCP_STORAGE_DIR: `${process.env.HOME}/inspector`,
};

async function inspector(...parameters) {
  const common = ['--cli', '--server-url', url, '--transport', 'http', '--format', 'json', '--callback-url', callback];
  const out = await run('@modelcontextprotocol/inspector/clients/launcher/build/index.js', [...common, ...parameters], environment);
  const answer = JSON.parse(out);
  return answer.result ?? answer;
}

const call = async (...more) =>
  answered(await inspector('--method', 'tools/call', '--tool-name', tool, '--stored-auth-only', ...more));

const { tools } = await inspector('--method', 'tools/list');
const steps = ['signed in', listed(tools), await call()];
steps.push(await restart(), await call(), `${await call('--protocol-era', 'modern')} in the modern era`);
expire();
steps.push(`${await call()} with an expired token`);
done(steps);
