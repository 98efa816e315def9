package steadfast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%v (%T) is not %v", err, err, target)
	}
}

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

func TestErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Load(path)
	is(t, err, fs.ErrNotExist)
	is(t, err, syscall.ENOENT)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrDigest) {
		t.Fatal(err)
	}
	var pathError *fs.PathError
	var own *Error
	if !errors.As(err, &pathError) || pathError.Path != path || pathError.Op != "load" {
		t.Fatal(err)
	}
	if !errors.As(err, &own) || own.Status.Name() != "ENOENT" || own.Errno != syscall.ENOENT || own.Message == "" {
		t.Fatal(err)
	}

	_, err = Save(path, []byte("hello"))
	must(t, err)
	file, err := os.ReadFile(path)
	must(t, err)
	file[len(file)-1] ^= 1
	must(t, os.WriteFile(path, file, 0o600))
	_, err = Load(path)
	is(t, err, ErrDigest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrEmpty) {
		t.Fatal(err)
	}
}

func TestNULInAPathIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	bad := path + "\x00y"
	_, saveErr := Save(bad, nil)
	_, loadErr := Load(bad)
	_, _, intoErr := LoadInto(bad, nil)
	_, lockErr := Lock(context.Background(), bad)
	_, tryErr := TryLock(bad)
	_, _, cleanErr := CleanStale(bad)
	_, _, inspectErr := Inspect(bad)
	batchErr := SaveBatch([]Entry{{Path: bad}})
	for _, err := range []error{saveErr, loadErr, intoErr, lockErr, tryErr, cleanErr, inspectErr, batchErr} {
		is(t, err, syscall.EINVAL)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the path was cut")
	}
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
		if (i == 3) != (entry.Err != nil) || (i == 3) == entry.Durable {
			t.Fatalf("%d: %+v", i, entry)
		}
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(context.Background(), path)
	must(t, err)
	if file, _ := os.ReadFile(path); string(file) != fmt.Sprintln(os.Getpid()) {
		t.Fatal(string(file))
	}
	verdict, report, err := Inspect(path)
	must(t, err)
	if verdict != StillHeld || report.PID != os.Getpid() || verdict.String() != "held" {
		t.Fatal(verdict, report)
	}
	for _, try := range []func() (*Held, error){
		func() (*Held, error) { return TryLock(path) },
		func() (*Held, error) { return LockTimeout(path, 20*time.Millisecond) },
	} {
		_, err = try()
		is(t, err, ErrLocked)
		var own *Error
		if !errors.As(err, &own) || own.PID != os.Getpid() {
			t.Fatal(err)
		}
	}
	must(t, held.Release())
	must(t, held.Release())
	if verdict, _, err = CleanStale(path); err != nil || verdict != Absent {
		t.Fatal(verdict, err)
	}

	held, err = LockTimeout(path, time.Second)
	must(t, err)
	must(t, os.Remove(path))
	is(t, held.Release(), ErrLockLost)
}

func TestCleanStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	dead := exec.Command("true")
	must(t, dead.Run())
	must(t, os.WriteFile(path, []byte(fmt.Sprintln(dead.Process.Pid)), 0o644))
	verdict, _, err := Inspect(path)
	if err != nil || verdict != Stale {
		t.Fatal(verdict, err)
	}
	if verdict, _, err = CleanStale(path); err != nil || verdict != Removed {
		t.Fatal(verdict, err)
	}
	must(t, os.Symlink("elsewhere", path))
	if verdict, _, err = CleanStale(path); err != nil || verdict != Ignored {
		t.Fatal(verdict, err)
	}
	_, err = TryLock(path)
	is(t, err, ErrSymlink)
}

func TestContextEndsTheWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	before := runtime.NumGoroutine()
	held, err := TryLock(path)
	must(t, err)

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Lock(ended, path)
	is(t, err, context.Canceled)

	// Cancelled while all of them sleep in the kernel; Lock itself must not end before.
	waiting, cancel := context.WithCancel(context.Background())
	results := make(chan error)
	for i := 0; i < 10; i++ {
		go func() {
			_, err := Lock(waiting, path)
			results <- err
		}()
	}
	deadline, cancelDeadline := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancelDeadline()
	_, err = Lock(deadline, path)
	is(t, err, context.DeadlineExceeded)
	select {
	case err := <-results:
		t.Fatal("ended early: ", err)
	default:
	}
	cancel()
	for i := 0; i < 10; i++ {
		err := <-results
		is(t, err, context.Canceled)
		var pathError *fs.PathError
		if !errors.As(err, &pathError) || pathError.Path != path {
			t.Fatal(err)
		}
	}
	must(t, held.Release())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a cancelled wait left a lock: ", err)
	}
	noneLeft(t, before)
}

func TestCancelledWhileTaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	before := runtime.NumGoroutine()
	for i := 0; i < 200; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		held, err := Lock(ctx, path)
		if err == nil {
			must(t, held.Release())
		} else {
			is(t, err, context.Canceled)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal("left: ", err)
		}
	}
	noneLeft(t, before)
}

func TestMutualExclusion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	var counter, inside atomic.Int64
	failures := make(chan string, 100)
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 50; n++ {
				held, err := Lock(ctx, path)
				if err != nil {
					failures <- err.Error()
					return
				}
				// Atomic for the race detector, which cannot see what guards them.
				if inside.Add(1) != 1 {
					failures <- "two inside"
				}
				before := counter.Load()
				runtime.Gosched()
				counter.Store(before + 1)
				inside.Add(-1)
				if err := held.Release(); err != nil {
					failures <- err.Error()
				}
			}
		}()
	}
	group.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	if counter.Load() != 400 {
		t.Fatal(counter.Load())
	}
	noneLeft(t, before)
}

// noneLeft fails when goroutines were left behind; those that are just ending get their time.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	for i := 0; i < 1000 && runtime.NumGoroutine() > before; i++ {
		time.Sleep(time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Fatalf("%d goroutines, %d before", now, before)
	}
}
