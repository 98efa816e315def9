'use strict';
const { koffi, functions, newReport, SaveEntry } = require('./native.js');
const { NOT_DURABLE, E_SAVED_NOT_DURABLE, E_INDETERMINATE } = require('./constants.js');
const { SteadfastError, readReport } = require('./errors.js');
const { now, later } = require('./calls.js');
const { toPath, toBytes, toContext, saveOptions } = require('./arguments.js');

const SIZE = koffi.sizeof(SaveEntry);

/**
 * The entries in memory of C's: koffi itself marshals no more of an array than fits into a call's own memory. They point
 * into the Buffers, which this holds until it is closed.
 */
class Entries {
  constructor(entries, copied) {
    this.given = Array.from(entries, ({ path, data }) => {
      const { bytes, text } = toPath(path);
      const content = toBytes(data);
      return { bytes, text, content: copied && typeof data !== 'string' ? Buffer.from(content) : content };
    });
    this.memory = koffi.alloc(SaveEntry, Math.max(1, this.given.length));
    this.given.forEach(({ bytes, content }, i) => {
      koffi.encode(this.memory, i * SIZE, SaveEntry, {
        size: SIZE, path: koffi.address(bytes), data: koffi.address(content), len: content.length, status: 0, os_error: 0, generation: 0,
      });
    });
  }

  result(i) {
    const { status, os_error: osError, generation } = koffi.decode(this.memory, i * SIZE, SaveEntry);
    const path = this.given[i].text;
    const report = {
      status, osError, step: null, onDisk: onDiskOf(status), generation: BigInt(generation), pid: 0,
      message: `${functions.status_message(status)}: ${path}`,
    };
    if (status < 0) return { path, error: new SteadfastError(status, report, path) };
    return { path, durable: status !== NOT_DURABLE, generation: report.generation, report };
  }

  results(status, rawReport) {
    const report = readReport(rawReport);
    // None of them was looked at.
    if (status < 0 && (report.step === 'arguments' || report.step === 'allocate')) {
      throw new SteadfastError(status, report, this.given[0].text);
    }
    return this.given.map((_, i) => this.result(i));
  }

  close() {
    koffi.free(this.memory);
    this.given = null;
  }
}

function onDiskOf(status) {
  if (status === 0) return 'new';
  return status > 0 || status === E_SAVED_NOT_DURABLE || status === E_INDETERMINATE ? 'either' : 'old';
}

async function saveBatch(list, options) {
  const how = saveOptions(options);
  const context = toContext(options);
  // Copies, for the reason that save() gives.
  const entries = new Entries(list, true);
  try {
    if (entries.given.length === 0) return [];
    const report = newReport();
    return entries.results(await later('state_save_batch', context, entries.memory, entries.given.length, how, report), report);
  } finally {
    entries.close();
  }
}

function saveBatchSync(list, options) {
  const how = saveOptions(options);
  const context = toContext(options);
  const entries = new Entries(list, false);
  try {
    if (entries.given.length === 0) return [];
    const report = newReport();
    return entries.results(now('state_save_batch', context, entries.memory, entries.given.length, how, report), report);
  } finally {
    entries.close();
  }
}

module.exports = { saveBatch, saveBatchSync };
