// Tools that run on after their call was answered, and the methods that ask after them: the
// tasks extension of the 2026-07-28 revision.

import { randomUUID } from 'node:crypto';

import { acceptedContent, CLIENT_CAPABILITIES_META_KEY, inputRequired } from '@modelcontextprotocol/server';
import * as z from 'zod';

import { INVALID_PARAMS, RpcError, noArguments, said } from './catalogue.mjs';

export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

const MISSING_CLIENT_CAPABILITY = -32021;
const FINAL = new Set(['cancelled', 'completed', 'failed']);
const KEPT_MILLISECONDS = 10 * 60 * 1000;
const POLL_MILLISECONDS = 200;

const tasks = new Map();

/** Answers tasks/get, tasks/update and tasks/cancel on this server. */
export function serveTasks(server) {
  const named = z.looseObject({ taskId: z.string() });
  server.setRequestHandler('tasks/get', { params: named }, (params, context) => {
    requireExtension(context);
    const { inputRequests, outcome, ...task } = taskNamed(params.taskId);
    return { ...task, ...outcome, ...(task.status === 'input_required' && { inputRequests }) };
  });
  server.setRequestHandler('tasks/update', { params: named }, (params, context) => {
    requireExtension(context);
    // The SDK lifts the answers out of the parameters, as it does for every method.
    answerQuestions(taskNamed(params.taskId), context.mcpReq.inputResponses ?? {});
    return {};
  });
  server.setRequestHandler('tasks/cancel', { params: named }, (params, context) => {
    requireExtension(context);
    settle(taskNamed(params.taskId), 'cancelled');
    return {};
  });
}

function taskNamed(taskId) {
  const task = tasks.get(taskId);
  if (!task) throw new RpcError(INVALID_PARAMS, `unknown task: ${taskId}`);
  return task;
}

const offersTasks = (context) =>
  context.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY]?.extensions?.[TASKS_EXTENSION] !== undefined;

function requireExtension(context) {
  if (offersTasks(context)) return;
  throw new RpcError(MISSING_CLIENT_CAPABILITY, 'the tasks extension is required', {
    requiredCapabilities: { extensions: { [TASKS_EXTENSION]: {} } },
  });
}

const now = () => new Date().toISOString();

function begin(status, more = {}) {
  const taskId = randomUUID();
  const task = {
    taskId,
    status,
    createdAt: now(),
    lastUpdatedAt: now(),
    ttlMs: KEPT_MILLISECONDS,
    pollIntervalMs: POLL_MILLISECONDS,
    ...more,
  };
  tasks.set(taskId, task);
  setTimeout(() => tasks.delete(taskId), KEPT_MILLISECONDS).unref();
  return task;
}

const created = ({ inputRequests, outcome, ...task }) => ({ resultType: 'task', ...task });

function settle(task, status, outcome) {
  if (FINAL.has(task.status)) return;
  Object.assign(task, { status, outcome, lastUpdatedAt: now() });
}

function answerQuestions(task, responses) {
  if (task.status !== 'input_required') return;
  for (const key of Object.keys(responses)) delete task.inputRequests[key];
  task.lastUpdatedAt = now();
  if (Object.keys(task.inputRequests).length === 0) {
    settle(task, 'completed', { result: said('Everything was answered.') });
  }
}

const ask = (message, name, type) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [name]: { type } }, required: [name] },
  });

/** A task that waits for answers; each question has a key of its own making. */
const waiting = (...questions) =>
  created(
    begin('input_required', {
      inputRequests: Object.fromEntries(questions.map((asked) => [randomUUID(), asked])),
    }),
  );

export const taskTools = [
  {
    name: 'greet',
    description: 'Greets at once; never a task.',
    inputSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
    call: ({ name }) => said(`Hello, ${name}!`),
  },
  {
    name: 'slow_compute',
    description: 'Takes as long as it is told.',
    inputSchema: {
      type: 'object',
      properties: { seconds: { type: 'number' }, label: { type: 'string' } },
    },
    call: ({ seconds = 0 }, context) => {
      if (seconds === 0 || !offersTasks(context)) return said('Computed at once.');
      const task = begin('working');
      const finish = () => settle(task, 'completed', { result: said('Computed in time.') });
      setTimeout(finish, seconds * 1000).unref();
      return created(task);
    },
  },
  {
    name: 'failing_job',
    description: 'Fails as a tool fails, and only as a task.',
    inputSchema: noArguments,
    call: (_given, context) => {
      requireExtension(context);
      const task = begin('working');
      const result = { ...said('The job failed.'), isError: true };
      setTimeout(() => settle(task, 'completed', { result }), POLL_MILLISECONDS);
      return created(task);
    },
  },
  {
    name: 'protocol_error_job',
    description: 'Fails as a request fails.',
    inputSchema: noArguments,
    call: (_given, context) => {
      requireExtension(context);
      const task = begin('working');
      const error = { code: -32603, message: 'the job broke' };
      setTimeout(() => settle(task, 'failed', { error }), POLL_MILLISECONDS);
      return created(task);
    },
  },
  {
    name: 'confirm_delete',
    description: 'Asks before it would delete.',
    inputSchema: { type: 'object', properties: { filename: { type: 'string' } } },
    call: ({ filename }, context) => {
      requireExtension(context);
      return waiting(ask(`Delete ${filename}?`, 'confirm', 'boolean'));
    },
  },
  {
    name: 'multi_input',
    description: 'Asks two things, in any order.',
    inputSchema: noArguments,
    call: (_given, context) => {
      requireExtension(context);
      return waiting(ask('Who is there?', 'name', 'string'), ask('Is that so?', 'confirm', 'boolean'));
    },
  },
  {
    name: 'test_tool_with_task',
    description: 'Asks first and then runs on as a task.',
    inputSchema: noArguments,
    call: (_given, context) => {
      requireExtension(context);
      const name = acceptedContent(context.mcpReq.inputResponses, 'user_name')?.name;
      if (typeof name !== 'string') {
        return inputRequired({ inputRequests: { user_name: ask('Who is there?', 'name', 'string') } });
      }
      const task = begin('working');
      const result = said(`Done for ${name}.`);
      setTimeout(() => settle(task, 'completed', { result }), POLL_MILLISECONDS);
      return created(task);
    },
  },
];
