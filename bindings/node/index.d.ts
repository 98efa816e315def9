/// <reference types="node" />
import type { Readable, Writable } from 'node:stream';

/** A path: text, bytes in any encoding, or a file: URL. One with a NUL in it is refused. */
export type Path = string | Uint8Array | URL;

/** What JSON.stringify can write, though JSON has no BigInt. */
export interface Result {
  /** A plain copy, in which a `bigint` is a decimal string: `"generation": "7"`. */
  toJSON(): Record<string, unknown>;
}

/** What a call came to. */
export interface Report extends Result {
  /** The number that the library returned. */
  readonly status: number;
  /** errno of the system call that failed, 0 when none did. */
  readonly osError: number;
  /** The step that failed, `sync_file` for example. */
  readonly step: string | null;
  /** What a power cut now would leave on disk. `either`: the old one perhaps as `PATH.prev`; `unknown`: only a load can tell. */
  readonly onDisk: 'old' | 'new' | 'either' | 'unknown';
  readonly generation: bigint;
  /** The process that the lock names, 0 when none. */
  readonly pid: number;
  /** One English sentence. */
  readonly message: string;
}

export class SteadfastError extends Error {
  private constructor();
  /** `STEADFAST_E_DIGEST`, `STEADFAST_E_BUSY`, or an errno's name: `ENOENT`. */
  readonly code: string;
  /** Negated, as in Node's own errors: -2 with `ENOENT`. 0 when no system call failed. */
  readonly errno: number;
  readonly path: string;
  readonly status: number;
  readonly report: Report;
  /** As of a result, with the message, too. */
  toJSON(): Record<string, unknown>;
  /** loadInto and `STEADFAST_E_TOO_LARGE`: the length that it takes. */
  readonly length?: number;
}

/** A wait was aborted; `cause` is the signal's reason. No lock is left taken. */
export class AbortError extends Error {
  private constructor();
  readonly name: 'AbortError';
  readonly code: 'ABORT_ERR';
  readonly path: string;
}

export interface SaveOptions {
  /** What cannot be made durable is an error instead of `durable: false`. */
  strict?: boolean;
  /** Keep the verified previous generation as `PATH.prev`. */
  keepPrevious?: boolean;
  /**
   * One flush of the device instead of two to four, for a state that is saved often: PATH and `PATH.prev` take turns, and the newer
   * one is the state. Hand on what load gives, not the file at PATH. A stream is saved the ordinary way.
   */
  alternate?: boolean;
  /** Compare and swap: `STEADFAST_E_CONFLICT` unless the state there has this generation. 0: no state there yet, and no previous one. */
  ifGeneration?: bigint | number;
  /** Save to what the link at the path points to; without it a link is refused. */
  followSymlink?: boolean;
  /** Make missing parent directories, durably. */
  createParents?: boolean;
  /** Atomic and verified, but not synced: never durable. With keepPrevious the last durable generation stays as `PATH.prev`. */
  noSync?: boolean;
  /**
   * Milliseconds to wait for other savers of the same state, and for whoever locks its file: 10,000 unless given, Infinity for
   * ever. Then it is `STEADFAST_E_BUSY`, and the old state stands.
   */
  timeout?: number;
  /** Permission bits of a new file, 0o600 unless given. */
  mode?: number;
  /** `mode` is for a file that is there already, too; it may open it to more. */
  setMode?: boolean;
  /** Your own format number, stored and handed back. */
  schema?: number;
  /** The file holds the data and nothing else; an extended attribute verifies it. Load it with `plain` as well. */
  plain?: boolean;
  /** The file that is replaced hands on its attributes user.* and its security labels. */
  keepAttributes?: boolean;
  /** Write a file that cannot be replaced in place, after a durable copy of it as `PATH.prev`. Not for saveBatch or a stream. */
  inPlace?: boolean;
  context?: Context | FailingContext;
}

export interface Saved extends Result {
  /** False: saved, but a sync failed or was not possible; the report says which. */
  readonly durable: boolean;
  /** False: a plain file without its attribute, so that no load can verify it. Told only where it is durable. */
  readonly verified: boolean;
  readonly generation: bigint;
  readonly report: Report;
}

export interface LoadOptions {
  /** Fall back to `PATH.prev` when the current state is damaged or missing. */
  recover?: boolean;
  /** The schema that it must have. */
  schema?: number;
  /** The longest payload accepted, in bytes. Unless given, 1 GiB for load, and as much as fits for loadInto. */
  maxLength?: bigint | number;
  /** A file that was saved with `plain`, or anybody's: the data is its whole content. */
  plain?: boolean;
  /** With `plain`: what nothing verifies is `STEADFAST_E_UNVERIFIED`. */
  verified?: boolean;
  context?: Context | FailingContext;
}

