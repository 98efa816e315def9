'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

function directories(t) {
  const top = temporary(t);
  for (const name of ['one', 'two']) fs.mkdirSync(path.join(top, name));
  return { top, one: path.join(top, 'one'), two: path.join(top, 'two') };
}

test('relative paths begin at the directory of the context', async (t) => {
  const { one } = directories(t);
  for (const at of [one, Buffer.from(one), pathToFileURL(one)]) {
    const context = new steadfast.Context({ at });
    await steadfast.save('state', 'x', { context });
    assert.equal(steadfast.loadSync(path.join(one, 'state')).data.toString(), 'x');
    assert.equal((await steadfast.load('../one/state', { context })).data.toString(), 'x');
    assert.equal((await steadfast.saveBatch([{ path: 'state', data: 'y' }], { context }))[0].durable, true);
    assert.equal((await steadfast.loadInto('state', Buffer.alloc(1), { context })).length, 1);
    const lock = await steadfast.acquire('lock', { context });
    assert.equal(steadfast.inspectSync(path.join(one, 'lock')).verdict, 'held');
    assert.equal((await steadfast.inspect('lock', { context })).verdict, 'held');
    context.close();
    await lock.release();
    await assert.rejects(steadfast.save('state', 'x', { context }), { code: 'ERR_INVALID_ARG_TYPE' });
  }
});

test('waiters of one name in two directories do not wait for each other', async (t) => {
  const { one, two } = directories(t);
  const [first, second] = [one, two].map((at) => new steadfast.Context({ at }));
  t.after(() => [first, second].forEach((context) => context.close()));
  const held = await steadfast.acquire('lock', { context: first });
  const waiting = steadfast.acquire('lock', { context: first });
  await (await steadfast.acquire('lock', { context: second, timeout: 5000 })).release();
  await held.release();
  await (await waiting).release();
});

test('beneath: nothing leads out', async (t) => {
  const { top, one } = directories(t);
  await steadfast.save(path.join(top, 'outside'), 'not ours');
  fs.symlinkSync('../outside', path.join(one, 'link'));
  const context = new steadfast.Context({ at: one, beneath: true });
  t.after(() => context.close());
  await steadfast.save('state', 'x', { context });
  for (const name of ['../outside', path.join(top, 'outside'), 'link']) {
    await assert.rejects(steadfast.load(name, { context }), { code: 'EXDEV' });
    await assert.rejects(steadfast.save(name, '', { context, followSymlink: true }), { code: 'EXDEV' });
  }
  await assert.rejects(steadfast.acquire('../lock', { context }), { code: 'EXDEV' });
  assert.equal(steadfast.loadSync(path.join(top, 'outside')).data.toString(), 'not ours');
});

test('contexts that are none', (t) => {
  const { top, one } = directories(t);
  fs.writeFileSync(path.join(one, 'file'), '');
  assert.throws(() => new steadfast.Context({ at: path.join(top, 'none') }), { code: 'ENOENT' });
  assert.throws(() => new steadfast.Context({ at: path.join(one, 'file') }), { code: 'ENOTDIR' });
  assert.throws(() => new steadfast.Context({ beneath: true }), { code: 'EINVAL', name: 'SteadfastError' });
  const without = new steadfast.Context({ ioUring: false });
  assert.equal(steadfast.saveSync(path.join(one, 'state'), 'x', { context: without }).durable, true);
  without[Symbol.dispose]();
  assert.throws(() => steadfast.saveSync(path.join(one, 'state'), 'x', { context: without }), { code: 'ERR_INVALID_ARG_TYPE' });
});
