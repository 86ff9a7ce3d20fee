// A tour of the sign-in, consent and account pages in Chromium: each way through them, in light, dark and on a phone,
// with and without script. Pictures go to the folder named by the second argument.

import assert from 'node:assert/strict';
import { launch } from '../clients/node/chromium.mjs';
import { Client, clientName } from './client.mjs';

const [mcp, folder] = process.argv.slice(2);
const password = 'input[name=password]';
const approve = 'button[name=decision][value=approve]';
const deny = 'button[name=decision][value=deny]';
const scopes = 'input[name=scope]';
const workspaces = 'input[name=workspace]';
const account = new URL('/account', new URL((await (await fetch(new URL('/.well-known/oauth-protected-resource/mcp', mcp))).json()).authorization_servers[0])).href;

const looks = {
  dark: { colorScheme: 'dark', viewport: { height: 800, width: 1280 } },
  light: { colorScheme: 'light', viewport: { height: 800, width: 1280 } },
  phone: { colorScheme: 'light', deviceScaleFactor: 2, hasTouch: true, isMobile: true, viewport: { height: 844, width: 390 } },
};

const client = await Client.start(mcp);
const browser = await launch();
let passed = 0;
let failed = 0;

for (const look of Object.keys(looks)) {
  await stop(`${look}: sign in and approve`, looks[look], async (tab) => {
    await tab.goto(client.authorization());
    await wellMade(tab, `sign-in-${look}`);
    await signIn(tab);
    await wellMade(tab, `consent-${look}`);
    const text = await tab.locator('body').innerText();
    assert(text.includes(clientName), 'the client name is not shown as text');
    assert(text.includes('127.0.0.1'), 'the redirect host is not shown');
    const asked = await values(tab, scopes);
    await tab.click(approve);
    const granted = await client.redeem(client.answer(await back(tab)).code);
    assert.deepEqual(granted.scope, asked.sort());
  });
}

for (const look of Object.keys(looks)) {
  await stop(`${look}: see the app, make a key, use it, revoke it`, { ...looks[look], permissions: ['clipboard-read', 'clipboard-write'] }, async (tab) => {
    await tab.goto(client.authorization());
    await signIn(tab);
    await tab.click(approve);
    await client.redeem(client.answer(await back(tab)).code);
    await tab.goto(account);
    await wellMade(tab, `account-app-${look}`);
    assert((await tab.locator('body').innerText()).includes(clientName), 'the app is not listed');
    await tab.locator('summary').first().click();

    await tab.click('text=New key');
    await wellMade(tab, `key-form-${look}`);
    assert.deepEqual(await values(tab, 'input[name=access]:checked'), ['read'], 'a key reads only unless more is asked for');
    await tab.check('input[name=access][value=chosen]');
    await tab.locator(scopes).first().check();
    await wellMade(tab, `key-form-chosen-${look}`);
    await tab.check('input[name=access][value=read]');
    await tab.fill('input[name=name]', 'Nightly report');
    await tab.locator(workspaces).first().check();
    await tab.click('text=Make the key');
    await wellMade(tab, `key-secret-${look}`);
    const key = await tab.locator('#secret').innerText();
    await tab.click('[data-copy]');
    assert.equal(await tab.evaluate(() => navigator.clipboard.readText()), key, 'the button copies the key');
    assert.equal(await call(key), 200);

    await tab.click('text=I have copied it');
    await tab.reload();
    await wellMade(tab, `account-${look}`);
    assert(!(await tab.content()).includes(key), 'the key is shown again');
    await tab.locator('[aria-labelledby=keys] >> text=Revoke').first().click();
    await wellMade(tab, `confirm-${look}`);
    await tab.click('text=Revoke the key');
    await wellMade(tab, `account-done-${look}`);
    assert.equal(await call(key), 401);

    await tab.locator('[aria-labelledby=apps] >> text=/^Disconnect/').first().click();
    await tab.click('main button');
    await wellMade(tab, `account-empty-${look}`);
    await tab.click('text=Sign out >> nth=0');
    await wellMade(tab, `signed-out-${look}`);
    await tab.goto(account);
    await wellMade(tab, `sign-in-account-${look}`);
    await signIn(tab);
    assert((await tab.locator('h1').innerText()) === 'Your account', 'signing in does not lead to the account');
  });
}

