// A client that lives in a page: everything by `fetch` from another origin, in real Chromium, so CORS,
// cookies, form protection and the pages' own security policy are the browser's to judge.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { launch } from './chromium.mjs';
import { assert, control, done, tool, url } from './harness.mjs';

const page = await readFile(new URL('browser_page.html', import.meta.url));
const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(page);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await launch();
const tab = await browser.newPage();
const messages = [];
tab.on('console', (message) => messages.push(`${message.type()}: ${message.text()}`));
try {
  await tab.goto(origin);
  await tab.evaluate((mcp) => window.connect(mcp), url);
  await tab.fill('input[name=username]', process.env.USERNAME);
  await tab.fill('input[name=password]', process.env.PASSWORD);
  await tab.locator('form', { has: tab.locator('input[name=password]') }).locator('button').first().click();
  await tab.locator('button[name=decision][value=approve]').click();
  await tab.waitForURL(`${origin}/callback?**`);
  const steps = ['signed in', ...(await tab.evaluate(() => window.finish()))];
  const { tools } = await tab.evaluate(() => window.rpc('tools/list'));
  assert(tools.some(({ name }) => name === tool), `${tool} is not listed`);
  const call = async (era) => {
    const result = await tab.evaluate(([name, modern]) => window.rpc('tools/call', { arguments: {}, name }, modern), [tool, era]);
    assert(!result.isError && result.content.length, JSON.stringify(result));
    return tool;
  };
  steps.push(`${tools.length} tools`, await call(false), `${await call(true)} in the modern era`);
  const { seconds } = await (await fetch(`${control}/restart`)).json();
  steps.push(`restarted in ${seconds} s`, await call(false));
  steps.push(...(await tab.evaluate(() => window.renew())), await call(false));
  done(steps);
} catch (error) {
  throw new Error(`${error.message}\nat ${tab.url()}\n${await text(tab)}\n${messages.join('\n')}`);
} finally {
  await browser.close();
  server.close();
}

async function text(tab) {
  return tab.evaluate(() => document.body?.innerText.slice(0, 400)).catch(() => '');
}
