package steadfast

// #include <stdlib.h>
// #include <steadfast.h>
import "C"

import (
	"encoding/hex"
	"io"
	"io/fs"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Writer saves a state of any length piece by piece: an io.WriteCloser. Nothing is seen of it before Commit.
//
//	w, err := steadfast.Create("app.state")
//	if err != nil { ... }
//	defer w.Close() // gives it up, unless it was committed
//	...
//	saved, err := w.Commit()
type Writer struct {
	mutex   sync.Mutex
	writer  *C.steadfast_writer
	path    string
	options []SaveOption // a Dir among them has to live as long
}

// Create begins to save a state at path. The options are those of Save.
func Create(path string, options ...SaveOption) (*Writer, error) {
	name, err := cpath("create", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	how := savingWith(options)
	if err := how.check("create", path); err != nil {
		return nil, err
	}
	report := newReport()
	w := &Writer{path: path, options: options}
	status := C.steadfast_writer_open(how.context, name, &how.options, &w.writer, &report)
	if _, err := check("create", path, status, &report); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(w, (*Writer).Close)
	return w, nil
}

// take empties the writer, which is nil if it was closed.
func (w *Writer) take() *C.steadfast_writer {
	writer := w.writer
	w.writer = nil
	runtime.SetFinalizer(w, nil)
	return writer
}

func (w *Writer) closed(op string) error {
	return &fs.PathError{Op: op, Path: w.path, Err: fs.ErrClosed}
}

// Write appends to the state. An error stays: Commit returns it as well.
func (w *Writer) Write(data []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.writer == nil {
		return 0, w.closed("write")
	}
	report := newReport()
	status := C.steadfast_writer_write(w.writer, first(data), C.size_t(len(data)), &report)
	if _, err := check("write", w.path, status, &report); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Fd is a descriptor to write to with other means. It belongs to the Writer: do not close it, and do not write to it any more when
// Commit begins.
func (w *Writer) Fd() (uintptr, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.writer == nil {
		return 0, w.closed("fd")
	}
	report := newReport()
	var fd C.int32_t
	status := C.steadfast_writer_fd(w.writer, &fd, &report)
	_, err := check("fd", w.path, status, &report)
	return uintptr(fd), err
}

// Commit saves what was written, as Save would, and closes the Writer in any case.
func (w *Writer) Commit() (Saved, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	writer := w.take()
	if writer == nil {
		return Saved{}, w.closed("commit")
	}
	report := newReport()
	status := C.steadfast_writer_commit(writer, &report)
	told, err := check("commit", w.path, status, &report)
	return savedOf(status, told, err), err
}

// Abort gives up what was written: the state is as it was. After Commit it does nothing.
func (w *Writer) Abort() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	C.steadfast_writer_abort(w.take())
}

// Close is Abort, for defer. It returns nil.
func (w *Writer) Close() error {
	w.Abort()
	return nil
}

// Reader reads parts of a verified state of any length: an io.ReaderAt and an io.Closer. Each byte is one that was hashed when
// it was opened; if somebody changes the file in place meanwhile, ReadAt is ErrDigest. io.NewSectionReader(r, 0, r.Size) is
// an io.ReadSeeker.
type Reader struct {
	Size       int64
	Generation uint64
	SavedAt    time.Time
	Schema     uint32
	SHA256     string // hexadecimal, as in the file's first line
	Recovered  bool   // the one before the newest, for the reason in the report
	Verified   bool   // what was saved, to the bit; false only with Plain
	Changed    bool   // a plain file that somebody has changed since it was saved
	Report     Report

	mutex   sync.Mutex
	reader  *C.steadfast_reader
	path    string
	options []LoadOption
}

// Open verifies the state at path. The options are those of Load; without MaxLen there is no limit.
func Open(path string, options ...LoadOption) (*Reader, error) {
	name, err := cpath("open", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	how := loadingWith(options)
	if err := how.check("open", path); err != nil {
		return nil, err
	}
	report := newReport()
	about := (*C.steadfast_state)(C.calloc(1, C.sizeof_steadfast_state))
	if about == nil {
		return nil, syscall.ENOMEM
	}
	defer C.free(unsafe.Pointer(about))
	about.size = C.sizeof_steadfast_state
	r := &Reader{path: path, options: options}
	status := C.steadfast_reader_open(how.context, name, &how.options, &r.reader, about, &report)
	if r.Report, err = check("open", path, status, &report); err != nil {
		return nil, err
	}
	r.Size = int64(about.len)
	r.Generation = uint64(about.generation)
	r.SavedAt = time.Unix(0, int64(about.saved_at_ns))
	r.Schema = uint32(about.schema)
	r.SHA256 = hex.EncodeToString(C.GoBytes(unsafe.Pointer(&about.sha256[0]), 32))
	r.Recovered = Status(status) == statusRecovered
	r.Changed = Status(status) == statusChanged
	r.Verified = !r.Changed && Status(status) != statusUnverified
	runtime.SetFinalizer(r, (*Reader).Close)
	return r, nil
}

// ReadAt reads from the payload. Goroutines may call it at the same time; one reads after the other.
func (r *Reader) ReadAt(buf []byte, offset int64) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.reader == nil {
		return 0, &fs.PathError{Op: "read", Path: r.path, Err: fs.ErrClosed}
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "read", Path: r.path, Err: syscall.EINVAL}
	}
	report := newReport()
	var length C.size_t
	status := C.steadfast_reader_read(r.reader, C.uint64_t(offset), first(buf), C.size_t(len(buf)), &length, &report)
	if _, err := check("read", r.path, status, &report); err != nil {
		return 0, err
	}
	if int(length) < len(buf) {
		return int(length), io.EOF
	}
	return int(length), nil
}

// Close closes it. A second one does nothing.
func (r *Reader) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	runtime.SetFinalizer(r, nil)
	C.steadfast_reader_close(r.reader)
	r.reader = nil
	return nil
}
