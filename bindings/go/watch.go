package steadfast

// #include <steadfast.h>
import "C"

import (
	"context"
	"runtime"
	"syscall"
)

// Change is what Watch has seen.
type Change struct {
	Generation uint64 // 0: there is no state
	Err        error  // the state is damaged, or cannot be looked at
}

// Watch sends each generation other than known that the state at path has, as it comes, until ctx is done; then the channel
// is closed. The directories and links on the way are watched as well, as of Kubernetes' ConfigMaps. With Recover, PATH.prev
// stands for a state that is damaged or missing. A plain file, watched with Plain, has a tag of its content for a generation if
// nothing verifies it. A wait sleeps in the kernel and holds a thread.
func Watch(ctx context.Context, path string, known uint64, options ...LoadOption) (<-chan Change, error) {
	name, err := cpath("watch", path)
	if err != nil {
		return nil, err
	}
	defer free(name)
	how := loadingWith(options)
	if err := how.check("watch", path); err != nil {
		return nil, err
	}
	report := newReport()
	var watch *C.steadfast_watch
	status := C.steadfast_watch_open(how.context, name, &how.options, &watch, &report)
	if _, err := check("watch", path, status, &report); err != nil {
		return nil, err
	}
	changes := make(chan Change)
	go func() {
		defer close(changes)
		defer C.steadfast_watch_close(watch)
		// A Dir among them has to live as long.
		defer runtime.KeepAlive(options)
		const moment = 250 // milliseconds, after which ctx is asked
		for ctx.Err() == nil {
			report := newReport()
			status := C.steadfast_watch_wait(watch, C.uint64_t(known), moment, &report)
			if status == -C.int32_t(syscall.ETIMEDOUT) || status == -C.int32_t(syscall.EINTR) {
				continue
			}
			told, err := check("watch", path, status, &report)
			if err == nil {
				known = told.Generation
			}
			select {
			case changes <- Change{Generation: told.Generation, Err: err}:
			case <-ctx.Done():
			}
		}
	}()
	return changes, nil
}
