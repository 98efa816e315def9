'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporary } = require('./programs/temporary.js');

const HERE = path.join(__dirname, '..');
const { dependencies, scripts } = require('../package.json');
const TOOLS = path.dirname(path.dirname(require.resolve('koffi')));

function run(command, args, options) {
  const { NODE_PATH, STEADFAST_LIBRARY, ...env } = process.env;
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000, ...options, env: { ...env, ...options?.env } });
  assert.equal(done.status, 0, `${command} ${args.join(' ')}: ${done.error ?? ''}${done.stdout}${done.stderr}`);
  return done.stdout;
}

test('the packed package carries the library, installs offline without scripts, and works from import and require', (t) => {
  const dir = temporary(t);
  const archive = run('bash', [path.join(HERE, 'pack.sh'), process.env.STEADFAST_BUILD, dir]).trim();
  const content = run('tar', ['-tzf', path.join(dir, archive)]);
  assert.match(content, /^package\/native\/\w+-\w+\/libsteadfast\.so\.0$/m);
  assert.match(content, /^package\/README\.md$/m);
  assert.match(content, /^package\/LICENSE$/m);
  assert.doesNotMatch(content, /test|pack\.sh/);
  for (const step of ['preinstall', 'install', 'postinstall', 'prepare']) assert.equal(scripts[step], undefined);

  // koffi, the only dependency, is there already with its prebuilt part; npm may neither download nor run anything.
  const app = path.join(dir, 'app');
  fs.mkdirSync(path.join(app, 'node_modules'), { recursive: true });
  fs.writeFileSync(path.join(app, 'package.json'), '{"name": "app", "private": true}');
  for (const name of ['koffi', '@koromix']) fs.cpSync(path.join(TOOLS, name), path.join(app, 'node_modules', name), { recursive: true });
  assert.deepEqual(Object.keys(dependencies), ['koffi']);
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--omit=optional',
    path.join(dir, archive)], { cwd: app, env: { npm_config_cache: path.join(dir, 'cache') } });
  // npm took the prebuilt part out again: offline it cannot ask which of koffi's optional dependencies this is.
  for (const name of ['koffi', '@koromix']) fs.cpSync(path.join(TOOLS, name), path.join(app, 'node_modules', name), { recursive: true });

  fs.writeFileSync(path.join(app, 'a.cjs'), `
    const { saveSync, loadSync } = require('steadfast');
    saveSync('state', 'packed'); console.log(loadSync('state').data.toString());
    console.log(require('fs').readFileSync('/proc/self/maps', 'utf8').match(/\\S*libsteadfast\\S*/)[0]);`);
  const [said, mapped] = run(process.execPath, ['a.cjs'], { cwd: app }).split('\n');
  assert.equal(said, 'packed');
  assert.ok(mapped.startsWith(fs.realpathSync(path.join(app, 'node_modules/steadfast/native'))), mapped);
  fs.writeFileSync(path.join(app, 'a.mjs'), "import { load } from 'steadfast'; console.log((await load('state')).data.toString());");
  assert.equal(run(process.execPath, ['a.mjs'], { cwd: app }), 'packed\n');
});

test('the types: tsc --strict, from ESM and CommonJS; what they forbid is an error; `using` releases', (t) => {
  const dir = temporary(t);
  fs.mkdirSync(path.join(dir, 'node_modules'));
  fs.symlinkSync(HERE, path.join(dir, 'node_modules', 'steadfast'));
  for (const name of ['@types', 'undici-types']) fs.symlinkSync(path.join(TOOLS, name), path.join(dir, 'node_modules', name));
  for (const name of ['use.mts', 'use.cts']) fs.copyFileSync(path.join(__dirname, 'programs/use.ts'), path.join(dir, name));
  fs.writeFileSync(path.join(dir, 'whole.mts'), `
    import steadfast from 'steadfast';
    export const lock: Promise<steadfast.Lock> = steadfast.acquire('lock');`);
  fs.copyFileSync(path.join(__dirname, 'programs/using.ts'), path.join(dir, 'using.cts'));
  run(process.execPath, [require.resolve('typescript/lib/tsc.js'), '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022',
    '--lib', 'es2022,esnext.disposable', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', 'node',
    '--preserveSymlinks', 'use.mts', 'use.cts', 'using.cts', 'whole.mts'], { cwd: dir });
  const { STEADFAST_LIBRARY, NODE_PATH } = process.env;
  const flags = ['--preserve-symlinks'];
  assert.equal(run(process.execPath, [...flags, 'using.cjs', path.join(dir, 'lock')], { cwd: dir, env: { STEADFAST_LIBRARY, NODE_PATH } }),
    'held held absent\n');
});

test('every export has a type, and the reverse', () => {
  const declared = [...fs.readFileSync(path.join(HERE, 'index.d.ts'), 'utf8').matchAll(/^export (?:function|class|const) (\w+)/gm)];
  assert.deepEqual([...new Set(declared.map(([, name]) => name))].sort(), Object.keys(require('..')).sort());
});
