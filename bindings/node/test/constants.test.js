'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const constants = require('../lib/constants.js');

const HEADER = path.join(__dirname, '../../../include/steadfast.h');

test('the numbers are those of the header', () => {
  const header = Object.fromEntries(
    [...fs.readFileSync(HEADER, 'utf8').matchAll(/^ *STEADFAST_(\w+) = (-?\d+),?$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
  const upper = (name) => name.replace(/[A-Z]/g, '_$&').toUpperCase();
  let compared = 0;
  const same = (name, value) => {
    assert.equal(value, header[name], name);
    compared++;
  };
  for (const [prefix, table] of [['SAVE', constants.SAVE], ['LOAD', constants.LOAD], ['LOCK', constants.LOCK],
    ['CONTEXT', constants.CONTEXT]]) {
    for (const [name, value] of Object.entries(table)) same(`${prefix}_${upper(name)}`, value);
  }
  for (const [prefix, list] of [['LOCK', constants.VERDICTS], ['ON_DISK', constants.ON_DISK], ['SOURCE', constants.SOURCES],
    ['STEP', constants.STEPS], ['CALL', constants.CALLS]]) {
    list.forEach((name, number) => same(`${prefix}_${(name ?? 'none').toUpperCase()}`, number));
  }
  for (const name of ['NOT_DURABLE', 'RECOVERED', 'UNVERIFIED', 'CHANGED', 'E_LOCKED', 'E_TOO_LARGE']) same(name, constants[name]);
  // Whatever the library has more of is missing here.
  const of = (prefix) => Object.keys(header).filter((name) => name.startsWith(prefix)).length;
  assert.equal(of('STEP_'), constants.STEPS.length);
  assert.equal(of('CALL_'), constants.CALLS.length);
  assert.equal(of('SAVE_'), Object.keys(constants.SAVE).length);
  assert.equal(of('LOAD_'), Object.keys(constants.LOAD).length);
  assert.equal(of('CONTEXT_'), Object.keys(constants.CONTEXT).length);
  assert.equal(of('ON_DISK_'), constants.ON_DISK.length);
  assert.ok(compared >= 80);
});
