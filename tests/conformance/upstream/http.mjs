// The little of HTTP the SDKs leave to their host: reading a JSON body, answering JSON, and
// refusing hosts and origins that are not this machine.

const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);
const LARGEST_BODY = 4 * 1024 * 1024;

/** The parsed body of a request, or undefined when it is not JSON. */
export async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_BODY) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}

export function answerJson(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** Whether both Host and Origin, where sent, name this machine. */
export function isLocal({ headers }) {
  return names(`http://${headers.host}`) && (headers.origin === undefined || names(headers.origin));
}

function names(origin) {
  try {
    return LOCAL_NAMES.has(new URL(origin).hostname);
  } catch {
    return false;
  }
}
