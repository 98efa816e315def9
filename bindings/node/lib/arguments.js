'use strict';
// What callers give, turned into what C takes; whatever is wrong throws before any call.

const { fileURLToPath } = require('node:url');
const { LOAD, LOCK, SAVE } = require('./constants.js');
const native = require('./native.js');
const context = require('./context.js');

function invalid(ErrorType, code, message) {
  return Object.assign(new ErrorType(message), { code });
}

/** A path's bytes with the NUL that C wants, and the text for messages. */
function toPath(value) {
  if (value instanceof URL) value = fileURLToPath(value);
  let bytes;
  if (typeof value === 'string') bytes = Buffer.from(value);
  else if (value instanceof Uint8Array) bytes = Buffer.from(value);
  else throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'path must be a string, a Buffer, a Uint8Array or a file: URL');
  // C would silently stop there, and use another file.
  if (bytes.includes(0)) throw invalid(TypeError, 'ERR_INVALID_ARG_VALUE', 'path must not contain a NUL byte');
  return { bytes: Buffer.concat([bytes, Buffer.alloc(1)]), text: typeof value === 'string' ? value : bytes.toString() };
}

/** The caller's bytes, not copied: a string's are new anyway. */
function toBytes(data) {
  if (typeof data === 'string') return Buffer.from(data);
  if (Buffer.isBuffer(data)) return data;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'data must be a string, a Buffer, a typed array or an ArrayBuffer');
}

function toUnsigned(value, name, max) {
  if (value === undefined) return 0;
  const given = typeof value === 'bigint' || Number.isSafeInteger(value) ? BigInt(value) : -1n;
  if (given < 0n || given > max) throw invalid(RangeError, 'ERR_OUT_OF_RANGE', `${name} must be an integer from 0 to ${max}`);
  return max > 0xffffffffn ? given : Number(given);
}

const U32 = 0xffffffffn;
const U64 = 0xffffffffffffffffn;
const I63 = 0x7fffffffffffffffn;

const toGeneration = (value, name) => BigInt(toUnsigned(value, name, U64));

function flagsOf(options, table, others) {
  let flags = 0;
  for (const [name, value] of Object.entries(options)) {
    if (others.includes(name) || value === undefined) continue;
    if (!Object.hasOwn(table, name)) throw invalid(TypeError, 'ERR_INVALID_ARG_VALUE', `unknown option ${name}`);
    if (value) flags |= table[name];
  }
  return flags;
}

function saveOptions(options = {}) {
  const { ifGeneration, ...others } = SAVE;
  let flags = flagsOf(options, others, ['ifGeneration', 'mode', 'schema', 'timeout', 'context']);
  if (options.ifGeneration !== undefined) flags |= ifGeneration;
  return native.newSaveOptions({
    flags,
    mode: toUnsigned(options.mode, 'mode', U32),
    schema: toUnsigned(options.schema, 'schema', U32),
    expected_generation: toUnsigned(options.ifGeneration, 'ifGeneration', U64),
    // 0 is the library's default; so is leaving it out here, but no other number.
    timeout_ms: options.timeout === undefined ? 0 : milliseconds(toTimeout(options.timeout)) || 1,
  });
}

function loadOptions(options = {}) {
  let flags = flagsOf(options, { recover: LOAD.recover, plain: LOAD.plain, verified: LOAD.requireVerified }, ['schema', 'maxLength', 'context']);
  if (options.schema !== undefined) flags |= LOAD.requireSchema;
  return native.newLoadOptions({
    flags,
    schema: toUnsigned(options.schema, 'schema', U32),
    max_len: toUnsigned(options.maxLength, 'maxLength', U64),
  });
}

function lockOptions(options = {}) {
  return native.newLockOptions({
    flags: flagsOf(options, LOCK, ['mode', 'emptyGrace', 'timeout', 'signal', 'onLost', 'context']),
    mode: toUnsigned(options.mode, 'mode', U32),
    empty_grace_ms: toUnsigned(options.emptyGrace, 'emptyGrace', I63),
  });
}

/** Milliseconds, Infinity for ever. */
function toTimeout(value, otherwise) {
  if (value === undefined) return otherwise;
  if (typeof value !== 'number' || !(value >= 0)) {
    throw invalid(RangeError, 'ERR_OUT_OF_RANGE', 'timeout must be a number of milliseconds, 0 or more, or Infinity');
  }
  return value;
}

/** Whole ones, rounded up; -1 for ever. */
const milliseconds = (timeout) => (Number.isFinite(timeout) ? Math.ceil(timeout) : -1);

const toContext = (options) => context.pointerOf(options?.context);

module.exports = { toPath, toBytes, toGeneration, toTimeout, milliseconds, toContext, saveOptions, loadOptions, lockOptions };
