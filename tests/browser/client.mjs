// The client whose user the tour follows: it registers, asks, receives the answer and redeems the code.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

/** A name that is only right when it is shown as text, in several scripts. */
export const clientName = 'Tour <b>& Co</b> 客户端 عميل';

export class Client {
  static async start(mcp) {
    const client = new Client();
    client.server = createServer(async (request, response) => {
      if (request.method === 'POST') {
        client.posted = Object.fromEntries(new URLSearchParams(await text(request)));
      }
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><html lang="en"><title>Back</title><p>Back at the client.');
    });
    await new Promise((resolve) => client.server.listen(0, '127.0.0.1', resolve));
    client.redirectUri = `http://127.0.0.1:${client.server.address().port}/callback`;
    const { origin, pathname } = new URL(mcp);
    client.resource = await json(`${origin}/.well-known/oauth-protected-resource${pathname}`);
    client.issuer = client.resource.authorization_servers[0];
    client.metadata = await json(`${client.issuer}/.well-known/oauth-authorization-server`);
    const registration = await json(client.metadata.registration_endpoint, {
      body: JSON.stringify({
        client_name: clientName,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [client.redirectUri],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
      }),
      headers: { 'content-type': 'application/json' },
      method: 'POST',
    });
    client.id = registration.client_id;
    return client;
  }

  /** A fresh authorization URL, with parameters to add or replace. */
  authorization(more = {}) {
    this.verifier = randomBytes(32).toString('base64url');
    this.state = randomBytes(8).toString('hex');
    const url = new URL(this.metadata.authorization_endpoint);
    url.search = new URLSearchParams({
      client_id: this.id,
      code_challenge: createHash('sha256').update(this.verifier).digest('base64url'),
      code_challenge_method: 'S256',
      redirect_uri: this.redirectUri,
      resource: this.resource.resource,
      response_type: 'code',
      state: this.state,
      ...more,
    });
    return url.href;
  }

  /** The answer the browser brought back, in its address or by a form, checked for state and issuer. */
  answer(url) {
    const inAddress = Object.fromEntries(new URL(url).searchParams);
    const answer = this.posted ?? inAddress;
    this.posted = undefined;
    if (answer.state !== this.state) throw new Error(`state is ${answer.state}`);
    if (answer.iss !== this.issuer) throw new Error(`iss is ${answer.iss}`);
    return answer;
  }

  /** Redeems a code; gives the scope and the workspaces that were granted. */
  async redeem(code) {
    const tokens = await json(this.metadata.token_endpoint, {
      body: new URLSearchParams({
        client_id: this.id,
        code,
        code_verifier: this.verifier,
        grant_type: 'authorization_code',
        redirect_uri: this.redirectUri,
        resource: this.resource.resource,
      }),
      method: 'POST',
    });
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'));
    return { scope: tokens.scope.split(' ').sort(), workspaces: claims.workspaces };
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

async function json(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
