package steadfast

// #include <stdlib.h>
// #include <steadfast.h>
import "C"

import (
	"encoding/hex"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Saved is a state that was saved.
type Saved struct {
	Durable    bool // false: a sync failed or was not possible; the report says which
	Generation uint64
	Report     Report
}

// Save saves data at path: after a crash at any moment a reader finds the old state or the new one, whole.
func Save(path string, data []byte, options ...SaveOption) (Saved, error) {
	name, err := cpath("save", path)
	if err != nil {
		return Saved{}, err
	}
	defer free(name)
	how := savingWith(options)
	report := newReport()
	status := C.steadfast_state_save(how.faults.orNone(), name, first(data), C.size_t(len(data)), &how.options, &report)
	runtime.KeepAlive(how)
	told, err := check("save", path, status, &report)
	return Saved{Durable: Status(status) != statusNotDurable && err == nil, Generation: told.Generation, Report: told}, err
}

// Entry is one state of SaveBatch.
type Entry struct {
	Path string
	Data []byte
	// Set by SaveBatch.
	Durable    bool
	Generation uint64
	Err        error
}

// SaveBatch saves many states, faster than one after the other. Each entry gets its own result; the error is the first
// of theirs. There is no promise across them.
func SaveBatch(entries []Entry, options ...SaveOption) error {
	if len(entries) == 0 {
		return nil
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
		name, err := cpath("save", entries[i].Path)
		if err != nil {
			entries[i].Err = err
			return err
		}
		given[i].size = C.sizeof_steadfast_save_entry
		given[i].path = name
		given[i].data = C.CBytes(entries[i].Data)
		given[i].len = C.size_t(len(entries[i].Data))
	}
	how := savingWith(options)
	report := newReport()
	status := C.steadfast_state_save_batch(how.faults.orNone(), &given[0], C.size_t(len(given)), &how.options, &report)
	runtime.KeepAlive(how)
	if status < 0 && (report.step == stepOfTheArguments || report.step == C.STEADFAST_STEP_ALLOCATE) {
		_, err := check("save", entries[0].Path, status, &report)
		return err
	}
	var worst error
	for i := range entries {
		own := C.steadfast_report{status: given[i].status, os_error: given[i].os_error, generation: given[i].generation}
		_, err := check("save", entries[i].Path, given[i].status, &own)
		entries[i].Durable = given[i].status == C.STEADFAST_OK
		entries[i].Generation = uint64(given[i].generation)
		entries[i].Err = err
		if worst == nil {
			worst = err
		}
	}
	return worst
}

// State is a state that was loaded.
type State struct {
	Data       []byte
	Generation uint64
	SavedAt    time.Time
	Schema     uint32
	SHA256     string // hexadecimal, as in the file's first line
	Recovered  bool   // from PATH.prev, for the reason in the report
	Report     Report
}

// Load loads the state at path and verifies it.
func Load(path string, options ...LoadOption) (*State, error) {
	name, err := cpath("load", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	how := loadingWith(options)
	report := newReport()
	// In C's memory: C keeps a pointer of its own in it.
	state := (*C.steadfast_state)(C.calloc(1, C.sizeof_steadfast_state))
	if state == nil {
		return nil, syscall.ENOMEM
	}
	defer C.free(unsafe.Pointer(state))
	state.size = C.sizeof_steadfast_state
	status := C.steadfast_state_load(how.faults.orNone(), name, &how.options, state, &report)
	runtime.KeepAlive(how)
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
		Recovered:  state.source == sourceIsThePrevious,
		Report:     told,
	}, nil
}

// LoadInto loads the state at path into buf and returns its length. With ErrTooLarge that is the length needed.
func LoadInto(path string, buf []byte, options ...LoadOption) (int, Report, error) {
	name, err := cpath("load", path)
	if err != nil {
		return 0, Report{}, err
	}
	defer free(name)
	how := loadingWith(options)
	report := newReport()
	var length C.size_t
	status := C.steadfast_state_load_into(how.faults.orNone(), name, &how.options, first(buf), C.size_t(len(buf)), &length, &report)
	runtime.KeepAlive(how)
	told, err := check("load", path, status, &report)
	return int(length), told, err
}
