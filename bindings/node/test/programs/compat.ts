import lockfile, { check, lock } from 'steadfast/compat/proper-lockfile';
import writeFileAtomic from 'steadfast/compat/write-file-atomic';

export async function write(file: string): Promise<void> {
  const options: writeFileAtomic.Options = { mode: 0o644, chown: { uid: 1, gid: 1 }, fsync: false, tmpfileCreated: (tmpfile) => console.log(tmpfile.length) };
  const written: Promise<void> = writeFileAtomic(file, 'x', options);
  await written;
  await writeFileAtomic(file, new Uint8Array(1), { chown: false, mode: false, encoding: null });
  const none: void = writeFileAtomic(file, 'x', 'latin1', (error) => console.log(error?.message));
  writeFileAtomic(file, undefined, (error?: Error) => console.log(error, none));
  writeFileAtomic.sync(file, 'x', { encoding: 'utf8' });
}

export async function hold(file: string): Promise<boolean> {
  const options: lockfile.LockOptions = { stale: 5000, update: 1000, retries: { retries: 5, factor: 3 }, realpath: false, onCompromised: (error) => console.log(error.message) };
  const release: () => Promise<void> = await lock(file, options);
  await release();
  lockfile.lockSync(file, { retries: 0, lockfilePath: `${file}.other` })();
  await lockfile.lock(file, { fs: {} });
  await lockfile.unlock(file, { realpath: false });
  lockfile.unlockSync(file);
  return (await check(file, { stale: 5000 })) && lockfile.checkSync(file);
}

// What must not compile:
// @ts-expect-error
void lockfile('file', { retry: 3 });
// @ts-expect-error
lockfile.lockSync('file').then();
// @ts-expect-error
void writeFileAtomic('file', { a: 1 });
// @ts-expect-error
void writeFileAtomic('file', '', { chown: { uid: 1 } });
// @ts-expect-error
writeFileAtomic.sync('file', '', () => undefined);
