package steadfast

// #include <steadfast.h>
import "C"

import (
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// ErrLeave, returned by the function of Update, leaves the state as it is.
var ErrLeave = errors.New("steadfast: leave the state as it is")

// UpdateOption is a SaveOption or a LoadOption.
type UpdateOption any

// Update loads the state at path, calls change with it (nil: there is none), and saves what that returns. If somebody else
// saved meanwhile, it does so again with what is there by then, for as long as Timeout says: no change is lost.
//
// Options are those of Save and of Load, and Plain is for both; IfGeneration is not among them. An error of change ends it, and is returned;
// with ErrLeave the state stays as it is, and Update returns no error.
func Update(path string, change func(old *State) ([]byte, error), options ...UpdateOption) (Saved, error) {
	var saves []SaveOption
	var loads []LoadOption
	for _, option := range options {
		save, isSave := option.(SaveOption)
		load, isLoad := option.(LoadOption)
		if isSave {
			saves = append(saves, save)
		}
		if isLoad {
			loads = append(loads, load)
		}
		if !isSave && !isLoad {
			return Saved{}, &fs.PathError{Op: "update", Path: path, Err: syscall.EINVAL}
		}
	}
	how := savingWith(saves)
	if how.options.flags&C.STEADFAST_SAVE_IF_GENERATION != 0 {
		return Saved{}, &fs.PathError{Op: "update", Path: path, Err: syscall.EINVAL}
	}
	wait := time.Duration(how.options.timeout_ms) * time.Millisecond
	if wait == 0 {
		wait = 10 * time.Second
	}
	begun := time.Now()
	for {
		old, err := Load(path, loads...)
		var generation uint64
		if err == nil {
			generation = old.Generation
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Saved{}, err
		} else {
			old = nil
		}
		data, err := change(old)
		if errors.Is(err, ErrLeave) {
			return Saved{Generation: generation}, nil
		}
		if err != nil {
			return Saved{}, err
		}
		// A copy: append may write into the slice of another round.
		saved, err := Save(path, data, append(append([]SaveOption{}, saves...), IfGeneration(generation))...)
		if !errors.Is(err, ErrConflict) || wait > 0 && time.Since(begun) >= wait {
			return saved, err
		}
	}
}

// Remove removes the state at path and its previous generation: after a crash at any moment no older state comes back.
// The options that count are Strict, IfGeneration, FollowSymlink, NoSync, Plain, Timeout and a Dir. The error is fs.ErrNotExist
// when neither is there.
func Remove(path string, options ...SaveOption) (Saved, error) {
	name, err := cpath("remove", path)
	if err != nil {
		return Saved{}, err
	}
	defer free(name)
	how := savingWith(options)
	if err := how.check("remove", path); err != nil {
		return Saved{}, err
	}
	report := newReport()
	status := C.steadfast_state_remove(how.context, name, &how.options, &report)
	told, err := check("remove", path, status, &report)
	return savedOf(status, told, err), err
}
