package steadfast

// #include <steadfast.h>
import "C"

import (
	"io/fs"
	"math"
	"time"
)

// where is the context of a call. It is nil, for all that C looks at, without a Dir or Faults among the options.
type where struct {
	context *C.steadfast_context
	closed  bool
}

func (w *where) in(context *C.steadfast_context) {
	w.context = context
	w.closed = context == nil
}

// check refuses a Dir or Faults that were closed: without them a relative path would be another file's.
func (w *where) check(op, path string) error {
	if w.closed {
		return &fs.PathError{Op: op, Path: path, Err: fs.ErrClosed}
	}
	return nil
}

type saving struct {
	where
	options C.steadfast_save_options
}

type loading struct {
	where
	options C.steadfast_load_options
}

type locking struct {
	where
	options C.steadfast_lock_options
}

// SaveOption is how to save.
type SaveOption interface{ save(*saving) }

// LoadOption is how to load.
type LoadOption interface{ load(*loading) }

// LockOption is how to treat a lock.
type LockOption interface{ lock(*locking) }

type saveOption func(*saving)

func (set saveOption) save(to *saving) { set(to) }

type loadOption func(*loading)

func (set loadOption) load(to *loading) { set(to) }

type lockOption func(*locking)

func (set lockOption) lock(to *locking) { set(to) }

func flag(bit C.uint32_t) SaveOption {
	return saveOption(func(to *saving) { to.options.flags |= bit })
}

// Strict makes what cannot be made durable an error instead of Durable false.
func Strict() SaveOption { return flag(C.STEADFAST_SAVE_STRICT) }

// KeepPrevious keeps the verified previous generation as PATH.prev.
func KeepPrevious() SaveOption { return flag(C.STEADFAST_SAVE_KEEP_PREVIOUS) }

// Alternate saves with one flush of the device instead of two to four, for a state that is saved often: PATH and PATH.prev take
// turns, and the newer one is the state. Hand on what Load gives, not the file at PATH. What Create writes is saved the ordinary way.
func Alternate() SaveOption { return flag(C.STEADFAST_SAVE_ALTERNATE) }

// FollowSymlink saves to what the link at the path points to; without it a link is refused.
func FollowSymlink() SaveOption { return flag(C.STEADFAST_SAVE_FOLLOW_SYMLINK) }

// CreateParents makes missing parent directories, durably.
func CreateParents() SaveOption { return flag(C.STEADFAST_SAVE_CREATE_PARENTS) }

// NoSync saves atomically, but never durably. With KeepPrevious the last durable generation stays as PATH.prev.
func NoSync() SaveOption { return flag(C.STEADFAST_SAVE_NO_SYNC) }

// SyncFS, for SaveBatch, syncs the file system once instead of each file.
func SyncFS() SaveOption { return flag(C.STEADFAST_SAVE_SYNCFS) }

// KeepAttributes hands on the attributes user.* of the file that is replaced, and its security labels.
func KeepAttributes() SaveOption { return flag(C.STEADFAST_SAVE_KEEP_ATTRIBUTES) }

// InPlace writes a file that cannot be replaced in place, after a durable copy of it as PATH.prev. Not for SaveBatch or
// Create.
func InPlace() SaveOption { return flag(C.STEADFAST_SAVE_IN_PLACE) }

// PlainOption is what Plain returns: it is for saves and for loads.
type PlainOption struct{}

// Plain is for a file that holds the data and nothing else; an extended attribute verifies it. Loaded with it is also anybody's
// file: State.Verified and State.Changed say what is known of it.
func Plain() PlainOption { return PlainOption{} }

func (PlainOption) save(to *saving)  { to.options.flags |= C.STEADFAST_SAVE_PLAIN }
func (PlainOption) load(to *loading) { to.options.flags |= C.STEADFAST_LOAD_PLAIN }

// Timeout is how long to wait for other savers of the same state, 10 seconds unless given; a negative one is without end.
// Past it the error is ErrBusy, and the old state stands.
func Timeout(timeout time.Duration) SaveOption {
	// 0 would mean the default to the library.
	wait := milliseconds(timeout)
	if wait == 0 {
		wait = 1
	}
	if timeout < 0 {
		wait = -1
	}
	return saveOption(func(to *saving) { to.options.timeout_ms = C.int64_t(wait) })
}

