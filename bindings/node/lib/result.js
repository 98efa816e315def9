'use strict';
// Results are plain objects with one method more, which JSON.stringify calls.

/** For JSON, which has no BigInt: a decimal string, since a number would lose digits of a generation. */
const plain = (value) => (typeof value === 'bigint' ? value.toString() : value);

const plainOf = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, plain(value)]));

const METHOD = {
  value() {
    return plainOf(this);
  },
  writable: true,
  configurable: true,
};

/** The same object, ready for JSON. */
const result = (object) => Object.defineProperty(object, 'toJSON', METHOD);

module.exports = { plainOf, result };
