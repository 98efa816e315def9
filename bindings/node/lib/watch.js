'use strict';
// Watching a state. Node cannot poll a descriptor of the library's: a koffi thread waits, for a moment at a time, so that an
// abort is seen.

const { newReport } = require('./native.js');
const { check, AbortError } = require('./errors.js');
const { now, later } = require('./calls.js');
const { toPath, toContext, toGeneration, loadOptions } = require('./arguments.js');

const MOMENT = 250;
const ETIMEDOUT = -110;
const EINTR = -4;

async function* watch(path, options = {}) {
  const { known = 0, signal, recover, plain, context } = options;
  const { bytes, text } = toPath(path);
  let generation = toGeneration(known, 'known');
  const pointer = [null];
  const report = newReport();
  check(now('watch_open', toContext({ context }), bytes, loadOptions({ recover, plain }), pointer, report), report, text);
  try {
    for (;;) {
      if (signal?.aborted) throw new AbortError(signal, text);
      const raw = newReport();
      const status = await later('watch_wait', pointer[0], generation, MOMENT, raw);
      if (status === ETIMEDOUT || status === EINTR) continue;
      generation = check(status, raw, text).generation;
      yield generation;
    }
  } finally {
    now('watch_close', pointer[0]);
  }
}

module.exports = { watch };
