package steadfast

// #include <steadfast.h>
import "C"

import "time"

type saving struct {
	options C.steadfast_save_options
	faults  *Faults
}

type loading struct {
	options C.steadfast_load_options
	faults  *Faults
}

// SaveOption is how to save.
type SaveOption interface{ save(*saving) }

// LoadOption is how to load.
type LoadOption interface{ load(*loading) }

// LockOption is how to treat a lock.
type LockOption func(*C.steadfast_lock_options)

type saveOption func(*saving)

func (set saveOption) save(to *saving) { set(to) }

type loadOption func(*loading)

func (set loadOption) load(to *loading) { set(to) }

func flag(bit C.uint32_t) SaveOption {
	return saveOption(func(to *saving) { to.options.flags |= bit })
}

// Strict makes what cannot be made durable an error instead of Durable false.
func Strict() SaveOption { return flag(C.STEADFAST_SAVE_STRICT) }

// KeepPrevious keeps the verified previous generation as PATH.prev.
func KeepPrevious() SaveOption { return flag(C.STEADFAST_SAVE_KEEP_PREVIOUS) }

// FollowSymlink saves to what the link at the path points to; without it a link is refused.
func FollowSymlink() SaveOption { return flag(C.STEADFAST_SAVE_FOLLOW_SYMLINK) }

// CreateParents makes missing parent directories, durably.
func CreateParents() SaveOption { return flag(C.STEADFAST_SAVE_CREATE_PARENTS) }

// Recycle overwrites the spare generation in place. It implies KeepPrevious.
func Recycle() SaveOption { return flag(C.STEADFAST_SAVE_RECYCLE) }

// NoSync saves atomically, but never durably.
func NoSync() SaveOption { return flag(C.STEADFAST_SAVE_NO_SYNC) }

// SyncFS, for SaveBatch, syncs the file system once instead of each file.
func SyncFS() SaveOption { return flag(C.STEADFAST_SAVE_SYNCFS) }

// IfGeneration saves only over the state with this generation, else ErrConflict. 0: only if there is none yet.
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

// Schema stores your own format number, which Load hands back.
func Schema(number uint32) SaveOption {
	return saveOption(func(to *saving) { to.options.schema = C.uint32_t(number) })
}

// Recover falls back to PATH.prev when the current state is damaged or missing.
func Recover() LoadOption {
	return loadOption(func(to *loading) { to.options.flags |= C.STEADFAST_LOAD_RECOVER })
}

// RequireSchema is the schema that the state must have, else ErrSchema.
func RequireSchema(number uint32) LoadOption {
	return loadOption(func(to *loading) {
		to.options.flags |= C.STEADFAST_LOAD_REQUIRE_SCHEMA
		to.options.schema = C.uint32_t(number)
	})
}

// MaxLen is the longest payload accepted, 1 GiB unless given.
func MaxLen(bytes uint64) LoadOption {
	return loadOption(func(to *loading) { to.options.max_len = C.uint64_t(bytes) })
}

// TrustStartTime takes a bare PID for reused when its process started after the lock was last written.
func TrustStartTime() LockOption {
	return func(to *C.steadfast_lock_options) { to.flags |= C.STEADFAST_LOCK_TRUST_START_TIME }
}

// LockMode is the permission bits of the lock file, less the umask; 0644 unless given.
func LockMode(bits uint32) LockOption {
	return func(to *C.steadfast_lock_options) { to.mode = C.uint32_t(bits) }
}

// EmptyGrace is how long another program's lock file may be empty before it is stale.
func EmptyGrace(grace time.Duration) LockOption {
	return func(to *C.steadfast_lock_options) { to.empty_grace_ms = C.int64_t(grace.Milliseconds()) }
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

func lockingWith(options []LockOption) *C.steadfast_lock_options {
	to := &C.steadfast_lock_options{size: C.sizeof_steadfast_lock_options}
	for _, set := range options {
		set(to)
	}
	return to
}
