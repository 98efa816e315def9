'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

test('watch: each generation, and that there is none', async (t) => {
  const file = path.join(temporary(t), 'state');
  const seen = [];
  steadfast.saveSync(file, '1');
  for await (const generation of steadfast.watch(file)) {
    seen.push(generation);
    if (seen.length === 1) setTimeout(() => steadfast.saveSync(file, '2'), 20);
    else if (seen.length === 2) fs.unlinkSync(file);
    else break;
  }
  assert.deepEqual(seen, [1n, 2n, 0n]);
});

test('watch: a ConfigMap of Kubernetes', async (t) => {
  const directory = temporary(t);
  for (const version of ['..v1', '..v2']) {
    fs.mkdirSync(path.join(directory, version));
    steadfast.saveSync(path.join(directory, version, 'key'), version);
  }
  steadfast.saveSync(path.join(directory, '..v2', 'key'), 'again');
  fs.symlinkSync('..v1', path.join(directory, '..data'));
  fs.symlinkSync('..data/key', path.join(directory, 'key'));
  const generations = steadfast.watch(path.join(directory, 'key'));
  assert.equal((await generations.next()).value, 1n);
  const next = generations.next();
  fs.symlinkSync('..v2', path.join(directory, '..tmp'));
  fs.renameSync(path.join(directory, '..tmp'), path.join(directory, '..data'));
  assert.equal((await next).value, 2n);
  await generations.return();
});

test('watch: an abort, damage, wrong arguments', async (t) => {
  const file = path.join(temporary(t), 'state');
  await assert.rejects(steadfast.watch(file, { signal: AbortSignal.timeout(20) }).next(), { code: 'ABORT_ERR' });
  await assert.rejects(steadfast.watch(file, { known: -1 }).next(), { code: 'ERR_OUT_OF_RANGE' });
  steadfast.saveSync(file, '1');
  fs.truncateSync(file, 100);
  await assert.rejects(steadfast.watch(file).next(), { code: 'STEADFAST_E_TRUNCATED' });
});
