'use strict';
const { koffi, functions, newReport, newState } = require('./native.js');
const { CHANGED, E_TOO_LARGE, NOT_DURABLE, RECOVERED, SOURCES, UNVERIFIED } = require('./constants.js');
const { check } = require('./errors.js');
const { result } = require('./result.js');
const { now, later } = require('./calls.js');
const { inTurn, keyOf } = require('./queue.js');
const { toPath, toBytes, toContext, saveOptions, loadOptions } = require('./arguments.js');

/** What a report says of a save. */
const savedOf = (report) =>
  result({
    durable: report.status !== NOT_DURABLE,
    verified: report.status !== UNVERIFIED,
    generation: report.generation,
    report,
  });

const saved = (status, rawReport, path) => savedOf(check(status, rawReport, path));

async function save(path, data, options) {
  const { bytes, text } = toPath(path);
  // A copy: the caller may go on writing into its own while a thread hashes and writes this.
  const content = typeof data === 'string' ? toBytes(data) : Buffer.from(toBytes(data));
  const [context, how, report] = [toContext(options), saveOptions(options), newReport()];
  const status = await inTurn([keyOf(options?.context, bytes)], () => later('state_save', context, bytes, content, content.length, how, report));
  return saved(status, report, text);
}

function saveSync(path, data, options) {
  const { bytes, text } = toPath(path);
  const content = toBytes(data);
  const report = newReport();
  const status = now('state_save', toContext(options), bytes, content, content.length, saveOptions(options), report);
  return saved(status, report, text);
}

// A view ends with the memory that it shows.
const copyOf = (pointer, length) => (length === 0 ? Buffer.alloc(0) : Buffer.from(new Uint8Array(koffi.view(pointer, length))));

/** What a load says of what it has loaded. */
const judgement = (status) => ({
  recovered: status === RECOVERED,
  verified: status !== UNVERIFIED && status !== CHANGED,
  changed: status === CHANGED,
});

/** The loaded state as JavaScript's; the library's is freed. */
function loaded(status, state, rawReport, path) {
  const report = check(status, rawReport, path);
  try {
    return result({
      data: copyOf(state.data, Number(state.len)),
      generation: report.generation,
      savedAt: new Date(Number(BigInt(state.saved_at_ns) / 1000000n)),
      savedAtNs: BigInt(state.saved_at_ns),
      schema: state.schema,
      source: SOURCES[state.source],
      sha256: Buffer.from(state.sha256).toString('hex'),
      ...judgement(status),
      report,
    });
  } finally {
    functions.state_free(state);
  }
}

async function load(path, options) {
  const { bytes, text } = toPath(path);
  const [state, report] = [newState(), newReport()];
  const status = await later('state_load', toContext(options), bytes, loadOptions(options), state, report);
  return loaded(status, state, report, text);
}

function loadSync(path, options) {
  const { bytes, text } = toPath(path);
  const [state, report] = [newState(), newReport()];
  const status = now('state_load', toContext(options), bytes, loadOptions(options), state, report);
  return loaded(status, state, report, text);
}

function intoOf(status, length, rawReport, path) {
  try {
    const report = check(status, rawReport, path);
    return result({ length: Number(length), generation: report.generation, ...judgement(status), report });
  } catch (error) {
    if (status === E_TOO_LARGE) error.length = Number(length);
    throw error;
  }
}

/** Without the view's own memory there would be nothing to load into. */
function toMemory(buffer) {
  if (!ArrayBuffer.isView(buffer)) throw Object.assign(new TypeError('buffer must be a Buffer or a typed array'), { code: 'ERR_INVALID_ARG_TYPE' });
  return toBytes(buffer);
}

async function loadInto(path, buffer, options) {
  const { bytes, text } = toPath(path);
  const memory = toMemory(buffer);
  const [length, report] = [[0], newReport()];
  const status = await later('state_load_into', toContext(options), bytes, loadOptions(options), memory, memory.length, length, report);
  return intoOf(status, length[0], report, text);
}

function loadIntoSync(path, buffer, options) {
  const { bytes, text } = toPath(path);
  const memory = toMemory(buffer);
  const [length, report] = [[0], newReport()];
  const status = now('state_load_into', toContext(options), bytes, loadOptions(options), memory, memory.length, length, report);
  return intoOf(status, length[0], report, text);
}

module.exports = { save, saveSync, load, loadSync, loadInto, loadIntoSync, savedOf, judgement };
