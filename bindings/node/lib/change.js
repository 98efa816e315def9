'use strict';
// Changing a state by what it is, and removing one.

const { NOT_DURABLE } = require('./constants.js');
const { newReport } = require('./native.js');
const { check } = require('./errors.js');
const { result } = require('./result.js');
const { now, later } = require('./calls.js');
const { holding, inTurn, keyOf } = require('./queue.js');
const { toPath, toContext, toTimeout, saveOptions } = require('./arguments.js');
const { save, saveSync, load, loadSync } = require('./state.js');

const DEFAULT_TIMEOUT = 10_000;

function optionsOf(options = {}) {
  const { recover, verified, ...saving } = options;
  if (saving.ifGeneration !== undefined) {
    throw Object.assign(new TypeError('update compares with what it has loaded: ifGeneration is not for you to set'), { code: 'ERR_INVALID_ARG_VALUE' });
  }
  const loading = { recover, verified, plain: options.plain, context: options.context };
  return { loading, saving, end: performance.now() + toTimeout(options.timeout, DEFAULT_TIMEOUT) };
}

const isMissing = (error) => error.code === 'ENOENT';
const wasChanged = (error, end) => error.code === 'STEADFAST_E_CONFLICT' && performance.now() < end;

async function update(path, change, options) {
  const how = optionsOf(options);
  const keys = [keyOf(options?.context, toPath(path).bytes)];
  return inTurn(keys, () => holding(keys, () => updateAlone(path, change, how)));
}

async function updateAlone(path, change, { loading, saving, end }) {
  for (;;) {
    const old = await load(path, loading).catch((error) => {
      if (!isMissing(error)) throw error;
      return null;
    });
    const data = await change(old);
    if (data === undefined) return undefined;
    try {
      return await save(path, data, { ...saving, ifGeneration: old?.generation ?? 0 });
    } catch (error) {
      if (!wasChanged(error, end)) throw error;
    }
  }
}

function loadIfThere(path, options) {
  try {
    return loadSync(path, options);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return null;
  }
}

function updateSync(path, change, options) {
  const { loading, saving, end } = optionsOf(options);
  for (;;) {
    const old = loadIfThere(path, loading);
    const data = change(old);
    if (data === undefined) return undefined;
    try {
      return saveSync(path, data, { ...saving, ifGeneration: old?.generation ?? 0 });
    } catch (error) {
      if (!wasChanged(error, end)) throw error;
    }
  }
}

function removed(status, rawReport, path) {
  const report = check(status, rawReport, path);
  return result({ durable: status !== NOT_DURABLE, generation: report.generation, report });
}

async function remove(path, options) {
  const { bytes, text } = toPath(path);
  const [context, how, report] = [toContext(options), saveOptions(options), newReport()];
  return removed(await inTurn([keyOf(options?.context, bytes)], () => later('state_remove', context, bytes, how, report)), report, text);
}

function removeSync(path, options) {
  const { bytes, text } = toPath(path);
  const report = newReport();
  return removed(now('state_remove', toContext(options), bytes, saveOptions(options), report), report, text);
}

module.exports = { update, updateSync, remove, removeSync };