export interface State extends Result {
  readonly data: Buffer;
  /** Of a plain file that is not verified: a tag of its content, 2n ** 63n or more. */
  readonly generation: bigint;
  readonly savedAt: Date;
  readonly savedAtNs: bigint;
  readonly schema: number;
  readonly source: 'current' | 'previous';
  /** Hexadecimal, as in the file's first line. */
  readonly sha256: string;
  /** True: from the previous generation, for the reason in the report. */
  readonly recovered: boolean;
  /** What was saved, to the bit. False only for a plain file that nothing verifies. */
  readonly verified: boolean;
  /** A plain file that somebody has changed since it was saved. */
  readonly changed: boolean;
  readonly report: Report;
}

export type Data = string | NodeJS.ArrayBufferView | ArrayBuffer;

/**
 * Saves: after a crash at any moment a reader finds the old state or the new one, whole. Copies the data first. Saves to one path are done
 * in the order of their calls, and so are saveBatch, update and remove; not the Sync forms.
 */
export function save(path: Path, data: Data, options?: SaveOptions): Promise<Saved>;
export function saveSync(path: Path, data: Data, options?: SaveOptions): Saved;

export interface BatchOptions extends Omit<SaveOptions, 'inPlace'> {
  /** One sync of the file system instead of one for each file; it flushes what others have written there, too. */
  syncfs?: boolean;
}

export type BatchResult =
  | ({ readonly path: string; readonly error?: undefined } & Saved)
  | ({ readonly path: string; readonly error: SteadfastError } & Result);

/** Saves many, faster than one after the other, with a result for each. It throws only when all were refused, and none was saved. */
export function saveBatch(entries: Iterable<{ path: Path; data: Data }>, options?: BatchOptions): Promise<BatchResult[]>;
export function saveBatchSync(entries: Iterable<{ path: Path; data: Data }>, options?: BatchOptions): BatchResult[];

/** Loads and verifies. */
export function load(path: Path, options?: LoadOptions): Promise<State>;
export function loadSync(path: Path, options?: LoadOptions): State;

export interface LoadedInto extends Result {
  readonly length: number;
  readonly generation: bigint;
  readonly recovered: boolean;
  readonly verified: boolean;
  readonly changed: boolean;
  readonly report: Report;
}

/**
 * Loads into memory of yours, without a copy: leave it alone until the promise is settled. `STEADFAST_E_TOO_LARGE` when it
 * is too small; the error's `length` is what it takes.
 */
export function loadInto(path: Path, buffer: NodeJS.ArrayBufferView, options?: LoadOptions): Promise<LoadedInto>;
export function loadIntoSync(path: Path, buffer: NodeJS.ArrayBufferView, options?: LoadOptions): LoadedInto;

export interface UpdateOptions extends Omit<SaveOptions, 'ifGeneration'> {
  /** The old state may be `PATH.prev`. */
  recover?: boolean;
  /** With `plain`: an old state that nothing verifies is `STEADFAST_E_UNVERIFIED`. */
  verified?: boolean;
}

/**
 * Loads, calls `change` with the state (null: there is none), and saves what that returns; undefined leaves it as it is. If
 * somebody else saved meanwhile, it is done again with what is there by then, up to `timeout`.
 */
export function update(
  path: Path, change: (old: State | null) => Data | undefined | Promise<Data | undefined>, options?: UpdateOptions,
): Promise<Saved | undefined>;
export function updateSync(path: Path, change: (old: State | null) => Data | undefined, options?: UpdateOptions): Saved | undefined;

export type RemoveOptions = Pick<SaveOptions, 'strict' | 'ifGeneration' | 'followSymlink' | 'noSync' | 'plain' | 'timeout' | 'context'>;

/** `generation`: 0n when it is not known. */
export type Removed = Omit<Saved, 'verified'>;

/** Removes the state and `PATH.prev`: no older state comes back. `ENOENT` when neither is there. */
export function remove(path: Path, options?: RemoveOptions): Promise<Removed>;
export function removeSync(path: Path, options?: RemoveOptions): Removed;

export interface WatchOptions {
  /** The generation that is known, 0 (none) unless given: the first one that is seen is another. */
  known?: bigint | number;
  /** `PATH.prev` stands for a state that is damaged or missing. */
  recover?: boolean;
  /** It is a plain file; one that nothing verifies has a tag of its content for a generation. */
  plain?: boolean;
  /** Ends the iteration with an AbortError. */
  signal?: AbortSignal;
  context?: Context | FailingContext;
}

/**
 * Each generation that the state at `path` has, as it comes; 0 stands for none. Directories and links on the way are
 * watched, too, as of Kubernetes' ConfigMaps. Damage throws, and ends it.
 */
export function watch(path: Path, options?: WatchOptions): AsyncGenerator<bigint, void, undefined>;

export interface WriteStreamOptions extends Omit<SaveOptions, 'inPlace'> {
  highWaterMark?: number;
  /** Gives the state up. */
  signal?: AbortSignal;
}

/** A state of any length on its way. */
export interface StateWriteStream extends Writable {
  /** From `finish` on. */
  readonly saved: Saved | undefined;
}

