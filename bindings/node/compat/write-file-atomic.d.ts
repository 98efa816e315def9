/// <reference types="node" />

export = writeFile;

/** write-file-atomic's function, on steadfast: writes a plain file, which after a crash is the old one or the new one. */
declare function writeFile(
  filename: writeFile.Path, data: writeFile.Data, options: writeFile.Options | BufferEncoding | null | undefined, callback: writeFile.Callback,
): void;
declare function writeFile(filename: writeFile.Path, data: writeFile.Data, callback: writeFile.Callback): void;
/** Writes to one file are done in the order of their calls. */
declare function writeFile(filename: writeFile.Path, data: writeFile.Data, options?: writeFile.Options | BufferEncoding | null): Promise<void>;

declare namespace writeFile {
  /** The same at once. */
  function sync(filename: Path, data: Data, options?: Options | BufferEncoding | null): void;

  type Path = string | Uint8Array | URL;
  type Data = string | NodeJS.ArrayBufferView | null | undefined;
  type Callback = (error?: Error) => void;

  interface Options {
    /** The owner, that of the existing file unless given. False: whoever runs this. */
    chown?: { uid: number; gid: number } | false | null | undefined;
    /** Of a string; utf8 unless given. */
    encoding?: BufferEncoding | null | undefined;
    /** False: without a sync. */
    fsync?: boolean | undefined;
    /** That of the existing file unless given; false, and for a new file: what the umask leaves of 0o666. */
    mode?: number | string | false | null | undefined;
    /** Called with the name of the temporary file when it is there. */
    tmpfileCreated?: ((tmpfile: string) => unknown) | undefined;
  }
}
