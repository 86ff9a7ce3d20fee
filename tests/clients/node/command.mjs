// Runs a client that is a command and hands back what it printed; spoils the access token it stored.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert, spoiled } from './harness.mjs';

/** Runs a program of node_modules; resolves to its standard output, rejects with all it printed. */
export function run(program, parameters, environment = {}) {
  const file = fileURLToPath(new URL(`node_modules/${program}`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...parameters], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${parameters.join(' ')} ended with ${code}:\n${out}\n${err}`));
    });
  });
}

/** Spoils every access token that a client keeps in a JSON file of its home, as if it had expired. */
export function expire() {
  let found = 0;
  for (const entry of readdirSync(process.env.HOME, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.json')) continue;
    const file = `${entry.parentPath}/${entry.name}`;
    const text = readFileSync(file, 'utf8').replace(/(access_token\\?":\s*\\?")([^"\\]+)/g, (_, before, token) => {
      found += 1;
      return before + spoiled(token);
    });
    writeFileSync(file, text);
  }
  assert(found > 0, 'no stored access token was found');
}
