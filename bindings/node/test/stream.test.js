'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Readable } = require('node:stream');
const { finished, pipeline } = require('node:stream/promises');
const { once } = require('node:events');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

const LARGE = Buffer.from(Array.from({ length: 3_000_001 }, (_, i) => (i * 31) % 251));

async function read(file, options) {
  const pieces = [];
  for await (const piece of steadfast.createReadStream(file, options)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('streams: what is written is saved at the end, and read', async (t) => {
  const file = path.join(temporary(t), 'state');
  const pieces = [];
  for (let at = 0; at < LARGE.length; at += 77_777) pieces.push(LARGE.subarray(at, at + 77_777));
  const out = steadfast.createWriteStream(file, { schema: 3, mode: 0o640 });
  out.on('pipe', () => assert.equal(fs.existsSync(file), false));
  await pipeline(Readable.from(pieces), out);
  assert.equal(out.saved.durable, true);
  assert.equal(out.saved.generation, 1n);
  const state = await steadfast.load(file);
  assert.ok(state.data.equals(LARGE));
  assert.equal(fs.statSync(file).mode & 0o777, 0o640);

  assert.ok((await read(file, { schema: 3 })).equals(LARGE));
  assert.ok((await read(file, { start: 1_048_570, end: 1_048_585 })).equals(LARGE.subarray(1_048_570, 1_048_586)));
  assert.equal((await read(file, { start: LARGE.length })).length, 0);
  assert.equal((await read(file, { start: LARGE.length + 10 })).length, 0);
  const source = steadfast.createReadStream(file);
  await once(source, 'ready');
  const { length, generation, schema, sha256, recovered } = source.state;
  assert.deepEqual([length, generation, schema, sha256, recovered], [LARGE.length, 1n, 3, state.sha256, false]);
  source.destroy();
  await once(source, 'close');
});

test('streams: text, nothing, and many small writes', async (t) => {
  const file = path.join(temporary(t), 'state');
  const out = steadfast.createWriteStream(file);
  for (let i = 0; i < 10_000; i++) out.write(`${i}\n`);
  out.end('zwölf');
  await once(out, 'close');
  assert.ok((await steadfast.load(file)).data.toString().endsWith('9999\nzwölf'));
  await pipeline(Readable.from([]), steadfast.createWriteStream(file));
  assert.equal((await steadfast.load(file)).data.length, 0);
  assert.equal((await read(file)).length, 0);
});

test('streams: an error on the way gives the new state up', async (t) => {
  const directory = temporary(t);
  const file = path.join(directory, 'state');
  steadfast.saveSync(file, 'old');
  async function* half() {
    yield LARGE;
    throw new Error('on the way');
  }
  await assert.rejects(pipeline(half, steadfast.createWriteStream(file)), { message: 'on the way' });
  const destroyed = steadfast.createWriteStream(file);
  destroyed.write(LARGE);
  destroyed.destroy();
  await once(destroyed, 'close');
  const controller = new AbortController();
  const aborted = steadfast.createWriteStream(file, { signal: controller.signal });
  aborted.write(LARGE);
  controller.abort();
  await assert.rejects(once(aborted, 'close'), { code: 'ABORT_ERR' });
  await new Promise((resolve) => (aborted.closed ? resolve() : aborted.on('close', resolve)));
  assert.equal(steadfast.loadSync(file).data.toString(), 'old');
  assert.deepEqual(fs.readdirSync(directory), ['state']);
});

test('streams: errors of the library', async (t) => {
  const directory = temporary(t);
  const file = path.join(directory, 'state');
  const into = (options, data = 'x') => pipeline(Readable.from([data]), steadfast.createWriteStream(options.path ?? file, options.how));
  steadfast.saveSync(file, 'old');
  await assert.rejects(into({ how: { ifGeneration: 9 } }), { code: 'STEADFAST_E_CONFLICT' });
  await assert.rejects(into({ path: path.join(directory, 'none', 'state') }), { code: 'ENOENT' });
  // The first write is the room for the header.
  await using_(new steadfast.FailingContext({ call: 'write', nth: 2, errno: 28 }), async (context) => {
    await assert.rejects(into({ how: { context } }), { code: 'ENOSPC' });
  });
  await assert.rejects(read(path.join(directory, 'none')), { code: 'ENOENT' });
  await assert.rejects(read(file, { maxLength: 2 }), { code: 'STEADFAST_E_TOO_LARGE' });
  assert.throws(() => steadfast.createWriteStream(file, { unknown: true }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => steadfast.createReadStream('a\0b'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => steadfast.createReadStream(file, { start: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.equal(steadfast.loadSync(file).data.toString(), 'old');
});

async function using_(resource, work) {
  try {
    await work(resource);
  } finally {
    resource.close();
  }
}

test('streams: a file that is changed meanwhile', async (t) => {
  const file = path.join(temporary(t), 'state');
  steadfast.saveSync(file, LARGE);
  const source = steadfast.createReadStream(file, { start: 2_500_000 });
  await once(source, 'ready');
  const changed = fs.openSync(file, 'r+');
  fs.writeSync(changed, '!', 256 + 2_900_000);
  fs.closeSync(changed);
  await assert.rejects(async () => {
    for await (const piece of source) assert.ok(piece.length > 0);
  }, { code: 'STEADFAST_E_DIGEST' });
  await assert.rejects(read(file), { code: 'STEADFAST_E_DIGEST' });
});

test('streams: a reader that falls back', async (t) => {
  const file = path.join(temporary(t), 'state');
  steadfast.saveSync(file, 'one');
  steadfast.saveSync(file, 'two', { keepPrevious: true });
  fs.truncateSync(file, 100);
  const source = steadfast.createReadStream(file, { recover: true });
  assert.equal((await source.toArray()).join(''), 'one');
  assert.equal(source.state.recovered, true);
});

test('streams: plain files', async (t) => {
  const file = path.join(temporary(t), 'it.json');
  const save = async (text, options) => {
    const out = steadfast.createWriteStream(file, options);
    out.end(text);
    await finished(out);
    return out.saved;
  };
  const readPlain = async (options) => {
    const source = steadfast.createReadStream(file, { plain: true, ...options });
    const text = (await source.toArray()).join('');
    return [text, source.state.verified, source.state.changed, source.state.recovered];
  };
  fs.writeFileSync(file, 'anybody\'s');
  assert.deepEqual(await readPlain(), ['anybody\'s', false, false, false]);
  await assert.rejects(readPlain({ verified: true }), { code: 'STEADFAST_E_UNVERIFIED' });
  await assert.rejects(save('x', { inPlace: true }), { code: 'EINVAL' });
  const saved = await save('{"a": 1}', { plain: true });
  assert.equal(saved.durable, true);
  assert.equal(fs.readFileSync(file, 'utf8'), '{"a": 1}');
  if (!saved.verified) {
    t.skip('no extended attributes here');
    return;
  }
  assert.deepEqual(await readPlain({ verified: true }), ['{"a": 1}', true, false, false]);
  fs.writeFileSync(file, '{"a": 2}');
  fs.utimesSync(file, 0, 0);
  assert.deepEqual(await readPlain(), ['{"a": 2}', false, true, false]);
});
