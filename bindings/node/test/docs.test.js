'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporary } = require('./programs/temporary.js');

const snippetsOf = (page) =>
  [...fs.readFileSync(path.join(__dirname, '../../../docs', page), 'utf8').matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);

// A program in a directory of its own: what it prints.
function run(dir, code) {
  fs.mkdirSync(path.join(dir, 'node_modules'));
  fs.symlinkSync(path.join(__dirname, '../'), path.join(dir, 'node_modules/steadfast'));
  fs.writeFileSync(path.join(dir, 'a.mjs'), code);
  const done = spawnSync(process.execPath, ['--preserve-symlinks', 'a.mjs'], { cwd: dir, encoding: 'utf8', timeout: 60_000 });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

// Each example of docs/node.md is a program; what it prints stands in its comments, after "prints ".
const snippets = snippetsOf('node.md');
assert.ok(snippets.length >= 4);

snippets.forEach((code, number) => {
  test(`docs/node.md, example ${number + 1}`, (t) => {
    const printed = run(temporary(t), code);
    const promised = [...code.matchAll(/\/\/ prints (.*)/g)].map(([, line]) => `${line}\n`).join('');
    assert.ok(promised.length > 0);
    assert.equal(printed, promised);
  });
});

test('docs/moving.md', (t) => {
  const dir = temporary(t);
  const [code, ...others] = snippetsOf('moving.md');
  assert.equal(others.length, 0);
  const before = "import { save } from 'steadfast';\nconst path = 'it', data = 'some text';\n";
  assert.match(run(dir, `${before}${code}console.log(typeof generation)`), /^bigint|^number/);
  assert.equal(fs.readFileSync(path.join(dir, 'it'), 'utf8'), 'some text');
});
