// Two of the upstream's tools once more, as a REST interface that `rest.json` describes.

import { tools } from './catalogue.mjs';

const OPERATIONS = new Map([
  ['/rest/sentence', [200, 'test_simple_text']],
  ['/rest/failure', [422, 'test_error_handling']],
]);

/** The handler of a path, or undefined where nothing is. */
export function restEndpoint(path) {
  const operation = OPERATIONS.get(path);
  return operation && ((_request, response) => answer(response, ...operation));
}

function answer(response, status, name) {
  const { call } = tools.find((tool) => tool.name === name);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(call().content[0].text);
}
