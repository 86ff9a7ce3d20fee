// Makes the keys of a client that signs its assertions: the private ones as PEM files in the folder of the first
// argument, the public ones as a JWK Set.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const folder = process.argv[2];
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const keys = Object.entries(pairs).map(([alg, { privateKey, publicKey }]) => {
  writeFileSync(`${folder}/${alg}.pem`, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  return { ...publicKey.export({ format: 'jwk' }), alg, kid: alg, use: 'sig' };
});
writeFileSync(`${folder}/signer-jwks.json`, JSON.stringify({ keys }), { mode: 0o600 });
