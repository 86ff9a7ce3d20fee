// Lists tools and makes the calls it is told to, with a token it is given: the first generation of the
// TypeScript SDK, or the second in one of its modes. What came back is printed as JSON.

const [mode, url] = process.argv.slice(2);
const { ACCESS_TOKEN: token, CALLS: calls } = process.env;
const authorization = { requestInit: { headers: { authorization: `Bearer ${token}` } } };

async function connected() {
  if (mode === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const client = new Client({ name: 'backends', version: '1' });
    const transport = new StreamableHTTPClientTransport(new URL(url), authorization);
    await client.connect(transport);
    return [client, transport.protocolVersion];
  }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const client = new Client({ name: 'backends', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), authorization));
  return [client, client.getNegotiatedProtocolVersion()];
}

const [client, version] = await connected();
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor ? { cursor } : {});
  tools.push(...page.tools.map(({ name }) => name));
  cursor = page.nextCursor;
} while (cursor);
const results = [];
for (const { tool, arguments: given } of JSON.parse(calls)) {
  const result = await client.callTool({ name: tool, arguments: given });
  results.push({ error: result.isError === true, text: result.content.map(({ text }) => text).join('') });
}
const unknown = await client.callTool({ name: 'nobody_has_this', arguments: {} }).then(
  (result) => JSON.stringify(result),
  (error) => `${error.code} ${error.message}`,
);
process.stdout.write(`${JSON.stringify({ version, tools, results, unknown })}\n`, () => process.exit(0));
