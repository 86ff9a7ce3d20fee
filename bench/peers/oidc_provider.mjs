// npm oidc-provider with what the benchmark asks of it: one signing key, two clients, one resource, Redis.
// Environment: PORT, REDIS_PORT.

import { generateKeyPairSync } from 'node:crypto';
import Redis from 'ioredis';
import { Provider } from 'oidc-provider';

const port = Number(process.env.PORT);
const redis = new Redis({ host: '127.0.0.1', port: Number(process.env.REDIS_PORT) });
const resource = process.env.RESOURCE;
const scope = process.env.SCOPE;
const MONTH = 30 * 86_400;
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);
const CONSUME = `
local held = redis.call('GET', KEYS[1])
if held then
  local record = cjson.decode(held)
  record.consumed = tonumber(ARGV[1])
  redis.call('SET', KEYS[1], cjson.encode(record), 'KEEPTTL')
end`;
redis.defineCommand('consume', { numberOfKeys: 1, lua: CONSUME });

class RedisAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, record, seconds = MONTH) {
    const batch = redis.multi().set(this.key(id), JSON.stringify(record), 'EX', seconds);
    if (GRANTABLE.has(this.model) && record.grantId) {
      const grant = `grant:${record.grantId}`;
      batch.sadd(grant, this.key(id)).expire(grant, MONTH);
    }
    if (record.uid) batch.set(`uid:${record.uid}`, id, 'EX', seconds);
    await batch.exec();
  }

  async find(id) {
    const held = await redis.get(this.key(id));
    return held ? JSON.parse(held) : undefined;
  }

  async findByUid(uid) {
    const id = await redis.get(`uid:${uid}`);
    return id ? this.find(id) : undefined;
  }

  async findByUserCode() {
    return undefined;
  }

  async destroy(id) {
    await redis.del(this.key(id));
  }

  async consume(id) {
    await redis.consume(this.key(id), Math.floor(Date.now() / 1000));
  }

  async revokeByGrantId(grant) {
    const keys = await redis.smembers(`grant:${grant}`);
    await redis.del(...keys, `grant:${grant}`);
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: RedisAdapter,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  clients: [
    {
      client_id: 'bench-cc',
      client_secret: 'bench-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'bench-web',
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://127.0.0.1:7777/cb'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  scopes: ['openid', 'offline_access', ...scope.split(' ')],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  cookies: { keys: ['bench'] },
  ttl: {
    AccessToken: 300,
    AuthorizationCode: 60,
    ClientCredentials: 300,
    Grant: MONTH,
    IdToken: 300,
    Interaction: 600,
    RefreshToken: MONTH,
    Session: 86_400,
  },
  findAccount: async (_context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async () => ({
        scope,
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
provider.listen(port, '127.0.0.1');
