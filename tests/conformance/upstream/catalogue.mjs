// What both eras of the upstream serve alike: tools without conversation, resources, prompts and
// the completion answer, as plain data and plain functions that know no SDK.

/** An error that reaches the wire as a JSON-RPC error with this code and data. */
export class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export const INVALID_PARAMS = -32602;

export const text = (value) => ({ type: 'text', text: value });
export const said = (value) => ({ content: [text(value)] });
export const noArguments = { type: 'object', properties: {}, additionalProperties: false };
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// One grey pixel, and eight samples of silence.
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==';
const WAV = 'UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==';

const image = { type: 'image', data: PNG, mimeType: 'image/png' };

const embedded = (uri, mimeType, body) => ({
  type: 'resource',
  resource: { uri, mimeType, text: body },
});

/** The first tool must accept a call without arguments: the header scenarios pick it. */
export const tools = [
  {
    name: 'test_simple_text',
    description: 'Answers with one sentence.',
    inputSchema: noArguments,
    call: () => said('One sentence, and nothing more.'),
  },
  {
    name: 'test_image_content',
    description: 'Answers with an image.',
    inputSchema: noArguments,
    call: () => ({ content: [image] }),
  },
  {
    name: 'test_audio_content',
    description: 'Answers with a sound.',
    inputSchema: noArguments,
    call: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  {
    name: 'test_embedded_resource',
    description: 'Answers with a resource inside the result.',
    inputSchema: noArguments,
    call: () => ({ content: [embedded('test://embedded', 'text/plain', 'Carried in the result.')] }),
  },
  {
    name: 'test_multiple_content_types',
    description: 'Answers with text, an image and a resource.',
    inputSchema: noArguments,
    call: () => ({
      content: [
        text('Three kinds of content follow each other.'),
        image,
        embedded('test://mixed', 'application/json', '{"kinds":3}'),
      ],
    }),
  },
  {
    name: 'test_error_handling',
    description: 'Always fails, as a tool fails: in its result.',
    inputSchema: noArguments,
    call: () => ({ ...said('This tool fails each time it is called.'), isError: true }),
  },
  {
    name: 'json_schema_2020_12_tool',
    description: 'Carries an input schema with the wider vocabulary of JSON Schema 2020-12.',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: {
          $anchor: 'addressDef',
          type: 'object',
          properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    call: (given) => said(JSON.stringify(given)),
  },
];

export const resources = [
  {
    uri: 'test://static-text',
    name: 'static-text',
    description: 'A text that never changes.',
    mimeType: 'text/plain',
  },
  {
    uri: 'test://static-binary',
    name: 'static-binary',
    description: 'An image that never changes.',
    mimeType: 'image/png',
  },
  {
    uri: 'test://watched-resource',
    name: 'watched-resource',
    description: 'A text that may be subscribed to.',
    mimeType: 'text/plain',
  },
];

export const resourceTemplates = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'template',
    description: 'A document for each id.',
    mimeType: 'application/json',
  },
];

const TEMPLATE_URI = /^test:\/\/template\/([^/]+)\/data$/;

/** The contents behind a URI, or undefined when nothing is there. */
export function readResource(uri) {
  const templated = TEMPLATE_URI.exec(uri);
  if (templated) {
    const id = decodeURIComponent(templated[1]);
    return [{ uri, mimeType: 'application/json', text: JSON.stringify({ id }) }];
  }
  switch (uri) {
    case 'test://static-text':
      return [{ uri, mimeType: 'text/plain', text: 'The text that never changes.' }];
    case 'test://static-binary':
      return [{ uri, mimeType: 'image/png', blob: PNG }];
    case 'test://watched-resource':
      return [{ uri, mimeType: 'text/plain', text: 'The text somebody watches.' }];
    default:
      return undefined;
  }
}

const fromUser = (content) => ({ role: 'user', content });

export const prompts = [
  {
    name: 'test_simple_prompt',
    description: 'A prompt without arguments.',
    get: () => ({ messages: [fromUser(text('Say something simple.'))] }),
  },
  {
    name: 'test_prompt_with_arguments',
    description: 'A prompt that repeats its two arguments.',
    arguments: [
      { name: 'arg1', description: 'The first word.', required: true },
      { name: 'arg2', description: 'The second word.', required: true },
    ],
    get: ({ arg1, arg2 }) => ({ messages: [fromUser(text(`Compare ${arg1} with ${arg2}.`))] }),
  },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt that carries a resource.',
    arguments: [{ name: 'resourceUri', description: 'What to carry.', required: true }],
    get: ({ resourceUri }) => ({
      messages: [
        fromUser(embedded(resourceUri, 'text/plain', 'Carried in the prompt.')),
        fromUser(text('Sum up what you were given.')),
      ],
    }),
  },
  {
    name: 'test_prompt_with_image',
    description: 'A prompt that carries an image.',
    get: () => ({ messages: [fromUser(image), fromUser(text('Describe the image.'))] }),
  },
];

/** The prompt of this name, checked for its required arguments. */
export function promptNamed(list, name, given = {}) {
  const prompt = list.find((candidate) => candidate.name === name);
  if (!prompt) throw new RpcError(INVALID_PARAMS, `unknown prompt: ${name}`);
  for (const argument of prompt.arguments ?? []) {
    if (argument.required && given[argument.name] === undefined) {
      throw new RpcError(INVALID_PARAMS, `missing argument: ${argument.name}`);
    }
  }
  return prompt;
}

/** Completes the first argument of the second prompt; everything else has no suggestions. */
export function complete({ ref, argument }) {
  const known = ref.type === 'ref/prompt' && argument.name === 'arg1' ? ['paris', 'park', 'party'] : [];
  const values = known.filter((word) => word.startsWith(argument.value));
  return { completion: { values, total: values.length, hasMore: false } };
}

/** What tools/list and prompts/list may show: the members that are data. */
export const shown = ({ call, get, ...definition }) => definition;
