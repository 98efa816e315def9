package steadfast

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for i, data := range [][]byte{[]byte("ünï"), nil, {}, {0, 1, 255}, bytes.Repeat([]byte("abc"), 100000)} {
		saved, err := Save(path, data, Schema(7))
		must(t, err)
		if !saved.Durable || saved.Generation != uint64(i+1) {
			t.Fatalf("%+v", saved)
		}
		state, err := Load(path, RequireSchema(7))
		must(t, err)
		if !bytes.Equal(state.Data, data) || state.Generation != uint64(i+1) || state.Schema != 7 || state.Recovered {
			t.Fatalf("%+v", state)
		}
		if since := time.Since(state.SavedAt); since < -time.Second || since > time.Hour {
			t.Fatal(state.SavedAt)
		}
		file, err := os.ReadFile(path)
		must(t, err)
		if string(file[:64]) != state.SHA256 {
			t.Fatal(state.SHA256)
		}
	}
	_, err := Load(path, RequireSchema(8))
	is(t, err, ErrSchema)
	_, err = Load(path, MaxLen(10))
	is(t, err, ErrTooLarge)
}

func TestLoadInto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("hello"))
	must(t, err)
	buf := make([]byte, 8)
	length, report, err := LoadInto(path, buf)
	must(t, err)
	if string(buf[:length]) != "hello" || report.Generation != 1 {
		t.Fatal(length, report)
	}
	for _, small := range [][]byte{nil, make([]byte, 4)} {
		length, _, err = LoadInto(path, small)
		is(t, err, ErrTooLarge)
		if length != 5 {
			t.Fatal(length)
		}
	}
}

// A state that says 1 GiB and a page; its file is sparse, and its digest cannot be right.
func TestLoadIntoHasNoLimitOfItsOwn(t *testing.T) {
	const length = 1<<30 + 4096
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("x"))
	must(t, err)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = file.WriteAt([]byte(fmt.Sprintf("%020d", length)), 84) // behind "steadfast 1 len="
	must(t, err)
	must(t, file.Truncate(256+length))
	must(t, file.Close())
	var buf []byte
	for grown := 0; ; grown++ {
		var needed int
		needed, _, err = LoadInto(path, buf)
		if !errors.Is(err, ErrTooLarge) {
			break
		}
		if grown > 0 || needed != length {
			t.Fatal(needed)
		}
		buf, err = syscall.Mmap(-1, 0, needed, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		must(t, err)
		defer func() { must(t, syscall.Munmap(buf)) }()
	}
	is(t, err, ErrDigest)
}

func TestIfGeneration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("first"), IfGeneration(0))
	must(t, err)
	var group sync.WaitGroup
	results := make([]error, 16)
	for i := range results {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			_, results[i] = Save(path, []byte(fmt.Sprint(i)), IfGeneration(1))
		}(i)
	}
	group.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
			continue
		}
		is(t, err, ErrConflict)
	}
	if won != 1 {
		t.Fatal(won)
	}
}

func TestPreviousGeneration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("one"))
	must(t, err)
	_, err = Save(path, []byte("two"), KeepPrevious())
	must(t, err)
	must(t, os.Truncate(path, 256))
	_, err = Load(path)
	is(t, err, ErrTruncated)
	state, err := Load(path, Recover())
	must(t, err)
	if string(state.Data) != "one" || !state.Recovered {
		t.Fatalf("%+v", state)
	}
}

func TestAlternate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	names := []string{path, path + ".prev"}
	var files [2]os.FileInfo
	for generation := uint64(1); generation < 7; generation++ {
		text := fmt.Sprint("generation ", generation)
		if generation == 6 {
			entries := []Entry{{Path: path, Data: []byte(text)}}
			must(t, SaveBatch(entries, Alternate()))
		} else {
			saved, err := Save(path, []byte(text), Alternate())
			must(t, err)
			if saved.Generation != generation || !saved.Durable {
				t.Fatalf("%+v", saved)
			}
		}
		state, err := Load(path)
		must(t, err)
		if string(state.Data) != text || state.Generation != generation || state.Recovered {
			t.Fatalf("%+v", state)
		}
		reader, err := Open(path)
		must(t, err)
		if reader.Recovered {
			t.Fatalf("%d", generation)
		}
		must(t, reader.Close())
		if generation == 1 {
			continue
		}
		// Two files, and each save overwrites the older one.
		for i, name := range names {
			file, err := os.Stat(name)
			must(t, err)
			if generation > 2 && !os.SameFile(file, files[i]) {
				t.Fatal(name, generation)
			}
			files[i] = file
		}
		raw, err := os.ReadFile(names[generation%2])
		must(t, err)
		if !bytes.Contains(raw, []byte(text)) {
			t.Fatalf("%d: %q", generation, raw)
		}
	}
	must(t, os.Truncate(path, 100)) // the newest
	state, err := Load(path)
	must(t, err)
	if string(state.Data) != "generation 5" || !state.Recovered {
		t.Fatalf("%+v", state)
	}
}

// TC-80-4.
func TestFailedSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("old"))
	must(t, err)
	faults, err := Failing(Fsync, 1, syscall.EIO, true)
	must(t, err)
	defer faults.Close()
	_, err = Save(path, []byte("never"), Strict(), faults)
	is(t, err, ErrNotSavedDurably)
	is(t, err, syscall.EIO)
	state, err := Load(path)
	must(t, err)
	if string(state.Data) != "old" {
		t.Fatal(string(state.Data))
	}
	saved, err := Save(path, []byte("new"), faults)
	must(t, err)
	if saved.Durable || saved.Report.OnDisk != Either || saved.Report.Errno != syscall.EIO {
		t.Fatalf("%+v", saved)
	}
	state, err = Load(path)
	must(t, err)
	if string(state.Data) != "new" {
		t.Fatal(string(state.Data))
	}
}

func TestNoSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	saved, err := Save(path, []byte("x"), NoSync())
	must(t, err)
	if saved.Durable || saved.Report.OnDisk != Unknown || saved.Report.OnDisk.String() != "unknown" {
		t.Fatalf("%+v", saved)
	}
	_, err = Save(path, []byte("durable"))
	must(t, err)
	entries := []Entry{{Path: path, Data: []byte("y")}}
	must(t, SaveBatch(entries, NoSync(), KeepPrevious()))
	if entries[0].Durable || entries[0].Report.OnDisk != Either || entries[0].Report.Status != Status(16) {
		t.Fatalf("%+v", entries[0])
	}
	previous, err := Load(path + ".prev")
	must(t, err)
	if string(previous.Data) != "durable" {
		t.Fatal(string(previous.Data))
	}
	must(t, SaveBatch(entries, NoSync()))
	if entries[0].Report.OnDisk != Unknown {
		t.Fatalf("%+v", entries[0])
	}
}

func TestTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("old"))
	must(t, err)
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	descriptor := int(file.Fd())
	must(t, syscall.Flock(descriptor, syscall.LOCK_SH))
	begun := time.Now()
	for _, timeout := range []time.Duration{0, 1, 20 * time.Millisecond} {
		saved, err := Save(path, []byte("new"), IfGeneration(1), Timeout(timeout))
		is(t, err, ErrBusy)
		if !os.IsTimeout(err) || saved.Report.OnDisk != Old {
			t.Fatalf("%v %+v", err, saved)
		}
	}
	if time.Since(begun) > 5*time.Second {
		t.Fatal("that was the library's own patience")
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = syscall.Flock(descriptor, syscall.LOCK_UN) })
	_, err = Save(path, []byte("new"), IfGeneration(1), Timeout(-1))
	must(t, err)
}