// IfGeneration saves only over the state with this generation, else ErrConflict. 0: only if there is none yet, and no
// previous one.
func IfGeneration(generation uint64) SaveOption {
	return saveOption(func(to *saving) {
		to.options.flags |= C.STEADFAST_SAVE_IF_GENERATION
		to.options.expected_generation = C.uint64_t(generation)
	})
}

// Mode is the permission bits of a new file, 0600 unless given.
func Mode(bits uint32) SaveOption {
	return saveOption(func(to *saving) { to.options.mode = C.uint32_t(bits) })
}

// SetMode is Mode for a file that is there already as well; it may open it to more.
func SetMode(bits uint32) SaveOption {
	return saveOption(func(to *saving) {
		to.options.flags |= C.STEADFAST_SAVE_SET_MODE
		to.options.mode = C.uint32_t(bits)
	})
}

// Schema stores your own format number, which Load hands back.
func Schema(number uint32) SaveOption {
	return saveOption(func(to *saving) { to.options.schema = C.uint32_t(number) })
}

// Recover falls back to PATH.prev when the current state is damaged or missing.
func Recover() LoadOption {
	return loadOption(func(to *loading) { to.options.flags |= C.STEADFAST_LOAD_RECOVER })
}

// Verified, with Plain, refuses what nothing verifies: ErrUnverified.
func Verified() LoadOption {
	return loadOption(func(to *loading) { to.options.flags |= C.STEADFAST_LOAD_REQUIRE_VERIFIED })
}

// RequireSchema is the schema that the state must have, else ErrSchema.
func RequireSchema(number uint32) LoadOption {
	return loadOption(func(to *loading) {
		to.options.flags |= C.STEADFAST_LOAD_REQUIRE_SCHEMA
		to.options.schema = C.uint32_t(number)
	})
}

// MaxLen is the longest payload accepted. Unless given it is 1 GiB for Load, and the buffer's length for LoadInto.
func MaxLen(bytes uint64) LoadOption {
	return loadOption(func(to *loading) { to.options.max_len = C.uint64_t(bytes) })
}

// TrustStartTime takes a bare PID for reused when its process started after the lock was last written.
func TrustStartTime() LockOption {
	return lockOption(func(to *locking) { to.options.flags |= C.STEADFAST_LOCK_TRUST_START_TIME })
}

// Inherit lets programs that this process starts keep the lock held while they live, should this process be killed.
// (A Go process does not fork without exec, so there is no adopting of a lock by a child.)
func Inherit() LockOption {
	return lockOption(func(to *locking) { to.options.flags |= C.STEADFAST_LOCK_INHERIT })
}

// LockMode is the permission bits of the lock file, less the umask; 0644 unless given.
func LockMode(bits uint32) LockOption {
	return lockOption(func(to *locking) { to.options.mode = C.uint32_t(bits) })
}

// EmptyGrace is how long another program's lock file may be empty before it is stale.
func EmptyGrace(grace time.Duration) LockOption {
	return lockOption(func(to *locking) { to.options.empty_grace_ms = C.int64_t(grace.Milliseconds()) })
}

func savingWith(options []SaveOption) *saving {
	to := &saving{options: C.steadfast_save_options{size: C.sizeof_steadfast_save_options}}
	for _, option := range options {
		option.save(to)
	}
	return to
}

func loadingWith(options []LoadOption) *loading {
	to := &loading{options: C.steadfast_load_options{size: C.sizeof_steadfast_load_options}}
	for _, option := range options {
		option.load(to)
	}
	return to
}

func lockingWith(options []LockOption) *locking {
	to := &locking{options: C.steadfast_lock_options{size: C.sizeof_steadfast_lock_options}}
	for _, option := range options {
		option.lock(to)
	}
	return to
}

// milliseconds rounds up.
func milliseconds(timeout time.Duration) int64 {
	return int64(math.Ceil(float64(timeout) / float64(time.Millisecond)))
}
