// Package steadfast saves state files that are whole after any crash, and takes lock files that are never taken from
// a live owner and never left behind by a dead one. It wraps the C library of the same name, found by pkg-config.
//
// Errors are *fs.PathError around *Error: errors.Is compares them with the errors of package fs, with a syscall.Errno,
// and with the Err... values here; errors.As finds the *Error with the report, and the syscall.Errno or the Status.
// os.IsNotExist and its like know only the errors of package os.
package steadfast

/*
#cgo pkg-config: steadfast
#include <stdlib.h>
#include <steadfast.h>
*/
import "C"

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// Status is a code of the library that is no errno. As an error it is what errors.Is compares with.
type Status int32

// The codes below 0, as errors.
const (
	ErrEmpty           Status = C.STEADFAST_E_EMPTY
	ErrTruncated       Status = C.STEADFAST_E_TRUNCATED
	ErrTrailing        Status = C.STEADFAST_E_TRAILING
	ErrDigest          Status = C.STEADFAST_E_DIGEST
	ErrFormat          Status = C.STEADFAST_E_FORMAT
	ErrNewer           Status = C.STEADFAST_E_NEWER
	ErrSchema          Status = C.STEADFAST_E_SCHEMA
	ErrLost            Status = C.STEADFAST_E_LOST
	ErrTooLarge        Status = C.STEADFAST_E_TOO_LARGE
	ErrConflict        Status = C.STEADFAST_E_CONFLICT
	ErrSymlink         Status = C.STEADFAST_E_SYMLINK
	ErrNotRegular      Status = C.STEADFAST_E_NOT_REGULAR
	ErrNotSavedDurably Status = C.STEADFAST_E_NOT_SAVED_DURABLY
	ErrSavedNotDurable Status = C.STEADFAST_E_SAVED_NOT_DURABLE
	ErrIndeterminate   Status = C.STEADFAST_E_INDETERMINATE
	ErrLocked          Status = C.STEADFAST_E_LOCKED
	ErrLockLost        Status = C.STEADFAST_E_LOCK_LOST
	ErrWrongProcess    Status = C.STEADFAST_E_WRONG_PROCESS
	ErrHook            Status = C.STEADFAST_E_HOOK
	ErrUnsupported     Status = C.STEADFAST_E_UNSUPPORTED
	ErrUnverified      Status = C.STEADFAST_E_UNVERIFIED
	ErrBusy            Status = C.STEADFAST_E_BUSY
	ErrInternal        Status = C.STEADFAST_E_INTERNAL
	statusNotDurable   Status = C.STEADFAST_NOT_DURABLE
	statusRecovered    Status = C.STEADFAST_RECOVERED
	statusUnverified   Status = C.STEADFAST_UNVERIFIED
	statusChanged      Status = C.STEADFAST_CHANGED
	lowestErrno        Status = -4095
)

// Name is the constant's name in C, or the errno's: "STEADFAST_E_DIGEST", "ENOENT".
func (s Status) Name() string { return C.GoString(C.steadfast_status_name(C.int32_t(s))) }

// Error says what the code means.
func (s Status) Error() string { return C.GoString(C.steadfast_status_message(C.int32_t(s))) }

// Is compares with what portable code asks for: os.ErrDeadlineExceeded, and the errno that stands for the same.
func (s Status) Is(target error) bool {
	switch s {
	case ErrLocked, ErrBusy:
		return target == os.ErrDeadlineExceeded || target == syscall.ETIMEDOUT
	case ErrSymlink:
		return target == syscall.ELOOP
	case ErrTooLarge:
		return target == syscall.EFBIG
	case ErrUnsupported:
		return target == syscall.ENOTSUP || syscall.ENOTSUP.Is(target) // errors.ErrUnsupported since Go 1.21
	}
	return false
}

// OnDisk is what a power cut now would leave.
type OnDisk int32

const (
	Old     OnDisk = C.STEADFAST_ON_DISK_OLD
	New     OnDisk = C.STEADFAST_ON_DISK_NEW
	Either  OnDisk = C.STEADFAST_ON_DISK_EITHER  // the old one perhaps as PATH.prev
	Unknown OnDisk = C.STEADFAST_ON_DISK_UNKNOWN // perhaps nothing whole: only a load can tell
)

func (o OnDisk) String() string {
	names := [...]string{"old", "new", "either"}
	if o < 0 || int(o) >= len(names) {
		return "unknown"
	}
	return names[o]
}

// Report is what a call came to.
type Report struct {
	Status     Status
	Errno      syscall.Errno // of the system call that failed, 0 when none did
	Step       int           // STEADFAST_STEP_*: which one
	OnDisk     OnDisk
	Generation uint64
	PID        int // the process that the lock names, 0 when none
	Message    string
}

// Error is a call that was not done.
type Error struct{ Report }

func (e *Error) Error() string {
	message := e.Message
	if message == "" { // of one among many in a batch
		message = e.Status.Error()
	}
	return fmt.Sprintf("%s (%s)", message, e.Status.Name())
}

// Is compares with the errno of the system call that failed, whatever the code. What Unwrap returns is compared as well.
func (e *Error) Is(target error) bool {
	errno, ok := target.(syscall.Errno)
	return ok && errno == e.Errno
}

// Unwrap is a syscall.Errno, which errors.Is compares with fs.ErrNotExist and the like, or else the Status.
func (e *Error) Unwrap() error {
	if e.Status < 0 && e.Status >= lowestErrno {
		return syscall.Errno(-e.Status)
	}
	return e.Status
}

// Timeout says whether it was not done in time; os.IsTimeout asks it.
func (e *Error) Timeout() bool { return e.Status == ErrLocked || e.Status == ErrBusy }

func newReport() C.steadfast_report {
	return C.steadfast_report{size: C.sizeof_steadfast_report}
}

func read(report *C.steadfast_report) Report {
	return Report{
		Status:     Status(report.status),
		Errno:      syscall.Errno(report.os_error),
		Step:       int(report.step),
		OnDisk:     OnDisk(report.on_disk),
		Generation: uint64(report.generation),
		PID:        int(report.pid),
		Message:    C.GoString(&report.message[0]),
	}
}

// check turns a status below 0 into the error.
func check(op, path string, status C.int32_t, report *C.steadfast_report) (Report, error) {
	told := read(report)
	if status < 0 {
		told.Status = Status(status)
		return told, &fs.PathError{Op: op, Path: path, Err: &Error{told}}
	}
	return told, nil
}

// cpath is the path in C's memory, to be freed. C would silently stop at a NUL, and use another file.
func cpath(op, path string) (*C.char, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, &fs.PathError{Op: op, Path: path, Err: syscall.EINVAL}
	}
	return C.CString(path), nil
}

func free(path *C.char) { C.free(unsafe.Pointer(path)) }

// first is the address of the bytes, for a call that keeps nothing.
func first(data []byte) unsafe.Pointer {
	if len(data) == 0 {
		return nil
	}
	return unsafe.Pointer(&data[0])
}

// Version is the library's.
func Version() string { return C.GoString(C.steadfast_version()) }
