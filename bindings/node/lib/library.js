'use strict';
// Where the shared library is: $STEADFAST_LIBRARY, else the one in the package for this platform, else the system's.

const fs = require('node:fs');
const path = require('node:path');
const koffi = require('koffi');
const { optionalDependencies } = require('../package.json');

const ABI = 0;
const SONAME = process.platform === 'darwin' ? `libsteadfast.${ABI}.dylib` : `libsteadfast.so.${ABI}`;

/** As in the name of a package: linux-x64-musl. `maps` says what this process has loaded, its C library too. */
function platformOf(platform, arch, maps) {
  const kind = platform === 'linux' ? [/\/ld-musl-[^/]*$/m.test(maps) ? 'musl' : 'gnu'] : [];
  return [platform, arch, ...kind].join('-');
}

function mapsOfThisProcess() {
  try {
    return fs.readFileSync('/proc/self/maps', 'latin1');
  } catch {
    return '';
  }
}

function missing(platform, cause) {
  const name = `steadfast-${platform}`;
  const packed = Object.keys(optionalDependencies);
  const why = packed.includes(name)
    ? `its package ${name} is not installed. It is an optional dependency: do not install with --omit=optional`
    : `there is a package only for ${packed.map((one) => one.replace('steadfast-', '')).join(', ')}`;
  const message = `steadfast has no library for ${platform}: ${why}. STEADFAST_LIBRARY can name a libsteadfast that you have built`;
  return Object.assign(new Error(message, { cause }), { code: 'ERR_STEADFAST_NO_LIBRARY' });
}

/** Loads it: the file's name, and the library as koffi sees it. */
function open() {
  const given = process.env.STEADFAST_LIBRARY;
  if (given) {
    const file = path.resolve(given);
    return { file, library: koffi.load(file) };
  }
  const platform = platformOf(process.platform, process.arch, mapsOfThisProcess());
  let file = SONAME;
  try {
    file = require.resolve(`steadfast-${platform}/${SONAME}`);
  } catch {
    // Not installed: the system may have it.
  }
  try {
    return { file, library: koffi.load(file) };
  } catch (error) {
    throw file === SONAME ? missing(platform, error) : error;
  }
}

module.exports = { ABI, open, platformOf };
