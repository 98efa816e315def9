'use strict';
// The numbers of include/steadfast.h that this package needs; test/constants.test.js compares them with it.

exports.SAVE = {
  strict: 1, keepPrevious: 2, ifGeneration: 4, followSymlink: 8, createParents: 16, alternate: 32, noSync: 64, syncfs: 128, plain: 256, keepAttributes: 512,
  setMode: 1024, inPlace: 2048,
};
exports.LOAD = { recover: 1, requireSchema: 2, plain: 4, requireVerified: 8 };
exports.LOCK = { trustStartTime: 1, inherit: 4 };
exports.CONTEXT = { at: 1, beneath: 2, noIoUring: 4 };

exports.NOT_DURABLE = 16;
exports.RECOVERED = 17;
exports.UNVERIFIED = 18;
exports.CHANGED = 19;
exports.E_LOCKED = -10015;
exports.E_TOO_LARGE = -10008;

// By their numbers, from 0.
exports.VERDICTS = ['absent', 'removed', 'held', 'undecided', 'ignored', 'changed', 'stale'];
exports.ON_DISK = ['old', 'new', 'either', 'unknown'];
exports.SOURCES = ['current', 'previous'];
exports.STEPS = [
  null, 'open_directory', 'inspect_target', 'read_current', 'create_temp', 'write', 'set_mode', 'sync_file',
  'keep_previous', 'rename', 'sync_directory', 'make_parent', 'read_link', 'open_file', 'read_file', 'allocate',
  'clock', 'check_owner', 'lock_file', 'compare', 'unlink', 'create_lock', 'link', 'wait', 'arguments',
];
exports.CALLS = [
  'any', 'openat', 'close', 'write', 'fsync', 'renameat', 'unlinkat', 'linkat', 'mkdirat', 'readlinkat', 'read', 'pread',
  'fstat', 'fstatat', 'fstatfs', 'fchmod', 'fchown', 'flock', 'ofdlock', 'fgetxattr', 'fsetxattr', 'getpid', 'geteuid',
  'kill', 'pidfd_open', 'poll', 'inotify_init', 'inotify_add_watch', 'clock', 'sigxfsz', 'fdatasync', 'syncfs', 'ftruncate', 'writeback', 'aio',
  'fsync_many', 'openat2', 'map', 'unmap', 'pwrite', 'flistxattr',
  'getdents',
];
