package steadfast

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

var (
	_ io.WriteCloser = (*Writer)(nil)
	_ io.ReaderAt    = (*Reader)(nil)
	_ io.Closer      = (*Reader)(nil)
)

func TestWriter(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "state")
	data := bytes.Repeat([]byte("0123456789"), 300000)
	w, err := Create(path, Schema(3))
	must(t, err)
	copied, err := io.Copy(struct{ io.Writer }{w}, bytes.NewReader(data))
	must(t, err)
	if _, err := os.Stat(path); copied != int64(len(data)) || err == nil {
		t.Fatal(copied, err)
	}
	saved, err := w.Commit()
	must(t, err)
	state, err := Load(path)
	must(t, err)
	if !saved.Durable || saved.Generation != 1 || !bytes.Equal(state.Data, data) || state.Schema != 3 {
		t.Fatalf("%+v", saved)
	}
	_, err = w.Commit()
	is(t, err, fs.ErrClosed)
	_, err = w.Write(nil)
	is(t, err, fs.ErrClosed)
	_, err = w.Fd()
	is(t, err, fs.ErrClosed)
	must(t, w.Close())

	for _, end := range []func(*Writer){(*Writer).Abort, func(w *Writer) { must(t, w.Close()) }} {
		w, err = Create(path)
		must(t, err)
		_, err = w.Write([]byte("given up"))
		must(t, err)
		end(w)
		entries, err := os.ReadDir(directory)
		must(t, err)
		if state, err := Load(path); err != nil || len(state.Data) != len(data) || len(entries) != 1 {
			t.Fatal(err, entries)
		}
	}

	w, err = Create(path, IfGeneration(1))
	must(t, err)
	_, err = Save(path, []byte("theirs"))
	must(t, err)
	_, err = w.Commit()
	is(t, err, ErrConflict)
	_, err = Create(filepath.Join(directory, "none", "state"))
	is(t, err, fs.ErrNotExist)
	_, err = Create("a\x00b")
	is(t, err, syscall.EINVAL)
}

func TestWriterFd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	w, err := Create(path)
	must(t, err)
	_, err = w.Write([]byte("begun, "))
	must(t, err)
	fd, err := w.Fd()
	must(t, err)
	_, err = syscall.Write(int(fd), []byte("ended"))
	must(t, err)
	_, err = w.Commit()
	must(t, err)
	if state, err := Load(path); err != nil || string(state.Data) != "begun, ended" {
		t.Fatal(err)
	}
}

func TestWriterErrorStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	// The first write is the room for the header.
	full, err := Failing(Write, 2, syscall.ENOSPC, false)
	must(t, err)
	defer full.Close()
	w, err := Create(path, full)
	must(t, err)
	for i := 0; i < 2; i++ {
		n, err := w.Write([]byte("x"))
		is(t, err, syscall.ENOSPC)
		if n != 0 {
			t.Fatal(n)
		}
	}
	_, err = w.Commit()
	is(t, err, syscall.ENOSPC)
	_, err = os.Stat(path)
	is(t, err, fs.ErrNotExist)
}

func TestReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	data := bytes.Repeat([]byte("0123456789"), 300000)
	_, err := Save(path, data, Schema(3))
	must(t, err)
	r, err := Open(path, RequireSchema(3))
	must(t, err)
	if r.Size != int64(len(data)) || r.Generation != 1 || r.Schema != 3 || r.Recovered || len(r.SHA256) != 64 {
		t.Fatalf("%d %d", r.Size, r.Generation)
	}
	all, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size))
	must(t, err)
	if !bytes.Equal(all, data) {
		t.Fatal(len(all))
	}
	buf := make([]byte, 10)
	for offset, expected := range map[int64]int{0: 10, 1<<20 - 5: 10, r.Size - 3: 3, r.Size: 0, r.Size + 5: 0} {
		n, err := r.ReadAt(buf, offset)
		if n != expected || (err == io.EOF) != (n < 10) || !bytes.Equal(buf[:n], data[min(offset, r.Size):][:n]) {
			t.Fatal(offset, n, err)
		}
	}
	var readers sync.WaitGroup
	for i := 0; i < 4; i++ {
		readers.Add(1)
		go func(at int64) {
			defer readers.Done()
			own := make([]byte, 100)
			if n, err := r.ReadAt(own, at); n != 100 || err != nil || !bytes.Equal(own, data[at:at+100]) {
				t.Error(n, err)
			}
		}(int64(i) * 700000)
	}
	readers.Wait()
	_, err = r.ReadAt(buf, -1)
	is(t, err, syscall.EINVAL)

	// Somebody writes into the file meanwhile.
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteAt([]byte("!"), 256+1<<20)
	must(t, err)
	must(t, file.Close())
	_, err = r.ReadAt(buf, 0)
	must(t, err)
	_, err = r.ReadAt(buf, 1<<20)
	is(t, err, ErrDigest)
	must(t, r.Close())
	must(t, r.Close())
	_, err = r.ReadAt(buf, 0)
	is(t, err, fs.ErrClosed)
	_, err = Open(path)
	is(t, err, ErrDigest)
	_, err = Open(path + "none")
	is(t, err, fs.ErrNotExist)
	_, err = Open(path, MaxLen(10))
	is(t, err, ErrTooLarge)
}

func TestPlainStreams(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "it.json")
	w, err := Create(path, Plain())
	must(t, err)
	_, err = io.WriteString(w, "{\"a\": 1}")
	must(t, err)
	saved, err := w.Commit()
	must(t, err)
	if !saved.Durable {
		t.Fatal(saved)
	}
	holds(t, path, "{\"a\": 1}")
	_, err = Create(path, InPlace())
	is(t, err, syscall.EINVAL)
	buf := make([]byte, 20)
	reads := func(text string, verified, changed bool) {
		t.Helper()
		r, err := Open(path, Plain())
		must(t, err)
		defer r.Close()
		n, err := r.ReadAt(buf, 0)
		if err != io.EOF || string(buf[:n]) != text || r.Verified != verified || r.Changed != changed || (r.Generation < tags) != verified {
			t.Fatal(string(buf[:n]), err, r.Verified, r.Changed, r.Generation)
		}
	}
	must(t, os.Remove(path))
	edit(t, path, "anybody's")
	reads("anybody's", false, false)
	_, err = Open(path, Plain(), Verified())
	is(t, err, ErrUnverified)
	needsAttributes(t, directory)
	w, err = Create(path, Plain())
	must(t, err)
	_, err = io.WriteString(w, "ours")
	must(t, err)
	saved, err = w.Commit()
	must(t, err)
	if !saved.Verified {
		t.Fatal(saved)
	}
	reads("ours", true, false)
	edit(t, path, "theirs")
	reads("theirs", false, true)
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
