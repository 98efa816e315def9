package steadfast

// #include <stdlib.h>
// #include <steadfast.h>
import "C"

import (
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// Dir is a directory where relative paths begin: an option of all calls. Locks that were taken with it outlive it.
type Dir struct{ context *C.steadfast_context }

// DirFlag is how to use a directory.
type DirFlag uint32

const (
	// Beneath lets no path leave it, by no link, no "..", no absolute path: the error is then syscall.EXDEV.
	Beneath DirFlag = C.STEADFAST_CONTEXT_BENEATH
	// NoIOUring is for a process whose seccomp filter kills instead of answering.
	NoIOUring DirFlag = C.STEADFAST_CONTEXT_NO_IO_URING
)

// OpenDir opens a directory. Close it after use.
func OpenDir(path string, flags ...DirFlag) (*Dir, error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	// In C's memory, as all that C looks at.
	options := (*C.steadfast_context_options)(C.calloc(1, C.sizeof_steadfast_context_options))
	if options == nil {
		return nil, syscall.ENOMEM
	}
	defer C.free(unsafe.Pointer(options))
	options.size = C.sizeof_steadfast_context_options
	options.flags = C.STEADFAST_CONTEXT_AT
	options.dirfd = C.int32_t(directory.Fd())
	for _, flag := range flags {
		options.flags |= C.uint32_t(flag)
	}
	made := &Dir{}
	if status := C.steadfast_context_new_with(options, &made.context); status < 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: &Error{Report{Status: Status(status)}}}
	}
	return made, nil
}

// Close frees it. No call with it may be under way.
func (d *Dir) Close() error {
	C.steadfast_context_free(d.context)
	d.context = nil
	return nil
}

func (d *Dir) save(to *saving)  { to.in(d.context) }
func (d *Dir) load(to *loading) { to.in(d.context) }
func (d *Dir) lock(to *locking) { to.in(d.context) }
