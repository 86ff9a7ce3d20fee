// jose judges access tokens as a resource server would: one token on each line in, one verdict on each line out.
// It never asks for a set again because of an unknown key: what it has must do until it is too old.

import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer, audience, maxAge] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`), {
  cacheMaxAge: Number(maxAge) * 1000, cooldownDuration: Infinity, timeoutDuration: 30_000,
});

for await (const token of createInterface({ input: process.stdin })) {
  const verdict = await jwtVerify(token, keys, { audience, issuer, typ: 'at+jwt' }).then(() => 'good', String);
  console.log(verdict.replaceAll('\n', ' '));
}
