'use strict';
const os = require('node:os');
const { koffi, newReport, SaveEntry } = require('./native.js');
const { NOT_DURABLE, UNVERIFIED } = require('./constants.js');
const { SteadfastError, readReport } = require('./errors.js');
const { result } = require('./result.js');
const { now, later } = require('./calls.js');
const { inTurn, keyOf } = require('./queue.js');
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
        size: SIZE, path: koffi.address(bytes), data: koffi.address(content), len: content.length,
        status: 0, os_error: 0, generation: 0, step: 0, on_disk: 0,
      });
    });
  }

  result(i) {
    const report = readReport(koffi.decode(this.memory, i * SIZE, SaveEntry));
    const { status } = report;
    const path = this.given[i].text;
    report.message += `: ${path}`;
    if (status < 0) return result({ path, error: new SteadfastError(status, report, path) });
    return result({ path, durable: status !== NOT_DURABLE, verified: status !== UNVERIFIED, generation: report.generation, report });
  }

  results(status, rawReport) {
    const results = this.given.map((_, i) => this.result(i));
    // Refused whole: none of them was looked at.
    if (status < 0 && results.every(({ error }) => error?.status === -os.constants.errno.ECANCELED)) {
      throw new SteadfastError(status, readReport(rawReport), this.given[0].text);
    }
    return results;
  }

  close() {
    koffi.free(this.memory);
    this.given = null;
  }
}

async function saveBatch(list, options) {
  const how = saveOptions(options);
  const context = toContext(options);
  // Copies, for the reason that save() gives.
  const entries = new Entries(list, true);
  try {
    if (entries.given.length === 0) return [];
    const report = newReport();
    const keys = entries.given.map(({ bytes }) => keyOf(options?.context, bytes));
    const save = () => later('state_save_batch', context, entries.memory, entries.given.length, how, report);
    return entries.results(await inTurn(keys, save), report);
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
