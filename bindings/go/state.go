package steadfast

// #include <errno.h>
// #include <stdlib.h>
// #include <steadfast.h>
import "C"

import (
	"encoding/hex"
	"io/fs"
	"syscall"
	"time"
	"unsafe"
)

// Saved is a state that was saved.
type Saved struct {
	Durable    bool // false: a sync failed or was not possible; the report says which
	Verified   bool // false: a plain file without its attribute; told only where it is durable
	Generation uint64
	Report     Report
}

func savedOf(status C.int32_t, told Report, err error) Saved {
	return Saved{
		Durable:    err == nil && Status(status) != statusNotDurable,
		Verified:   err == nil && Status(status) != statusUnverified,
		Generation: told.Generation,
		Report:     told,
	}
}

// Save saves data at path: after a crash at any moment a reader finds the old state or the new one, whole.
func Save(path string, data []byte, options ...SaveOption) (Saved, error) {
	name, err := cpath("save", path)
	if err != nil {
		return Saved{}, err
	}
	defer free(name)
	how := savingWith(options)
	if err := how.check("save", path); err != nil {
		return Saved{}, err
	}
	report := newReport()
	status := C.steadfast_state_save(how.context, name, first(data), C.size_t(len(data)), &how.options, &report)
	told, err := check("save", path, status, &report)
	return savedOf(status, told, err), err
}

// Entry is one state of SaveBatch.
type Entry struct {
	Path string
	Data []byte
	// Set by SaveBatch, in every entry.
	Durable    bool
	Verified   bool
	Generation uint64
	Report     Report // without a message
	Err        error
}

// SaveBatch saves many states, faster than one after the other. Each entry gets its own result; the error is the first
// of theirs. There is no promise across them. A batch that is refused whole saves nothing: the Err of every entry is then
// syscall.ECANCELED, and the error says why.
func SaveBatch(entries []Entry, options ...SaveOption) error {
	if len(entries) == 0 {
		return nil
	}
	how := savingWith(options)
	if err := how.check("save", entries[0].Path); err != nil {
		for i := range entries {
			refused := &fs.PathError{Op: "save", Path: entries[i].Path, Err: syscall.ECANCELED}
			entries[i] = Entry{Path: entries[i].Path, Data: entries[i].Data, Err: refused}
		}
		return err
	}
	// C may not be given memory of Go's that points to memory of Go's: paths and data are copied.
	given := make([]C.steadfast_save_entry, len(entries))
	defer func() {
		for i := range given {
			free(given[i].path)
			C.free(unsafe.Pointer(given[i].data))
		}
	}()
	for i := range entries {
		given[i].size = C.sizeof_steadfast_save_entry
		// One that is no path is "", which is refused for itself alone, and with the same error.
		name, err := cpath("save", entries[i].Path)
		if err != nil {
			name = C.CString("")
		}
		given[i].path = name
		given[i].data = C.CBytes(entries[i].Data)
		given[i].len = C.size_t(len(entries[i].Data))
	}
	report := newReport()
	status := C.steadfast_state_save_batch(how.context, &given[0], C.size_t(len(given)), &how.options, &report)
	refused := status < 0
	var worst error
	for i := range entries {
		entry, result := &entries[i], &given[i]
		refused = refused && result.status == -C.ECANCELED
		own := C.steadfast_report{
			status: result.status, os_error: result.os_error, step: result.step, on_disk: result.on_disk, generation: result.generation,
		}
		told, err := check("save", entry.Path, result.status, &own)
		saved := savedOf(result.status, told, err)
		entry.Durable, entry.Verified, entry.Generation = saved.Durable, saved.Verified, saved.Generation
		entry.Report, entry.Err = told, err
		if worst == nil {
			worst = entry.Err
		}
	}
	if refused {
		_, worst = check("save", entries[0].Path, status, &report)
	}
	return worst
}

// State is a state that was loaded.
type State struct {
	Data       []byte
	Generation uint64 // of a plain file that is not verified: a tag of its content, 1<<63 or more
	SavedAt    time.Time
	Schema     uint32
	SHA256     string // hexadecimal, as in the file's first line
	Recovered  bool   // the one before the newest, for the reason in the report
	Verified   bool   // what was saved, to the bit; false only for a plain file that nothing verifies
	Changed    bool   // a plain file that somebody has changed since it was saved
	Report     Report
}

// Load loads the state at path and verifies it. With Plain, what nothing verifies is no error, and State.Verified is false.
func Load(path string, options ...LoadOption) (*State, error) {
	name, err := cpath("load", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	how := loadingWith(options)
	if err := how.check("load", path); err != nil {
		return nil, err
	}
	report := newReport()
	// In C's memory: C keeps a pointer of its own in it.
	state := (*C.steadfast_state)(C.calloc(1, C.sizeof_steadfast_state))
	if state == nil {
		return nil, syscall.ENOMEM
	}
	defer C.free(unsafe.Pointer(state))
	state.size = C.sizeof_steadfast_state
	status := C.steadfast_state_load(how.context, name, &how.options, state, &report)
	told, err := check("load", path, status, &report)
	if err != nil {
		return nil, err
	}
	defer C.steadfast_state_free(state)
	data := make([]byte, int(state.len))
	copy(data, unsafe.Slice((*byte)(state.data), int(state.len)))
	return &State{
		Data:       data,
		Generation: uint64(state.generation),
		SavedAt:    time.Unix(0, int64(state.saved_at_ns)),
		Schema:     uint32(state.schema),
		SHA256:     hex.EncodeToString(C.GoBytes(unsafe.Pointer(&state.sha256[0]), 32)),
		Recovered:  Status(status) == statusRecovered,
		Verified:   Status(status) != statusUnverified && Status(status) != statusChanged,
		Changed:    Status(status) == statusChanged,
		Report:     told,
	}, nil
}

// LoadInto loads the state at path, of any length, into buf and returns its length. With ErrTooLarge that is the length
// needed.
func LoadInto(path string, buf []byte, options ...LoadOption) (int, Report, error) {
	name, err := cpath("load", path)
	if err != nil {
		return 0, Report{}, err
	}
	defer free(name)
	how := loadingWith(options)
	if err := how.check("load", path); err != nil {
		return 0, Report{}, err
	}
	report := newReport()
	var length C.size_t
	status := C.steadfast_state_load_into(how.context, name, &how.options, first(buf), C.size_t(len(buf)), &length, &report)
	told, err := check("load", path, status, &report)
	return int(length), told, err
}
