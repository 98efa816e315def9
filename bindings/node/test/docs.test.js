'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporary } = require('./programs/temporary.js');

const textOf = (page) => fs.readFileSync(path.join(__dirname, '../../../docs', page), 'utf8');
const snippetsOf = (page) => [...textOf(page).matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);

// A program in a directory of its own: what it prints.
function run(dir, code) {
  fs.mkdirSync(path.join(dir, 'node_modules'));
  fs.symlinkSync(path.join(__dirname, '../'), path.join(dir, 'node_modules/steadfast'));
  fs.writeFileSync(path.join(dir, 'a.mjs'), code);
  const done = spawnSync(process.execPath, ['--preserve-symlinks', 'a.mjs'], { cwd: dir, encoding: 'utf8', timeout: 60_000 });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

// Each example of these pages is a program; what it prints stands in its comments, after "prints ".
for (const [page, least] of [['node.md', 4], ['npm-packages.md', 1]]) {
  const snippets = snippetsOf(page);
  assert.ok(snippets.length >= least);
  snippets.forEach((code, number) => {
    test(`docs/${page}, example ${number + 1}`, (t) => {
      const printed = run(temporary(t), code);
      const promised = [...code.matchAll(/\/\/ prints (.*)/g)].map(([, line]) => `${line}\n`).join('');
      assert.ok(promised.length > 0);
      assert.equal(printed, promised);
    });
  });
}

// What the rows use.
const BEFORE = `
import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { acquire, acquireSync, inspect, inspectSync, save, saveSync } from 'steadfast';
import lockfile from 'steadfast/compat/proper-lockfile';
import writeFileAtomic from 'steadfast/compat/write-file-atomic';
const [uid, gid] = [process.getuid(), process.getgid()];
`;

test('docs/npm-packages.md: both columns of the tables', (t) => {
  const rows = [...textOf('npm-packages.md').matchAll(/^\| `(.*)` \| `(.*)` \|$/gm)];
  assert.ok(rows.length >= 19);
  const dir = temporary(t);
  const calls = rows.flatMap(([, theirs, ours]) => [theirs, ours]);
  const programs = calls.map((call, number) => {
    const name = `at-${number}`;
    return `mkdirSync('${name}'); process.chdir('${name}'); writeFileSync('it', 'old'); symlinkSync('it', 'link');
      { ${call}
      ${call.includes('save(') || call.includes('Atomic(') ? "await save('it', '', { plain: true, ifGeneration: 9 }).catch(() => {}); // behind it" : ''}
      ${/'data'/.test(call) ? "assert.equal(readFileSync('it', 'utf8'), 'data');" : ''} }
      process.chdir('..');`;
  });
  assert.equal(run(dir, `${BEFORE}${programs.join('\n')}\nconsole.log('all');`), 'all\n');
});

test('docs/moving.md', (t) => {
  const dir = temporary(t);
  const [code, ...others] = snippetsOf('moving.md');
  assert.equal(others.length, 0);
  const before = "import { save } from 'steadfast';\nconst path = 'it', data = 'some text';\n";
  assert.match(run(dir, `${before}${code}console.log(typeof generation)`), /^bigint|^number/);
  assert.equal(fs.readFileSync(path.join(dir, 'it'), 'utf8'), 'some text');
});
