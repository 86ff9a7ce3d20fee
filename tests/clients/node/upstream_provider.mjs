// npm oidc-provider as the provider that people sign in with. Arguments: its port, the redirect URI of its one client,
// and a file with what it says about people, by the name they sign in with; the file is read at each use.

import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, redirectUri, people] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  claims: { email: ['email', 'email_verified'], groups: ['groups'], openid: ['sub'], profile: ['name'] },
  clients: [{
    client_id: 'vestibule',
    client_secret: process.env.SECRET,
    redirect_uris: [redirectUri],
  }],
  cookies: { keys: ['a key of this test'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ ...JSON.parse(readFileSync(people, 'utf8'))[id], sub: id }),
  }),
  pkce: { required: () => true },
});
for (const event of ['authorization.error', 'grant.error', 'server_error', 'userinfo.error']) {
  provider.on(event, (context, error) => console.error(event, error));
}
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
