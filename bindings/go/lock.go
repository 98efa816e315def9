package steadfast

/*
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <steadfast.h>

// The poll hook of a wait that can be cancelled: its `user` is an eventfd, which ends the poll as a signal would.
static int32_t cancellable_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    struct pollfd all[9] = { { .fd = (int)(intptr_t)user, .events = POLLIN } };
    struct timespec timeout = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
    if (count > 8)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        all[i + 1] = (struct pollfd){ .fd = fds[i].fd, .events = fds[i].events };
    int ready = ppoll(all, count + 1, timeout_ns < 0 ? NULL : &timeout, NULL);
    // A signal of the Go runtime's is none of ours: as if nothing came.
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    if (all[0].revents != 0)
        return -EINTR;
    for (uint32_t i = 0; i < count; i++)
        fds[i].revents = all[i + 1].revents;
    return ready;
}

static int32_t acquire(int cancel, const char *path, int64_t timeout_ms, steadfast_lock_options *options,
                       steadfast_lock **out, steadfast_report *report)
{
    steadfast_context *context = NULL;
    if (cancel >= 0) {
        steadfast_hooks hooks = steadfast_hooks_init();
        hooks.user = (void *)(intptr_t)cancel;
        hooks.poll = cancellable_poll;
        int32_t status = steadfast_context_new(&hooks, &context);
        if (status < 0)
            return report->status = status;
        options->flags |= STEADFAST_LOCK_EINTR_RETURNS;
    }
    int32_t status = steadfast_lock_acquire(context, path, timeout_ms, options, out, report);
    steadfast_context_free(context);
    return status;
}

static int32_t new_cancel(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}
*/
import "C"

import (
	"context"
	"errors"
	"io/fs"
	"math"
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
		return acquire(path, -1, -1, options)
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
	if errors.Is(err, syscall.EINTR) && ctx.Err() != nil {
		err = &fs.PathError{Op: "lock", Path: path, Err: ctx.Err()}
	}
	return held, err
}

// TryLock takes the lock if that is possible at once, else the error is ErrLocked and its report has the holder's PID.
func TryLock(path string, options ...LockOption) (*Held, error) {
	return acquire(path, 0, -1, options)
}

// LockTimeout waits at most as long as given.
func LockTimeout(path string, timeout time.Duration, options ...LockOption) (*Held, error) {
	milliseconds := int64(math.Ceil(float64(timeout) / float64(time.Millisecond)))
	if milliseconds < 0 {
		milliseconds = 0
	}
	return acquire(path, milliseconds, -1, options)
}

func acquire(path string, milliseconds int64, cancel int, options []LockOption) (*Held, error) {
	name, err := cpath("lock", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	held := &Held{path: path}
	report := newReport()
	var lock *C.steadfast_lock
	status := C.acquire(C.int(cancel), name, C.int64_t(milliseconds), lockingWith(options), &lock, &report)
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
	status := C.steadfast_lock_clean_stale(nil, name, lockingWith(options), &report)
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
	status := C.steadfast_lock_inspect(nil, name, lockingWith(options), &report)
	told, err := check("inspect", path, status, &report)
	return verdict(status), told, err
}

func verdict(status C.int32_t) Verdict {
	if status < 0 {
		return Undecided
	}
	return Verdict(status)
}
