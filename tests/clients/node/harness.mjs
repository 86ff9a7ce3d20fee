// What every driver shares: where the demo is, the person with the browser, and the restart.

import { createServer } from 'node:http';

export const [url, control] = process.argv.slice(-2);
export const issuer = process.env.ISSUER;

/** The redirect URI of drivers that take the answer from the person's browser themselves. */
export const redirectUri = 'http://127.0.0.1:33418/callback';

/** The read tool every driver calls. */
export const tool = process.env.TOOL ?? 'list_contacts';

async function ask(path) {
  const answer = await fetch(control + path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

/** Sends the person to an authorization URL; resolves to the URL their browser is sent back to. */
export async function signIn(authorizationUrl) {
  const { callback } = await ask(`/open?url=${encodeURIComponent(authorizationUrl)}`);
  return new URL(callback);
}

/** Stops the demo and starts it again on the same ports and data. */
export async function restart() {
  const { seconds } = await ask('/restart');
  return `restarted in ${seconds} s`;
}

/** Has a fault happen to the demo, at once or at the next refresh. */
export async function fault(kind) {
  await ask(`/fault?kind=${encodeURIComponent(kind)}`);
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

/** Fails unless a tool result is a good one, and says what it was. */
export function answered(result, what = tool) {
  assert(!result.isError, `${what} failed: ${JSON.stringify(result).slice(0, 300)}`);
  assert(result.content?.length > 0, `${what} answered nothing: ${JSON.stringify(result).slice(0, 300)}`);
  return what;
}

/** Fails unless the tool is listed, and says how many are. */
export function listed(tools) {
  assert(tools.some(({ name }) => name === tool), `${tool} is not among ${tools.map(({ name }) => name)}`);
  return `${tools.length} tools`;
}

/** An access token that is no longer good, as one that has expired. */
export function spoiled(token) {
  return `${token.slice(0, -8)}AAAAAAAA`;
}

/** A port nobody listens on. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Prints what was done, and ends the process whatever a client left open. */
export function done(steps) {
  process.stdout.write(`${steps.join(', ')}\n`, () => process.exit(0));
}

/** An OAuthClientProvider for both TypeScript SDKs that keeps everything in memory. */
export class MemoryProvider {
  redirectUrl = redirectUri;
  authorizations = [];

  constructor(name) {
    this.clientMetadata = {
      client_name: name,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  state() {
    this.sentState ??= crypto.randomUUID();
    return this.sentState;
  }

  clientInformation() {
    return this.information;
  }

  saveClientInformation(information) {
    this.information = information;
  }

  tokens() {
    return this.held;
  }

  saveTokens(tokens) {
    this.held = tokens;
  }

  codeVerifier() {
    return this.verifier;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  redirectToAuthorization(authorizationUrl) {
    this.authorizations.push(authorizationUrl.href);
  }

  /** Has the person answer the latest authorization URL. */
  async answer() {
    const callback = await signIn(this.authorizations.at(-1));
    assert(callback.searchParams.get('state') === this.sentState, `state differs: ${callback}`);
    return callback.searchParams;
  }
}
