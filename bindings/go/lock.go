package steadfast

/*
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <steadfast.h>

// Never 0, 1 or 2: 0 means "none" to the library.
static int32_t new_cancel(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fd > 2)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = errno;
    close(fd);
    return higher < 0 ? -error : higher;
}
*/
import "C"

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// Held is a lock that this process holds, until Release or the end of the process. Not when it is garbage.
type Held struct {
	path   string
	report Report

	mutex sync.Mutex
	lock  *C.steadfast_lock
}

// Path is the lock's, as it was given.
func (h *Held) Path() string { return h.path }

// Report says when a stale lock was taken over.
func (h *Held) Report() Report { return h.report }

// Lock takes the lock at path, cleaning a stale one on the way, and waits for it until ctx is done. The error is then
// ctx.Err(), in the *fs.PathError; no lock is left taken. A wait sleeps in the kernel and holds a thread.
func Lock(ctx context.Context, path string, options ...LockOption) (*Held, error) {
	if err := ctx.Err(); err != nil {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	if ctx.Done() == nil {
		return acquire(path, -1, 0, options)
	}
	cancel := int(C.new_cancel())
	if cancel < 0 {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: syscall.Errno(-cancel)}
	}
	defer syscall.Close(cancel)
	taken, watching := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-ctx.Done():
			one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1}
			_, _ = syscall.Write(cancel, one[:])
		case <-taken:
		}
	}()
	held, err := acquire(path, -1, cancel, options)
	close(taken)
	<-watching
	if errors.Is(err, syscall.ECANCELED) && ctx.Err() != nil {
		err = &fs.PathError{Op: "lock", Path: path, Err: ctx.Err()}
	}
	return held, err
}

// TryLock takes the lock if that is possible at once, else the error is ErrLocked and its report has the holder's PID.
func TryLock(path string, options ...LockOption) (*Held, error) {
	return acquire(path, 0, 0, options)
}

// LockTimeout waits at most as long as given.
func LockTimeout(path string, timeout time.Duration, options ...LockOption) (*Held, error) {
	if timeout < 0 {
		timeout = 0
	}
	return acquire(path, milliseconds(timeout), 0, options)
}

// acquire waits until the descriptor cancel, if it is not 0, can be read.
func acquire(path string, milliseconds int64, cancel int, options []LockOption) (*Held, error) {
	name, err := cpath("lock", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	held := &Held{path: path}
	report := newReport()
	how := lockingWith(options)
	if err := how.check("lock", path); err != nil {
		return nil, err
	}
	how.options.cancel_fd = C.int32_t(cancel)
	var lock *C.steadfast_lock
	status := C.steadfast_lock_acquire(how.context, name, C.int64_t(milliseconds), &how.options, &lock, &report)
	held.report, err = check("lock", path, status, &report)
	if err != nil {
		return nil, err
	}
	held.lock = lock
	return held, nil
}

// Release gives the lock up. ErrLockLost: someone had taken it away. The second time it does nothing.
func (h *Held) Release() error {
	h.mutex.Lock()
	lock := h.lock
	h.lock = nil
	h.mutex.Unlock()
	if lock == nil {
		return nil
	}
	report := newReport()
	_, err := check("release", h.path, C.steadfast_lock_release(lock, &report), &report)
	return err
}

// Check says whether the lock is still this process's. ErrLockLost: someone has taken it away; os.ErrClosed: it was
// released.
func (h *Held) Check() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.lock == nil {
		return &fs.PathError{Op: "check", Path: h.path, Err: fs.ErrClosed}
	}
	report := newReport()
	_, err := check("check", h.path, C.steadfast_lock_check(h.lock, &report), &report)
	return err
}

// Verdict is what is known of a lock file.
type Verdict int32

const (
	Absent    Verdict = C.STEADFAST_LOCK_ABSENT
	Removed   Verdict = C.STEADFAST_LOCK_REMOVED
	StillHeld Verdict = C.STEADFAST_LOCK_HELD
	Undecided Verdict = C.STEADFAST_LOCK_UNDECIDED
	Ignored   Verdict = C.STEADFAST_LOCK_IGNORED
	Changed   Verdict = C.STEADFAST_LOCK_CHANGED
	Stale     Verdict = C.STEADFAST_LOCK_STALE
)

func (v Verdict) String() string {
	names := [...]string{"absent", "removed", "held", "undecided", "ignored", "changed", "stale"}
	if v < 0 || int(v) >= len(names) {
		return "unknown"
	}
	return names[v]
}

// CleanStale removes the lock file if its owner is provably dead. Removed is told to exactly one caller.
func CleanStale(path string, options ...LockOption) (Verdict, Report, error) {
	name, err := cpath("clean", path)
	if err != nil {
		return Undecided, Report{}, err
	}
	defer free(name)
	report := newReport()
	how := lockingWith(options)
	if err := how.check("clean", path); err != nil {
		return Undecided, Report{}, err
	}
	status := C.steadfast_lock_clean_stale(how.context, name, &how.options, &report)
	told, err := check("clean", path, status, &report)
	return verdict(status), told, err
}

// Inspect says what CleanStale would do, and changes nothing.
func Inspect(path string, options ...LockOption) (Verdict, Report, error) {
	name, err := cpath("inspect", path)
	if err != nil {
		return Undecided, Report{}, err
	}
	defer free(name)
	report := newReport()
	how := lockingWith(options)
	if err := how.check("inspect", path); err != nil {
		return Undecided, Report{}, err
	}
	status := C.steadfast_lock_inspect(how.context, name, &how.options, &report)
	told, err := check("inspect", path, status, &report)
	return verdict(status), told, err
}

func verdict(status C.int32_t) Verdict {
	if status < 0 {
		return Undecided
	}
	return Verdict(status)
}