/**
 * A stream whose bytes are saved at its end: nothing is seen of them before, and `finish` says that they are saved. An error, and
 * destroy, give them up.
 */
export function createWriteStream(path: Path, options?: WriteStreamOptions): StateWriteStream;

export interface ReadStreamOptions extends LoadOptions {
  /** The first byte, 0 unless given, and the last one, as for fs.createReadStream. */
  start?: number;
  end?: number;
  highWaterMark?: number;
  signal?: AbortSignal;
}

/** A verified state of any length. */
export interface StateReadStream extends Readable {
  /** From the event `ready` on. */
  readonly state: (Omit<State, 'data'> & { readonly length: number }) | undefined;
}

/**
 * Reads a state of any length, or a part of it. It is verified first, and each part is hashed again that is read: `STEADFAST_E_DIGEST`
 * when the file was changed meanwhile. Without maxLength there is no limit.
 */
export function createReadStream(path: Path, options?: ReadStreamOptions): StateReadStream;

export interface LockOptions {
  /** Take a bare PID for reused when its process started after the lock was last written. */
  trustStartTime?: boolean;
  /** Permission bits of the lock file, less the umask; 0o644 unless given. */
  mode?: number;
  /** Programs that this process starts keep the lock held while they live, should this process end without a release. */
  inherit?: boolean;
  /** An empty lock file of another program is stale after this many milliseconds. */
  emptyGrace?: number;
  context?: Context | FailingContext;
}

export interface HoldOptions extends LockOptions {
  /** Called once, with `STEADFAST_E_LOCK_LOST`, when someone took the lock away: soon after it is seen in the directory, or within a second. */
  onLost?: (error: SteadfastError) => void;
}

export interface AcquireSyncOptions extends HoldOptions {
  /** Milliseconds; 0, the default here, tries once. It blocks the event loop. */
  timeout?: number;
}

export interface AcquireOptions extends HoldOptions {
  /** Milliseconds; 0 tries once, Infinity, the default, waits until it is free. */
  timeout?: number;
  /** Ends the wait. */
  signal?: AbortSignal;
}

/** A lock that this process holds, until it is released or the thread that took it ends. Not when it is garbage. */
export class Lock implements Disposable, AsyncDisposable {
  private constructor();
  static acquire(path: Path, options?: AcquireOptions): Promise<Lock>;
  static acquireSync(path: Path, options?: AcquireSyncOptions): Lock;
  readonly path: string;
  readonly held: boolean;
  /** Says when a stale lock was taken over. */
  readonly report: Report;
  /** Is it still this process's? Rejects with `STEADFAST_E_LOCK_LOST` when someone took it away. */
  check(): Promise<void>;
  checkSync(): void;
  /** The same, answered by true or false: false, too, when it was released. */
  verify(): Promise<boolean>;
  verifySync(): boolean;
  /** Rejects with `STEADFAST_E_LOCK_LOST` when someone took it away. Does nothing the second time. */
  release(): Promise<void>;
  releaseSync(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Takes the lock, cleaning a stale one on the way. `STEADFAST_E_LOCKED`: report.pid holds it. */
export function acquire(path: Path, options?: AcquireOptions): Promise<Lock>;
export function acquireSync(path: Path, options?: AcquireSyncOptions): Lock;

export interface Verdict extends Result {
  readonly verdict: 'absent' | 'removed' | 'held' | 'undecided' | 'ignored' | 'changed' | 'stale';
  readonly pid: number;
  readonly report: Report;
}

/** Removes the lock file if its owner is provably dead; `removed` is told to exactly one caller. */
export function cleanStale(path: Path, options?: LockOptions): Promise<Verdict>;
export function cleanStaleSync(path: Path, options?: LockOptions): Verdict;

/** Says what cleanStale would do. */
export function inspect(path: Path, options?: LockOptions): Promise<Verdict>;
export function inspectSync(path: Path, options?: LockOptions): Verdict;

/** Where relative paths begin. */
export class Context implements Disposable {
  constructor(options?: {
    /** A directory; it is opened now. */
    at?: Path;
    /** No path leaves it, by no link, no `..`, no absolute path: `EXDEV`. */
    beneath?: boolean;
    /** False: for a process whose seccomp filter kills instead of answering. */
    ioUring?: boolean;
  });
  close(): void;
  [Symbol.dispose](): void;
}

/** Lets the n-th call of a system call fail: to test what your program does then. */
export class FailingContext implements Disposable {
  constructor(fault: {
    /** `fsync`, `write`, `renameat`, ...; `any` counts them all. */
    call?: string;
    /** 1, the first, unless given. */
    nth?: number;
    /** The error number: 5 for EIO (os.constants.errno.EIO). */
    errno: number;
    /** Also every one after it. */
    forever?: boolean;
  });
  close(): void;
  [Symbol.dispose](): void;
}

/** Of the shared library. */
export const version: string;
