export = lock;

/** proper-lockfile's function, on steadfast: `FILE.lock` is a lock file of steadfast's. */
declare function lock(file: string, options?: lock.LockOptions): Promise<() => Promise<void>>;

declare namespace lock {
  export { lock };
  export function unlock(file: string, options?: UnlockOptions): Promise<void>;
  /** Is it locked, by an owner that is alive? */
  export function check(file: string, options?: CheckOptions): Promise<boolean>;
  export function lockSync(file: string, options?: LockOptions): () => void;
  export function unlockSync(file: string, options?: UnlockOptions): void;
  export function checkSync(file: string, options?: CheckOptions): boolean;
  /** The locks of this thread, by file. */
  export function getLocks(): Readonly<Record<string, object>>;

  /** Those of the package `retry`. */
  export interface OperationOptions {
    retries?: number | undefined;
    factor?: number | undefined;
    minTimeout?: number | undefined;
    maxTimeout?: number | undefined;
    randomize?: boolean | undefined;
    forever?: boolean | undefined;
    maxRetryTime?: number | undefined;
    unref?: boolean | undefined;
  }

  export interface UnlockOptions {
    /** Follow links; the file then has to exist. True unless given. */
    realpath?: boolean | undefined;
    /** Its realpath, stat, utimes and rmdir are used. */
    fs?: any;
    /** `FILE.lock` unless given. */
    lockfilePath?: string | undefined;
  }

  export interface CheckOptions extends UnlockOptions {
    /** Milliseconds, 10,000 unless given: when a directory that proper-lockfile itself has left is stale. No lock of a live owner is. */
    stale?: number | undefined;
  }

  export interface LockOptions extends CheckOptions {
    /** Milliseconds between two looks at the lock, half of `stale` unless given. */
    update?: number | null | undefined;
    /** How often to try again, 0 unless given. */
    retries?: number | OperationOptions | undefined;
    /** Called with ECOMPROMISED when the lock is lost; unless given, the error is thrown. */
    onCompromised?: ((error: Error) => any) | undefined;
  }
}
