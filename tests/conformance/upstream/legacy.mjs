// The upstream as the 2025-11-25 revision has it: sessions, a stream per request, a standing GET
// stream that can be resumed, and requests from the server to the client.

import { randomUUID } from 'node:crypto';

import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  GetPromptRequestSchema,
  isInitializeRequest,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

import * as catalogue from './catalogue.mjs';
import { elicitationForms } from './forms.mjs';
import { answerJson, bodyOf } from './http.mjs';

const { INVALID_PARAMS, RpcError, noArguments, pause, said } = catalogue;
const RESOURCE_NOT_FOUND = -32002;
const RETRY_MILLISECONDS = 500;

/** A request handler for one endpoint; it owns the sessions that are opened there. */
export function legacyEndpoint() {
  const sessions = new Map();
  return async (request, response) => {
    const id = request.headers['mcp-session-id'];
    const body = request.method === 'POST' ? await bodyOf(request) : undefined;
    if (id === undefined && isInitializeRequest(body)) {
      const transport = await openSession(sessions);
      return transport.handleRequest(request, response, body);
    }
    if (id === undefined) return answerJson(response, 400, refusal(-32000, 'a session id is required'));
    const transport = sessions.get(id);
    if (!transport) return answerJson(response, 404, refusal(-32001, 'no such session'));
    return transport.handleRequest(request, response, body);
  };
}

const refusal = (code, message) => ({ jsonrpc: '2.0', id: null, error: { code, message } });

async function openSession(sessions) {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: eventStore(),
    retryInterval: RETRY_MILLISECONDS,
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await server().connect(transport);
  return transport;
}

/** Remembers what was sent in one session, so that a stream that broke can be read on. */
function eventStore() {
  const events = [];
  return {
    async storeEvent(streamId, message) {
      events.push({ streamId, message });
      return `${streamId}/${events.length - 1}`;
    },
    async replayEventsAfter(lastEventId, { send }) {
      const cut = lastEventId.lastIndexOf('/');
      const streamId = lastEventId.slice(0, cut);
      const last = Number(lastEventId.slice(cut + 1));
      for (const [index, event] of events.entries()) {
        const replayed = index > last && event.streamId === streamId && event.message?.jsonrpc;
        if (replayed) await send(`${streamId}/${index}`, event.message);
      }
      return streamId;
    },
  };
}

function server() {
  const made = new Server(
    { name: 'conformance-upstream', version: '1.0.0' },
    {
      capabilities: {
        completions: {},
        logging: {},
        prompts: {},
        resources: { subscribe: true },
        tools: {},
      },
    },
  );
  made.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(catalogue.shown) }));
  made.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    const tool = tools.find(({ name }) => name === params.name);
    if (!tool) throw new RpcError(INVALID_PARAMS, `unknown tool: ${params.name}`);
    return tool.call(params.arguments ?? {}, extra);
  });
  made.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: catalogue.prompts.map(catalogue.shown),
  }));
  made.setRequestHandler(GetPromptRequestSchema, ({ params }) =>
    catalogue.promptNamed(catalogue.prompts, params.name, params.arguments).get(params.arguments),
  );
  made.setRequestHandler(CompleteRequestSchema, ({ params }) => catalogue.complete(params));
  serveResources(made);
  return made;
}

function serveResources(made) {
  const { resources, resourceTemplates } = catalogue;
  made.setRequestHandler(ListResourcesRequestSchema, () => ({ resources }));
  made.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates }));
  made.setRequestHandler(ReadResourceRequestSchema, ({ params }) => {
    const contents = catalogue.readResource(params.uri);
    if (!contents) throw new RpcError(RESOURCE_NOT_FOUND, 'no such resource', { uri: params.uri });
    return { contents };
  });
  const existing = ({ params }) => {
    if (!catalogue.readResource(params.uri)) {
      throw new RpcError(RESOURCE_NOT_FOUND, 'no such resource', { uri: params.uri });
    }
    return {};
  };
  made.setRequestHandler(SubscribeRequestSchema, existing);
  made.setRequestHandler(UnsubscribeRequestSchema, existing);
}

const elicit = (extra, message, requestedSchema) =>
  extra.sendRequest(
    { method: 'elicitation/create', params: { message, requestedSchema } },
    ElicitResultSchema,
  );

const answered = ({ action, content }) => said(`${action}: ${JSON.stringify(content ?? {})}`);

const oneString = (name) => ({
  type: 'object',
  properties: { [name]: { type: 'string' } },
  required: [name],
});

const tools = [
  ...catalogue.tools,
  {
    name: 'test_tool_with_logging',
    description: 'Logs three times before it answers.',
    inputSchema: noArguments,
    call: async (_given, extra) => {
      for (const data of ['begun', 'half done', 'done']) {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
        await pause(50);
      }
      return said('Logged three times.');
    },
  },
  {
    name: 'test_tool_with_progress',
    description: 'Reports progress three times before it answers.',
    inputSchema: noArguments,
    call: async (_given, extra) => {
      const progressToken = extra._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          const params = { progressToken, progress, total: 100 };
          await extra.sendNotification({ method: 'notifications/progress', params });
        }
        await pause(50);
      }
      return said('Reached the end.');
    },
  },
  {
    name: 'test_sampling',
    description: 'Asks the model of the client.',
    inputSchema: oneString('prompt'),
    call: async ({ prompt }, extra) => {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }];
      const result = await extra.sendRequest(
        { method: 'sampling/createMessage', params: { messages, maxTokens: 100 } },
        CreateMessageResultSchema,
      );
      return said(`The model said: ${result.content.text}`);
    },
  },
  {
    name: 'test_elicitation',
    description: 'Asks the person at the client.',
    inputSchema: oneString('message'),
    call: async ({ message }, extra) => answered(await elicit(extra, message, oneString('response'))),
  },
  {
    name: 'test_elicitation_sep1034_defaults',
    description: 'Asks the person with a form whose fields have defaults.',
    inputSchema: noArguments,
    call: async (_given, extra) =>
      answered(await elicit(extra, 'Check these values.', elicitationForms.defaults)),
  },
  {
    name: 'test_elicitation_sep1330_enums',
    description: 'Asks the person with a form of choices.',
    inputSchema: noArguments,
    call: async (_given, extra) =>
      answered(await elicit(extra, 'Choose among these.', elicitationForms.choices)),
  },
  {
    name: 'test_reconnection',
    description: 'Ends its stream before it answers; the answer is read after coming back.',
    inputSchema: noArguments,
    call: async (_given, extra) => {
      extra.closeSSEStream?.();
      await pause(200);
      return said('Read after coming back.');
    },
  },
];
