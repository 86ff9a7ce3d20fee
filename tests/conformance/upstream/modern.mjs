// The upstream as the 2026-07-28 revision has it: no sessions, questions to the client as results
// that ask for input, change notices on a stream the client opens, and tasks.

import { randomBytes, randomUUID } from 'node:crypto';

import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  McpServer,
} from '@modelcontextprotocol/server';

import * as catalogue from './catalogue.mjs';
import { serveTasks, taskTools, TASKS_EXTENSION } from './tasks.mjs';

const { INVALID_PARAMS, RpcError, noArguments, pause, said } = catalogue;

const states = createRequestStateCodec({ key: randomBytes(32) });

/** A request handler for one endpoint. Each request is served by a server of its own. */
export function modernEndpoint() {
  const handler = createMcpHandler(() => server(), { legacy: 'reject' });
  const tools = [...plainTools, ...inputTools, ...taskTools, ...changeTools(handler)];
  const server = () => modernServer(tools);
  return toNodeHandler(handler);
}

function modernServer(tools) {
  const mcp = new McpServer(
    { name: 'conformance-upstream', version: '1.0.0' },
    {
      capabilities: {
        completions: {},
        extensions: { [TASKS_EXTENSION]: {} },
        prompts: { listChanged: true },
        resources: { listChanged: true },
        tools: { listChanged: true },
      },
      cacheHints: {
        'prompts/list': { ttlMs: 1000, cacheScope: 'public' },
        'tools/list': { ttlMs: 1000, cacheScope: 'public' },
      },
      requestState: { verify: states.verify },
    },
  );
  // Registration is what the SDK checks Mcp-Param headers against; the handlers below answer.
  for (const { name, description, inputSchema, call } of tools) {
    mcp.registerTool(name, { description, inputSchema: fromJsonSchema(inputSchema) }, call);
  }
  const { server } = mcp;
  server.setRequestHandler('tools/list', () => ({ tools: tools.map(catalogue.shown) }));
  server.setRequestHandler('tools/call', ({ params }, context) => {
    const tool = tools.find(({ name }) => name === params.name);
    if (!tool) throw new RpcError(INVALID_PARAMS, `unknown tool: ${params.name}`);
    return tool.call(params.arguments ?? {}, context);
  });
  serveDocuments(server);
  serveTasks(server);
  return mcp;
}

function serveDocuments(server) {
  const { resources, resourceTemplates } = catalogue;
  server.setRequestHandler('resources/list', () => ({ resources }));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates }));
  server.setRequestHandler('resources/read', ({ params }) => {
    const contents = catalogue.readResource(params.uri);
    if (!contents) throw new RpcError(INVALID_PARAMS, 'no such resource', { uri: params.uri });
    return { contents };
  });
  server.setRequestHandler('prompts/list', () => ({ prompts: prompts.map(catalogue.shown) }));
  server.setRequestHandler('prompts/get', ({ params }, context) =>
    catalogue.promptNamed(prompts, params.name, params.arguments).get(params.arguments, context),
  );
  server.setRequestHandler('completion/complete', ({ params }) => catalogue.complete(params));
}

const form = (message, name, type = 'string') =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [name]: { type } }, required: [name] },
  });

const question = (content, maxTokens) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: content } }],
    maxTokens,
  });

/** What the client answered to one question, or undefined. */
const response = (context, key) => context.mcpReq.inputResponses?.[key];
const accepted = (context, key) => acceptedContent(context.mcpReq.inputResponses, key);
const mint = (state) => states.mint({ ...state, nonce: randomUUID() });

const prompts = [
  ...catalogue.prompts,
  {
    name: 'test_input_required_result_prompt',
    description: 'A prompt that asks for its context first.',
    get: (_given, context) => {
      const answer = accepted(context, 'user_context')?.context;
      if (typeof answer !== 'string') {
        return inputRequired({ inputRequests: { user_context: form('Which context?', 'context') } });
      }
      return { messages: [{ role: 'user', content: catalogue.text(`Keep to this: ${answer}`) }] };
    },
  },
];

const plainTools = [
  ...catalogue.tools,
  {
    name: 'test_tool_with_progress',
    description: 'Reports progress three times before it answers.',
    inputSchema: noArguments,
    call: async (_given, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          const params = { progressToken, progress, total: 100 };
          await mcpReq.notify({ method: 'notifications/progress', params });
        }
        await pause(50);
      }
      return said('Reached the end.');
    },
  },
  {
    name: 'test_logging_tool',
    description: 'Logs, which only a request that names a level may hear.',
    inputSchema: noArguments,
    call: async (_given, { mcpReq }) => {
      await mcpReq.log('info', 'heard by those who asked');
      return said('Logged once.');
    },
  },
  {
    name: 'test_header_parameter',
    description: 'Repeats an argument that clients mirror into a header.',
    inputSchema: {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
    },
    call: ({ region }) => said(`The region is ${region}.`),
  },
];

