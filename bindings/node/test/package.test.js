'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporary } = require('./programs/temporary.js');

const HERE = path.join(__dirname, '..');
const { dependencies, optionalDependencies, scripts, version } = require('../package.json');
const { platformOf } = require('../lib/library.js');
const TOOLS = path.dirname(path.dirname(require.resolve('koffi')));

function run(command, args, options) {
  const { NODE_PATH, STEADFAST_LIBRARY, ...env } = process.env;
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000, ...options, env: { ...env, ...options?.env } });
  assert.equal(done.status, 0, `${command} ${args.join(' ')}: ${done.error ?? ''}${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** The archives that pack.sh makes: of the package, and of this platform's. */
const pack = (dir) => run('bash', [path.join(HERE, 'pack.sh'), process.env.STEADFAST_BUILD, dir]).trim().split('\n');

/** A program's directory with the archives installed: offline and without scripts. */
function install(dir, archives) {
  const app = path.join(dir, 'app');
  // koffi, the only dependency, is there already with its prebuilt part; npm may neither download nor run anything.
  const placeKoffi = () => {
    for (const name of ['koffi', '@koromix']) fs.cpSync(path.join(TOOLS, name), path.join(app, 'node_modules', name), { recursive: true });
  };
  fs.mkdirSync(path.join(app, 'node_modules'), { recursive: true });
  fs.writeFileSync(path.join(app, 'package.json'), '{"name": "app", "private": true}');
  placeKoffi();
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--omit=optional', ...archives],
    { cwd: app, env: { npm_config_cache: path.join(dir, 'cache') } });
  // npm took the prebuilt part out again: offline it cannot ask which of koffi's optional dependencies this is.
  placeKoffi();
  return app;
}

test('the packages: what is in them', (t) => {
  const dir = temporary(t);
  const [archive, ofPlatform] = pack(dir);
  const content = run('tar', ['-tzf', archive]);
  for (const file of ['README.md', 'LICENSE', 'index.mjs', 'lib/library.js', 'compat/write-file-atomic.js', 'compat/write-file-atomic.d.ts']) assert.ok(content.includes(`package/${file}\n`), file);
  assert.doesNotMatch(content, /test|\.sh$|libsteadfast/m);
  for (const step of ['preinstall', 'install', 'postinstall', 'prepare']) assert.equal(scripts[step], undefined);
  assert.deepEqual(Object.keys(dependencies), ['koffi']);

  const { glibcVersionRuntime } = process.report.getReport().header;
  const [kind, libc] = glibcVersionRuntime ? ['gnu', 'glibc'] : ['musl', 'musl'];
  const name = `steadfast-linux-${process.arch}-${kind}`;
  assert.equal(path.basename(ofPlatform), `${name}-${version}.tgz`);
  assert.equal(run('tar', ['-tzf', ofPlatform]).split('\n').sort().join(' ').trim(), 'package/LICENSE package/libsteadfast.so.0 package/package.json');
  run('tar', ['-xzf', ofPlatform, '-C', dir]);
  const about = JSON.parse(fs.readFileSync(path.join(dir, 'package/package.json'), 'utf8'));
  const { os, cpu, libc: wanted, license } = about;
  assert.deepEqual({ name: about.name, version: about.version, os, cpu, libc: wanted, license },
    { name, version, os: ['linux'], cpu: [process.arch], libc: [libc], license: 'MIT OR Apache-2.0' });
  assert.equal(optionalDependencies[name], version);
  assert.doesNotMatch(run('readelf', ['--wide', '--sections', path.join(dir, 'package/libsteadfast.so.0')]), /\.symtab/);
});

test('installed offline and without scripts, the package works from import and require', (t) => {
  const app = install(temporary(t), pack(temporary(t)));
  fs.writeFileSync(path.join(app, 'a.cjs'), `
    const { saveSync, loadSync } = require('steadfast');
    saveSync('state', 'packed'); console.log(loadSync('state').data.toString());
    console.log(require('fs').readFileSync('/proc/self/maps', 'utf8').match(/\\S*libsteadfast\\S*/)[0]);`);
  const [said, mapped] = run(process.execPath, ['a.cjs'], { cwd: app }).split('\n');
  assert.equal(said, 'packed');
  assert.ok(mapped.startsWith(`${fs.realpathSync(app)}/node_modules/steadfast-linux-${process.arch}-`), mapped);
  fs.writeFileSync(path.join(app, 'a.mjs'), "import { load } from 'steadfast'; console.log((await load('state')).data.toString());");
  assert.equal(run(process.execPath, ['a.mjs'], { cwd: app }), 'packed\n');
});

test('without the library the error says which package is missing, or that there is none', () => {
  const { NODE_PATH } = process.env;
  const load = (before) =>
    run(process.execPath, ['-e', `${before} try { require(${JSON.stringify(HERE)}); } catch (error) { console.log(error.code, error.message); }`], { env: { NODE_PATH } });
  const here = platformOf(process.platform, process.arch, fs.readFileSync('/proc/self/maps', 'latin1'));
  assert.match(load(''), new RegExp(`^ERR_STEADFAST_NO_LIBRARY .* for ${here}: its package steadfast-${here} is not installed.* --omit=optional`));
  // koffi first: it has no prebuilt part for such a machine either.
  assert.match(load("require('koffi'); Object.defineProperty(process, 'arch', { value: 'riscv64' });"),
    /^ERR_STEADFAST_NO_LIBRARY .* for linux-riscv64-gnu: there is a package only for linux-arm64-gnu, linux-arm64-musl, linux-x64-gnu, linux-x64-musl/);
});

test('the platform: the C library is the one that is loaded', () => {
  const line = (file) => `7f0000000000-7f0000001000 r-xp 00000000 fe:00 1234 ${file}\n`;
  assert.equal(platformOf('linux', 'x64', line('/usr/lib/x86_64-linux-gnu/libc.so.6')), 'linux-x64-gnu');
  assert.equal(platformOf('linux', 'arm64', `${line('/usr/bin/node')}${line('/lib/ld-musl-aarch64.so.1')}${line('[stack]')}`), 'linux-arm64-musl');
  assert.equal(platformOf('darwin', 'arm64', ''), 'darwin-arm64');
});

test('the types: tsc --strict, from ESM and CommonJS; what they forbid is an error; `using` releases', (t) => {
  const dir = temporary(t);
  fs.mkdirSync(path.join(dir, 'node_modules'));
  fs.symlinkSync(HERE, path.join(dir, 'node_modules', 'steadfast'));
  for (const name of ['@types', 'undici-types']) fs.symlinkSync(path.join(TOOLS, name), path.join(dir, 'node_modules', name));
  for (const name of ['use', 'compat']) {
    for (const kind of ['mts', 'cts']) fs.copyFileSync(path.join(__dirname, `programs/${name}.ts`), path.join(dir, `${name}.${kind}`));
  }
  fs.writeFileSync(path.join(dir, 'whole.mts'), `
    import steadfast from 'steadfast';
    export const lock: Promise<steadfast.Lock> = steadfast.acquire('lock');`);
  fs.copyFileSync(path.join(__dirname, 'programs/using.ts'), path.join(dir, 'using.cts'));
  run(process.execPath, [require.resolve('typescript/lib/tsc.js'), '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022',
    '--lib', 'es2022,esnext.disposable', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', 'node',
    '--preserveSymlinks', '--esModuleInterop', 'use.mts', 'use.cts', 'using.cts', 'whole.mts', 'compat.mts', 'compat.cts'], { cwd: dir });
  const { STEADFAST_LIBRARY, NODE_PATH } = process.env;
  const flags = ['--preserve-symlinks'];
  assert.equal(run(process.execPath, [...flags, 'using.cjs', path.join(dir, 'lock')], { cwd: dir, env: { STEADFAST_LIBRARY, NODE_PATH } }),
    'held held absent\n');
});

test('every export has a type, and the reverse', () => {
  const declared = [...fs.readFileSync(path.join(HERE, 'index.d.ts'), 'utf8').matchAll(/^export (?:function|class|const) (\w+)/gm)];
  assert.deepEqual([...new Set(declared.map(([, name]) => name))].sort(), Object.keys(require('..')).sort());
});
