'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporary } = require('./programs/temporary.js');

const PAGE = path.join(__dirname, '../../../docs/node.md');

// Each example of the page is a program of its own; what it prints stands in its comments, after "prints ".
const snippets = [...fs.readFileSync(PAGE, 'utf8').matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);
assert.ok(snippets.length >= 4);

snippets.forEach((code, number) => {
  test(`docs/node.md, example ${number + 1}`, (t) => {
    const dir = temporary(t);
    fs.mkdirSync(path.join(dir, 'node_modules'));
    fs.symlinkSync(path.join(__dirname, '../'), path.join(dir, 'node_modules/steadfast'));
    fs.writeFileSync(path.join(dir, 'a.mjs'), code);
    const done = spawnSync(process.execPath, ['--preserve-symlinks', 'a.mjs'], { cwd: dir, encoding: 'utf8', timeout: 60_000 });
    assert.equal(done.status, 0, done.stderr);
    const promised = [...code.matchAll(/\/\/ prints (.*)/g)].map(([, line]) => `${line}\n`).join('');
    assert.ok(promised.length > 0);
    assert.equal(done.stdout, promised);
  });
});