const inputTools = [
  {
    name: 'test_missing_capability',
    description: 'Needs the model of the client.',
    inputSchema: noArguments,
    call: (_given, context) =>
      response(context, 'answer')
        ? said('The model answered.')
        : inputRequired({ inputRequests: { answer: question('Say yes.', 10) } }),
  },
  {
    name: 'test_streaming_elicitation',
    description: 'Asks the person, in its result and nowhere else.',
    inputSchema: noArguments,
    call: (_given, context) =>
      response(context, 'word')
        ? said('The person answered.')
        : inputRequired({ inputRequests: { word: form('Which word?', 'word') } }),
  },
  {
    name: 'test_input_required_result_elicitation',
    description: 'Asks for a name and greets it.',
    inputSchema: noArguments,
    call: (_given, context) => {
      const name = accepted(context, 'user_name')?.name;
      if (typeof name === 'string') return said(`Good day, ${name}.`);
      return inputRequired({ inputRequests: { user_name: form('Who is there?', 'name') } });
    },
  },
  {
    name: 'test_input_required_result_sampling',
    description: 'Asks the model for a capital.',
    inputSchema: noArguments,
    call: (_given, context) => {
      const answer = response(context, 'capital_question')?.content?.text;
      if (typeof answer === 'string') return said(`The model said: ${answer}`);
      const capital_question = question('Which city is the capital of France?', 100);
      return inputRequired({ inputRequests: { capital_question } });
    },
  },
  {
    name: 'test_input_required_result_list_roots',
    description: 'Asks for the roots of the client.',
    inputSchema: noArguments,
    call: (_given, context) => {
      const roots = response(context, 'client_roots')?.roots;
      if (Array.isArray(roots)) return said(`There are ${roots.length} roots.`);
      return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
    },
  },
  {
    name: 'test_input_required_result_request_state',
    description: 'Asks for a confirmation and wants its state back.',
    inputSchema: noArguments,
    call: confirmed,
  },
  {
    name: 'test_input_required_result_tampered_state',
    description: 'Asks for a confirmation and refuses a state it did not make.',
    inputSchema: noArguments,
    call: confirmed,
  },
  {
    name: 'test_input_required_result_multiple_inputs',
    description: 'Asks three questions of three kinds at once.',
    inputSchema: noArguments,
    call: async (_given, context) => {
      const name = accepted(context, 'user_name')?.name;
      const greeting = response(context, 'greeting')?.content?.text;
      const roots = response(context, 'client_roots')?.roots;
      if (name && greeting && roots) return said(`${greeting} ${name}, of ${roots.length} roots.`);
      return inputRequired({
        inputRequests: {
          user_name: form('Who is there?', 'name'),
          greeting: question('Greet somebody.', 50),
          client_roots: inputRequired.listRoots(),
        },
        requestState: await mint({}),
      });
    },
  },
  {
    name: 'test_input_required_result_multi_round',
    description: 'Asks twice, one question after the other.',
    inputSchema: noArguments,
    call: async (_given, context) => {
      const state = context.mcpReq.requestState();
      if (state?.name !== undefined) {
        return said(`${state.name} likes ${accepted(context, 'step2')?.color}.`);
      }
      const name = state && accepted(context, 'step1')?.name;
      const inputRequests = name
        ? { step2: form('Which color?', 'color') }
        : { step1: form('Who is there?', 'name') };
      return inputRequired({ inputRequests, requestState: await mint({ name }) });
    },
  },
  {
    name: 'test_input_required_result_capabilities',
    description: 'Asks only what the client said it can answer.',
    inputSchema: noArguments,
    call: (_given, context) => {
      if (context.mcpReq.inputResponses) return said('Answered what could be answered.');
      const can = context.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
      const inputRequests = {
        ...(can.elicitation && { user_name: form('Who is there?', 'name') }),
        ...(can.sampling && { greeting: question('Greet somebody.', 50) }),
        ...(can.roots && { client_roots: inputRequired.listRoots() }),
      };
      if (Object.keys(inputRequests).length === 0) return said('There is nothing to ask.');
      return inputRequired({ inputRequests });
    },
  },
];

async function confirmed(_given, context) {
  // The SDK has refused a state that was changed before this function is reached.
  if (context.mcpReq.requestState() && accepted(context, 'confirm')) return said('Confirmed.');
  return inputRequired({
    inputRequests: { confirm: form('Is that so?', 'ok', 'boolean') },
    requestState: await mint({}),
  });
}

const changeTools = ({ notify }) => [
  {
    name: 'test_trigger_tool_change',
    description: 'Tells the streams that asked that the tools changed.',
    inputSchema: noArguments,
    call: () => {
      notify.toolsChanged();
      return said('Told.');
    },
  },
  {
    name: 'test_trigger_prompt_change',
    description: 'Tells the streams that asked that the prompts changed.',
    inputSchema: noArguments,
    call: () => {
      notify.promptsChanged();
      return said('Told.');
    },
  },
];
