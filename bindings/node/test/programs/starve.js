'use strict';
// 20 waiters, each for a lock of its own that is held, while the pool has four threads.
const fs = require('node:fs/promises');
const path = require('node:path');
const steadfast = require('../..');

const dir = process.argv[2];
const names = Array.from({ length: 20 }, (_, i) => path.join(dir, `lock-${i}`));

(async () => {
  const held = await Promise.all(names.map((name) => steadfast.acquire(name)));
  let taken = 0;
  const waiting = names.map(async (name) => {
    const lock = await steadfast.acquire(name);
    taken++;
    await lock.release();
  });
  let read = 0;
  let saved = 0;
  for (let i = 0; i < 40; i++) {
    const file = path.join(dir, `file-${i}`);
    await fs.writeFile(file, 'x');
    if ((await fs.readFile(file, 'utf8')) === 'x') read++;
    await steadfast.save(`${file}.state`, 'x', { noSync: true });
    if ((await steadfast.load(`${file}.state`)).data.toString() === 'x') saved++;
  }
  process.stdout.write(`fs ${read}, saves ${saved}, waiting ${20 - taken}; `);
  for (const lock of held) await lock.release();
  await Promise.all(waiting);
  process.stdout.write(`then locks ${taken}\n`);
})();
