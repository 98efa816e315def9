'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { once } = require('node:events');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

const throughJson = (value) => JSON.parse(JSON.stringify(value));

test('every result becomes JSON: a BigInt is a string, and the rest is as it was', async (t) => {
  const dir = temporary(t);
  const file = path.join(dir, 'state');
  const out = steadfast.createWriteStream(file);
  out.end('x');
  await once(out, 'close');
  const input = steadfast.createReadStream(file);
  await once(input, 'ready');
  input.destroy();
  const results = {
    streamed: out.saved,
    read: input.state,
    saved: await steadfast.save(file, 'x'),
    batch: (await steadfast.saveBatch([{ path: file, data: 'x' }]))[0],
    loaded: await steadfast.load(file),
    into: await steadfast.loadInto(file, Buffer.alloc(1)),
    removed: await steadfast.remove(file),
  };
  const generations = Object.fromEntries(Object.entries(results).map(([name, result]) => [name, throughJson(result).generation]));
  assert.deepEqual(generations, { streamed: '1', read: '1', saved: '2', batch: '3', loaded: '3', into: '3', removed: '3' });
  for (const [name, result] of Object.entries(results)) {
    assert.equal(throughJson(result).report.generation, generations[name], name);
    assert.deepEqual(Object.keys(throughJson(result)), Object.keys(result), name);
    assert.equal(typeof result.generation, 'bigint', name);
  }
  assert.match(throughJson(results.loaded).savedAtNs, /^\d{19}$/);
  assert.equal(throughJson(results.saved).durable, true);
  assert.deepEqual(results.saved, { ...results.saved });
  assert.equal(throughJson(await steadfast.inspect(file)).verdict, 'absent');
});

test('errors become JSON, with their message', async (t) => {
  const dir = temporary(t);
  const file = path.join(dir, 'state');
  const thrown = await steadfast.load(file).catch((error) => error);
  const { name, message, code, errno, path: where, report } = throughJson(thrown);
  assert.deepEqual({ name, code, errno, where }, { name: 'SteadfastError', code: 'ENOENT', errno: -2, where: file });
  assert.equal(message, thrown.message);
  assert.equal(report.generation, '0');
  const [, failed] = await steadfast.saveBatch([{ path: file, data: '' }, { path: '', data: '' }]);
  assert.equal(throughJson(failed).error.code, 'EINVAL');
  await steadfast.save(file, 'long');
  const small = await steadfast.loadInto(file, Buffer.alloc(1)).catch((error) => error);
  assert.equal(throughJson(small).length, 4);
  assert.throws(() => new steadfast.Context({ beneath: true }), (error) => throughJson(error).report.generation === '0');
});
