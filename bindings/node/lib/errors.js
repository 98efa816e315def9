'use strict';
const { functions } = require('./native.js');
const { ON_DISK, STEPS, VERDICTS } = require('./constants.js');
const { plainOf, result } = require('./result.js');

/** What a call came to, in JavaScript's terms; an entry of a batch has neither `pid` nor `message`. */
function readReport(raw) {
  return result({
    status: raw.status,
    osError: raw.os_error,
    step: STEPS[raw.step] ?? null,
    onDisk: ON_DISK[raw.on_disk] ?? 'unknown',
    generation: BigInt(raw.generation),
    pid: Number(raw.pid ?? 0),
    message: raw.message ?? functions.status_message(raw.status),
  });
}

/** "STEADFAST_E_DIGEST" or "ENOENT". */
const nameOf = (status) => functions.status_name(status);

class SteadfastError extends Error {
  constructor(status, report, path) {
    const code = nameOf(status);
    super(`${code}: ${report.message}`);
    this.name = 'SteadfastError';
    this.code = code;
    // Negated, as in Node's own errors; 0 when no system call failed.
    this.errno = report.osError ? -report.osError : status > -4096 ? status : 0;
    this.path = path;
    this.status = status;
    this.report = report;
  }

  toJSON() {
    return { message: this.message, ...plainOf(this) };
  }
}

class AbortError extends Error {
  constructor(signal, path) {
    super('The wait for the lock was aborted', { cause: signal.reason });
    this.name = 'AbortError';
    this.code = 'ABORT_ERR';
    this.path = path;
  }
}

/** The status when it is done, else the error. */
function check(status, rawReport, path) {
  const report = readReport(rawReport);
  if (status < 0) throw new SteadfastError(status, report, path);
  return report;
}

const verdictOf = (status) => VERDICTS[status] ?? 'undecided';

module.exports = { SteadfastError, AbortError, check, readReport, nameOf, verdictOf };
