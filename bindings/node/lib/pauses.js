'use strict';
// The pauses between attempts, as the package `retry` makes them of its options.

/** `options` is a number of attempts, or an object with `retries` and the rest. */
function* pausesOf(options) {
  const given = typeof options === 'object' && options !== null ? options : { retries: options || 0 };
  const { retries = 10, factor = 2, minTimeout = 1000, maxTimeout = Infinity, randomize = false, forever = false, maxRetryTime = Infinity } = given;
  const until = performance.now() + maxRetryTime;
  for (let attempt = 0; attempt < retries || forever; attempt++) {
    if (performance.now() >= until) return;
    // For ever: the last pause again and again.
    const exponent = Math.min(attempt, Math.max(retries - 1, 0));
    const pause = Math.round((randomize ? Math.random() + 1 : 1) * Math.max(minTimeout, 1) * factor ** exponent);
    yield Math.min(pause, maxTimeout);
  }
}

module.exports = { pausesOf };
