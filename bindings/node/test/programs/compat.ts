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

// What must not compile:
// @ts-expect-error
void writeFileAtomic('file', { a: 1 });
// @ts-expect-error
void writeFileAtomic('file', '', { chown: { uid: 1 } });
// @ts-expect-error
writeFileAtomic.sync('file', '', () => undefined);
