package steadfast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

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
	must(t, held.Check())
	must(t, os.Remove(path))
	is(t, held.Check(), ErrLockLost)
	is(t, held.Release(), ErrLockLost)
	is(t, held.Check(), fs.ErrClosed)
}

// A program that was started under an inherited lock keeps it held, whatever becomes of this process.
func TestInherit(t *testing.T) {
	for _, inherit := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "lock")
		options := []LockOption{}
		if inherit {
			options = append(options, Inherit())
		}
		held, err := TryLock(path, options...)
		must(t, err)
		child := exec.Command("sh", "-c", "ls -l /proc/self/fd; cat")
		input, err := child.StdinPipe()
		must(t, err)
		output, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		must(t, input.Close())
		listed, err := io.ReadAll(output)
		must(t, err)
		must(t, child.Wait())
		// It may be listed without its name: that came later.
		if strings.Contains(string(listed), filepath.Dir(path)) != inherit {
			t.Fatalf("%v: %s", inherit, listed)
		}
		must(t, held.Release())
	}
}

// With 0 closed a new descriptor gets this number, which means "none" to the library.
func TestCancelWithoutStandardInput(t *testing.T) {
	if os.Getenv("STEADFAST_TEST_NO_INPUT") == "" {
		again := exec.Command(os.Args[0], "-test.run=^TestCancelWithoutStandardInput$")
		again.Env = append(os.Environ(), "STEADFAST_TEST_NO_INPUT=1")
		said, err := again.CombinedOutput()
		if err != nil {
			t.Fatal(err, string(said))
		}
		return
	}
	time.NewTimer(time.Hour).Stop() // opens the runtime's own descriptors, which would take the 0 otherwise
	must(t, syscall.Close(0))
	path := filepath.Join(t.TempDir(), "lock")
	held, err := TryLock(path)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err = Lock(ctx, path)
	is(t, err, context.DeadlineExceeded)
	must(t, held.Release())
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