for (const [turn, look] of Object.keys(looks).entries()) {
  await stop(`${look}: change the password, sign out everywhere`, looks[look], async (tab) => {
    const [old, next] = [turn, turn + 1].map((n) => (n ? `another good password ${n}` : process.env.PASSWORD));
    await tab.goto(account);
    await signIn(tab, old, process.env.OWNER);
    await tab.click('text=Change password');
    await wellMade(tab, `password-${look}`);
    await tab.fill('input[name=current]', 'not the password');
    await tab.fill('input[name=new]', next);
    await tab.fill('input[name=again]', next);
    await tab.click('main button');
    await tab.locator('[role=alert]').waitFor();
    await wellMade(tab, `password-wrong-${look}`, { mayFail: true });
    assert.equal(await tab.inputValue('input[name=new]'), '', 'a password is given back');
    await tab.fill('input[name=current]', old);
    await tab.fill('input[name=new]', next);
    await tab.fill('input[name=again]', next);
    await tab.press('input[name=again]', 'Enter');
    await tab.locator('[role=status]').waitFor();
    await wellMade(tab, `password-changed-${look}`);

    await tab.click('text=Sign out everywhere');
    await wellMade(tab, `sign-out-everywhere-${look}`);
    await tab.click('main button');
    await tab.locator('h1', { hasText: 'Signed out' }).waitFor();
    await wellMade(tab, `signed-out-everywhere-${look}`);
    await tab.goto(account);
    assert.equal(await tab.locator(password).count(), 1, 'somebody is still signed in');
    await signIn(tab, next, process.env.OWNER);
    assert.equal(await tab.locator('h1').innerText(), 'Your account', 'the new password does not sign in');
  });
}

await stop('a key is made and rotated without script', { ...looks.light, javaScriptEnabled: false }, async (tab) => {
  await tab.goto(account);
  await signIn(tab);
  await tab.click('text=New key');
  await tab.fill('input[name=name]', 'Without script');
  await tab.locator(workspaces).first().check();
  await tab.click('text=Make the key');
  const first = await tab.locator('#secret').textContent();
  assert.equal(await tab.locator('[data-copy]').isVisible(), false, 'a button that does nothing is shown');
  await tab.click('text=I have copied it');
  await tab.locator('[aria-labelledby=keys] >> text=Rotate').first().click();
  await tab.click('text=Rotate the key');
  const second = await tab.locator('#secret').textContent();
  assert.deepEqual([await call(first), await call(second)], [401, 200]);
});

await stop('a wrong password is told and does not sign in', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab, 'not the password');
  assert.equal(await tab.locator(approve).count(), 0, 'signed in with a wrong password');
  assert.equal(await tab.inputValue(password), '', 'the password is given back');
  await wellMade(tab, 'sign-in-wrong');
  await signIn(tab);
  assert.equal(await tab.locator(approve).count(), 1, 'the right password no longer works');
});

await stop('deny goes back as access_denied', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab);
  await tab.click(deny);
  const answer = client.answer(await back(tab));
  assert.equal(answer.error, 'access_denied');
  assert.equal(answer.code, undefined);
});

await stop('fewer scopes are granted than asked', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab);
  const [kept] = await only(tab, scopes, 0);
  await picture(tab, 'consent-fewer-scopes');
  await tab.click(approve);
  const granted = await client.redeem(client.answer(await back(tab)).code);
  assert.deepEqual(granted.scope, [kept]);
});

await stop('another workspace is chosen', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab);
  const offered = await tab.locator(workspaces).count();
  assert(offered >= 2, `${offered} workspaces are offered`);
  for (const index of [1, 0]) {
    const chosen = await only(tab, workspaces, index);
    await picture(tab, `consent-workspace-${index + 1}`);
    await tab.click(approve);
    const granted = await client.redeem(client.answer(await back(tab)).code);
    assert.deepEqual(granted.workspaces, chosen);
    await tab.goto(client.authorization());
  }
});

await stop('a second client request asks for consent, not for the password', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab);
  await tab.goto(client.authorization());
  assert.equal(await tab.locator(password).count(), 0, 'the password is asked again');
  await tab.click(approve);
  assert(client.answer(await back(tab)).code, 'no code');
});

await stop('everything works without script', { ...looks.light, javaScriptEnabled: false }, async (tab) => {
  await tab.goto(client.authorization());
  await signIn(tab);
  await tab.click(approve);
  assert(client.answer(await back(tab)).code, 'no code');
});

await stop('an answer is posted by itself', looks.light, async (tab) => {
  await tab.goto(client.authorization({ response_mode: 'form_post' }));
  await signIn(tab);
  await tab.click(approve);
  const at = await back(tab);
  assert.equal(new URL(at).search, '', 'the answer is in the address');
  await client.redeem(client.answer(at).code);
});

for (const look of Object.keys(looks)) {
  await stop(`${look}: an answer is posted by a button where there is no script`, { ...looks[look], javaScriptEnabled: false }, async (tab) => {
    await tab.goto(client.authorization({ response_mode: 'form_post' }));
    await signIn(tab);
    await tab.click(approve);
    await tab.locator('h1', { hasText: 'Going back' }).waitFor();
    await picture(tab, `form-post-${look}`);
    await tab.click('main button');
    await client.redeem(client.answer(await back(tab)).code);
  });
}

