package steadfast

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	saved, err := Update(path, func(old *State) ([]byte, error) {
		if old != nil {
			t.Error(old)
		}
		return []byte("1"), nil
	})
	must(t, err)
	if saved.Generation != 1 || !saved.Durable {
		t.Fatal(saved)
	}
	calls := 0
	_, err = Update(path, func(old *State) ([]byte, error) {
		if calls++; calls == 1 {
			_, err := Save(path, []byte("theirs"))
			must(t, err)
		}
		return append(append([]byte(nil), old.Data...), '+'), nil
	}, KeepPrevious(), Schema(7))
	must(t, err)
	state, err := Load(path)
	must(t, err)
	if calls != 2 || string(state.Data) != "theirs+" || state.Schema != 7 || state.Generation != 3 {
		t.Fatal(calls, state)
	}
	saved, err = Update(path, func(*State) ([]byte, error) { return nil, ErrLeave })
	must(t, err)
	if saved.Generation != 3 {
		t.Fatal(saved)
	}
	mine := errors.New("mine")
	_, err = Update(path, func(*State) ([]byte, error) { return nil, mine })
	is(t, err, mine)
	_, err = Update(path, func(*State) ([]byte, error) {
		_, err := Save(path, []byte("theirs"))
		must(t, err)
		return []byte("mine"), nil
	}, Timeout(20*time.Millisecond))
	is(t, err, ErrConflict)
}

func TestUpdateOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	never := func(*State) ([]byte, error) { t.Error("called"); return nil, nil }
	_, err := Update(path, never, IfGeneration(1))
	is(t, err, syscall.EINVAL)
	_, err = Update(path, never, "strict")
	is(t, err, syscall.EINVAL)
	_, err = Save(path, []byte("old"))
	must(t, err)
	_, err = Save(path, []byte("new"), KeepPrevious())
	must(t, err)
	must(t, os.Truncate(path, 100))
	_, err = Update(path, never)
	is(t, err, ErrTruncated)
	_, err = Update(path, func(old *State) ([]byte, error) { return append(append([]byte(nil), old.Data...), '+'), nil }, Recover())
	must(t, err)
	state, err := Load(path)
	must(t, err)
	if string(state.Data) != "old+" {
		t.Fatal(state)
	}
}

func TestCounters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var group sync.WaitGroup
	for i := 0; i < 3; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 20; j++ {
				_, err := Update(path, func(old *State) ([]byte, error) {
					count := 0
					if old != nil {
						count, _ = strconv.Atoi(string(old.Data))
					}
					return []byte(strconv.Itoa(count + 1)), nil
				}, NoSync(), Timeout(time.Minute))
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	state, err := Load(path)
	must(t, err)
	if string(state.Data) != "60" {
		t.Fatal(state)
	}
}

func TestSetMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, mode := range []uint32{0600, 0640, 0604} {
		_, err := Save(path, []byte("x"), SetMode(mode))
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		if uint32(info.Mode().Perm()) != mode {
			t.Fatal(info.Mode())
		}
	}
}

func TestRemove(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "state")
	for i := 0; i < 2; i++ {
		_, err := Save(path, []byte("x"), KeepPrevious())
		must(t, err)
	}
	_, err := Remove(path, IfGeneration(1))
	is(t, err, ErrConflict)
	removed, err := Remove(path, IfGeneration(2))
	must(t, err)
	if removed.Generation != 2 || !removed.Durable {
		t.Fatal(removed)
	}
	left, err := os.ReadDir(directory)
	must(t, err)
	if len(left) != 0 {
		t.Fatal(left)
	}
	_, err = Remove(path)
	is(t, err, fs.ErrNotExist)
}
