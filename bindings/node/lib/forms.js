'use strict';
// One sequence of steps in two forms: at once, and as a promise. A step is what a generator yields; it gets the value back.

const { promisify } = require('node:util');
const { later, now } = require('./calls.js');

async function asPromise(steps) {
  let step = steps.next();
  while (!step.done) {
    let value;
    try {
      value = await step.value;
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(value);
  }
  return step.value;
}

function atOnce(steps) {
  let step = steps.next();
  while (!step.done) step = steps.next(step.value);
  return step.value;
}

/** How steps call the library, and the file system `fs` by the name of its function without Sync. */
const promised = (fs) => ({ isSync: false, call: later, fs: (name, ...given) => promisify(fs[name])(...given) });
const immediate = (fs) => ({ isSync: true, call: now, fs: (name, ...given) => fs[`${name}Sync`](...given) });

module.exports = { asPromise, atOnce, promised, immediate };