await stop('everything works from the keyboard', looks.light, async (tab) => {
  await tab.goto(client.authorization());
  await tab.focus('input[name=username]');
  await tab.keyboard.type(process.env.USERNAME);
  await tab.keyboard.press('Tab');
  await focused(tab, password);
  await tab.keyboard.type(process.env.PASSWORD);
  await tab.keyboard.press('Enter');
  await tab.locator(approve).waitFor();
  await focused(tab, approve);
  await tab.keyboard.press('Enter');
  assert(client.answer(await back(tab)).code, 'no code');
});

await stop('an unknown client is a page, not a redirect', looks.light, async (tab) => {
  const answer = await tab.goto(client.authorization({ client_id: 'nobody' }));
  assert.equal(answer.status(), 400);
  await wellMade(tab, 'unknown-client', { mayFail: true });
});

await stop('an unregistered redirect is a page, not a redirect', looks.dark, async (tab) => {
  const answer = await tab.goto(client.authorization({ redirect_uri: 'https://elsewhere.example/callback' }));
  assert.equal(answer.status(), 400);
  await wellMade(tab, 'unknown-redirect', { mayFail: true });
});

await browser.close();
client.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;

/** One stop of the tour, in a browser profile of its own; what a page complains of in the console fails it. */
async function stop(name, look, visit) {
  const context = await browser.newContext(look);
  const tab = await context.newPage();
  tab.setDefaultTimeout(10_000);
  tab.complaints = [];
  tab.on('console', (message) => message.type() === 'error' && tab.complaints.push(message.text()));
  tab.on('pageerror', (error) => tab.complaints.push(error.message));
  try {
    await visit(tab);
    assert.deepEqual(tab.complaints, []);
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${error.message}\n      at ${tab.url()}`);
    await picture(tab, `failed-${failed}`).catch(() => {});
  } finally {
    await context.close();
  }
}

/** The status of a tool call with an API key. */
async function call(key) {
  const response = await fetch(mcp, {
    body: JSON.stringify({ id: 1, jsonrpc: '2.0', method: 'tools/call', params: { arguments: {}, name: 'list_contacts' } }),
    headers: { accept: 'application/json, text/event-stream', authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    method: 'POST',
  });
  await response.text();
  return response.status;
}

async function signIn(tab, secret = process.env.PASSWORD, name = process.env.USERNAME) {
  await tab.fill('input[name=username]', name);
  await tab.fill(password, secret);
  await Promise.all([tab.waitForEvent('load'), tab.press(password, 'Enter')]);
  // A refusal is an error status, which the console repeats; it is expected here.
  if (name === process.env.USERNAME && secret !== process.env.PASSWORD) tab.complaints.length = 0;
}

/** The URL the browser was sent back to. */
async function back(tab) {
  await tab.waitForURL((url) => url.href.startsWith(client.redirectUri));
  return tab.url();
}

/** The values of the inputs that a selector finds. */
function values(tab, selector) {
  return tab.locator(selector).evaluateAll((inputs) => inputs.map((input) => input.value));
}

/** Leaves only one choice ticked; gives its value in a list. */
async function only(tab, selector, index) {
  const inputs = await tab.locator(selector).all();
  await inputs[index].check();
  for (const [place, input] of inputs.entries()) {
    if (place !== index && (await input.getAttribute('type')) === 'checkbox') await input.uncheck();
  }
  return [await inputs[index].getAttribute('value')];
}

/** Presses Tab until the element has the focus. */
async function focused(tab, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await tab.locator(selector).evaluate((element) => element === document.activeElement)) return;
    await tab.keyboard.press('Tab');
  }
  throw new Error(`${selector} cannot be reached with Tab`);
}

/** What every page owes its reader; takes its picture. */
async function wellMade(tab, name, { mayFail = false } = {}) {
  if (mayFail) tab.complaints.length = 0;
  await picture(tab, name);
  const page = await tab.evaluate(() => ({
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    headings: document.querySelectorAll('h1').length,
    language: document.documentElement.lang,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    title: document.title,
    unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter((input) => !input.labels.length).map((input) => input.name),
    background: getComputedStyle(document.body).backgroundColor,
    behind: getComputedStyle(document.documentElement).backgroundColor,
  }));
  assert(page.title, 'the page has no title');
  assert(page.language, 'the page names no language');
  assert.equal(page.headings, 1, 'a page has one heading of the first level');
  assert.deepEqual(page.unlabelled, [], 'every field has a label');
  assert(page.overflow <= 0, `the page is ${page.overflow} pixels too wide`);
  const shade = [page.background, page.behind].find((colour) => !/, 0\)$|transparent/.test(colour)) ?? 'rgb(255, 255, 255)';
  const [red, green, blue] = shade.match(/[\d.]+/g).map(Number);
  if (/^rgb/.test(shade)) assert.equal((red + green + blue) / 3 < 128, page.dark, `the background is ${shade}`);
}

function picture(tab, name) {
  return tab.screenshot({ fullPage: true, path: `${folder}/${name}.png` });
}
