package steadfast

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSaveBatch(t *testing.T) {
	dir := t.TempDir()
	entries := make([]Entry, 40)
	for i := range entries {
		entries[i] = Entry{Path: filepath.Join(dir, fmt.Sprint(i)), Data: []byte(fmt.Sprint("state ", i))}
	}
	must(t, SaveBatch(nil))
	must(t, SaveBatch(entries, KeepPrevious()))
	must(t, SaveBatch(entries, SyncFS()))
	for _, entry := range entries {
		state, err := Load(entry.Path)
		must(t, err)
		if !bytes.Equal(state.Data, entry.Data) || !entry.Durable || entry.Generation != 2 || entry.Err != nil {
			t.Fatalf("%+v: %+v", entry, state)
		}
	}
	must(t, os.Remove(entries[3].Path))
	must(t, os.Mkdir(entries[3].Path, 0o700))
	err := SaveBatch(entries)
	is(t, err, ErrNotRegular)
	for i, entry := range entries {
		if (i == 3) != (entry.Err != nil) || (i == 3) == entry.Durable || (i == 3) == (entry.Report.OnDisk == New) {
			t.Fatalf("%d: %+v", i, entry)
		}
	}
}

func TestBatchWithABadPathGoesOn(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	saved := uint64(0)
	for bad, target := range map[string]error{
		"": syscall.EINVAL, filepath.Join(dir, "cut") + "\x00tail": syscall.EINVAL, dir + "/": syscall.EISDIR,
	} {
		entries := []Entry{{Path: bad}, {Path: good, Data: []byte("x")}}
		is(t, SaveBatch(entries), target)
		is(t, entries[0].Err, target)
		saved++
		if entries[1].Err != nil || !entries[1].Durable || entries[1].Generation != saved {
			t.Fatalf("%+v", entries[1])
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Fatal(names)
	}
}

// Whoever looks at the entries alone must not take them for saved.
func TestBatchRefusedWhole(t *testing.T) {
	dir := t.TempDir()
	closed, err := OpenDir(dir)
	must(t, err)
	must(t, closed.Close())
	for target, option := range map[error]SaveOption{syscall.EINVAL: NoSync(), fs.ErrClosed: closed} {
		entries := make([]Entry, 2)
		for i := range entries {
			entries[i] = Entry{Path: filepath.Join(dir, fmt.Sprint(i)), Durable: true, Generation: 7}
		}
		is(t, SaveBatch(entries, Strict(), option), target)
		for i, entry := range entries {
			is(t, entry.Err, syscall.ECANCELED)
			var pathError *fs.PathError
			if entry.Durable || entry.Generation != 0 || !errors.As(entry.Err, &pathError) || pathError.Path != entries[i].Path {
				t.Fatalf("%+v", entry)
			}
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Fatal(names)
	}
}
