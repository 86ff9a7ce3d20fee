// Starts the system's Chromium without a screen.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A fresh browser; the caller closes it. */
export function launch() {
  const executablePath = places.find((place) => existsSync(place));
  if (!executablePath) throw new Error(`no Chromium at ${places.join(', ')}`);
  return chromium.launch({
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    executablePath,
    headless: true,
  });
}
