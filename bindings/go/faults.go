package steadfast

// #include <steadfast.h>
import "C"

import "syscall"

// Call is a system call of the library.
type Call uint32

const (
	AnyCall  Call = C.STEADFAST_CALL_ANY
	Openat   Call = C.STEADFAST_CALL_OPENAT
	Write    Call = C.STEADFAST_CALL_WRITE
	Fsync    Call = C.STEADFAST_CALL_FSYNC
	Renameat Call = C.STEADFAST_CALL_RENAMEAT
	Read     Call = C.STEADFAST_CALL_READ
	SetXattr Call = C.STEADFAST_CALL_FSETXATTR
)

// Faults lets one system call fail, to test what a program does then. It is an option of all calls.
type Faults struct{ context *C.steadfast_context }

// Failing lets call number nth (1 is the first) fail, and with forEver every one after it. Close it after use.
func Failing(call Call, nth uint64, errno syscall.Errno, forEver bool) (*Faults, error) {
	var always C.uint32_t
	if forEver {
		always = 1
	}
	faults := &Faults{}
	status := C.steadfast_context_new_failing(nil, C.uint32_t(call), C.uint64_t(nth), C.int32_t(errno), always, &faults.context)
	if status < 0 {
		return nil, syscall.Errno(-status)
	}
	return faults, nil
}

// Close frees it. No call with it may be under way.
func (f *Faults) Close() error {
	C.steadfast_context_free(f.context)
	f.context = nil
	return nil
}

func (f *Faults) save(to *saving)  { f.use(&to.where) }
func (f *Faults) load(to *loading) { f.use(&to.where) }
func (f *Faults) lock(to *locking) { f.use(&to.where) }

// use is for nil none at all.
func (f *Faults) use(to *where) {
	if f != nil {
		to.in(f.context)
	}
}
