package steadfast

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const tags = uint64(1) << 63

// edit writes in place, as an editor that knows nothing of us, and at another time.
func edit(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
}

// needsAttributes skips where the file system has no extended attributes for users.
func needsAttributes(t *testing.T, directory string) {
	t.Helper()
	path := filepath.Join(directory, "probe")
	must(t, os.WriteFile(path, nil, 0o600))
	defer os.Remove(path)
	if syscall.Setxattr(path, "user.probe", []byte("1"), 0) != nil {
		t.Skip("no extended attributes here")
	}
}

func holds(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	if string(data) != text {
		t.Fatalf("%q, not %q", data, text)
	}
}

func TestAnybodysFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it.json")
	edit(t, path, "anybody's")
	state, err := Load(path, Plain())
	must(t, err)
	if string(state.Data) != "anybody's" || state.Verified || state.Changed || state.Generation < tags || !state.SavedAt.Equal(time.Unix(0, 0)) {
		t.Fatalf("%+v", state)
	}
	buf := make([]byte, 20)
	length, report, err := LoadInto(path, buf, Plain())
	must(t, err)
	if string(buf[:length]) != "anybody's" || report.Generation != state.Generation {
		t.Fatal(length, report)
	}
	_, err = Load(path, Plain(), Verified())
	is(t, err, ErrUnverified)
	_, _, err = LoadInto(path, buf, Plain(), Verified())
	is(t, err, ErrUnverified)
	_, err = Load(path)
	is(t, err, ErrFormat)
}

func TestPlainSavedAndEdited(t *testing.T) {
	directory := t.TempDir()
	needsAttributes(t, directory)
	path := filepath.Join(directory, "it.json")
	saved, err := Save(path, []byte(`{"a": 1}`), Plain(), Schema(7))
	must(t, err)
	if !saved.Durable || !saved.Verified || saved.Generation != 1 {
		t.Fatalf("%+v", saved)
	}
	holds(t, path, `{"a": 1}`)
	state, err := Load(path, Plain(), Verified(), RequireSchema(7))
	must(t, err)
	if !state.Verified || state.Changed || state.Generation != 1 {
		t.Fatalf("%+v", state)
	}
	edit(t, path, `{"a": 2}`)
	state, err = Load(path, Plain())
	must(t, err)
	if string(state.Data) != `{"a": 2}` || state.Verified || !state.Changed || state.Generation < tags {
		t.Fatalf("%+v", state)
	}
	// One bit of 64 is another one, and a tag comes back whole.
	_, err = Save(path, nil, Plain(), IfGeneration(state.Generation^1))
	is(t, err, ErrConflict)
	var own *Error
	if !errors.As(err, &own) || own.Generation != state.Generation {
		t.Fatal(err)
	}
	_, err = Save(path, []byte("mine"), Plain(), IfGeneration(state.Generation))
	must(t, err)
	_, err = Load(path, Plain(), Verified())
	must(t, err)
}

func TestPlainWithoutItsAttribute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it.json")
	bare, err := Failing(SetXattr, 1, syscall.EOPNOTSUPP, true)
	must(t, err)
	defer bare.Close()
	saved, err := Save(path, []byte("x"), Plain(), bare)
	must(t, err)
	if !saved.Durable || saved.Verified || saved.Report.OnDisk != New {
		t.Fatalf("%+v", saved)
	}
	entries := []Entry{{Path: path, Data: []byte("y")}}
	must(t, SaveBatch(entries, Plain(), bare))
	if !entries[0].Durable || entries[0].Verified {
		t.Fatalf("%+v", entries[0])
	}
	_, err = Save(path, nil, Plain(), Strict(), bare)
	is(t, err, ErrUnsupported)
	holds(t, path, "y")
	record := path + ".record"
	saved, err = Save(record, []byte("x"))
	must(t, err)
	state, err := Load(record)
	must(t, err)
	if !saved.Verified || !state.Verified || state.Changed {
		t.Fatalf("%+v %+v", saved, state)
	}
}

func TestPlainUpdateAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it.json")
	edit(t, path, "1")
	_, err := Update(path, func(*State) ([]byte, error) { return nil, errors.New("never") }, Plain(), Verified())
	is(t, err, ErrUnverified)
	calls := 0
	_, err = Update(path, func(old *State) ([]byte, error) {
		if old.Generation < tags {
			t.Error(old.Generation)
		}
		if calls++; calls == 1 {
			edit(t, path, "two")
		}
		return append(append([]byte(nil), old.Data...), '+'), nil
	}, Plain())
	must(t, err)
	if calls != 2 {
		t.Fatal(calls)
	}
	holds(t, path, "two+")
	edit(t, path, "three")
	state, err := Load(path, Plain())
	must(t, err)
	_, err = Remove(path, Plain(), IfGeneration(1))
	is(t, err, ErrConflict)
	removed, err := Remove(path, Plain(), IfGeneration(state.Generation))
	must(t, err)
	if _, err = os.Stat(path); !removed.Durable || err == nil {
		t.Fatalf("%+v", removed)
	}
}

func TestPlainWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it.json")
	edit(t, path, "x")
	state, err := Load(path, Plain())
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	changes, err := Watch(ctx, path, 1, Plain())
	must(t, err)
	if change := <-changes; change.Err != nil || change.Generation != state.Generation {
		t.Fatal(change)
	}
	known, err := Watch(ctx, path, state.Generation, Plain())
	must(t, err)
	for _, watch := range []<-chan Change{changes, known} {
		select {
		case change := <-watch:
			t.Fatal(change)
		case <-time.After(20 * time.Millisecond):
		}
	}
	must(t, os.Remove(path))
	for _, watch := range []<-chan Change{changes, known} {
		if change := <-watch; change.Err != nil || change.Generation != 0 {
			t.Fatal(change)
		}
	}
}

func TestKeepAttributes(t *testing.T) {
	directory := t.TempDir()
	needsAttributes(t, directory)
	path := filepath.Join(directory, "state")
	_, err := Save(path, []byte("x"))
	must(t, err)
	must(t, syscall.Setxattr(path, "user.mine", []byte("kept"), 0))
	value := make([]byte, 10)
	_, err = Save(path, []byte("y"), KeepAttributes())
	must(t, err)
	if length, err := syscall.Getxattr(path, "user.mine", value); err != nil || string(value[:length]) != "kept" {
		t.Fatal(err)
	}
	_, err = Save(path, []byte("z"))
	must(t, err)
	_, err = syscall.Getxattr(path, "user.mine", value)
	is(t, err, syscall.ENODATA)
}

func TestInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Save(path, []byte("old"))
	must(t, err)
	before, err := os.Stat(path)
	must(t, err)
	// As over a file that is mounted.
	for _, target := range []error{syscall.EBUSY, nil} {
		busy, err := Failing(Renameat, 1, syscall.EBUSY, false)
		must(t, err)
		defer busy.Close()
		options := []SaveOption{busy}
		if target == nil {
			options = append(options, InPlace())
		}
		saved, err := Save(path, []byte("new"), options...)
		if is(t, err, target); target == nil && !saved.Durable {
			t.Fatalf("%+v", saved)
		}
	}
	after, err := os.Stat(path)
	must(t, err)
	state, err := Load(path)
	must(t, err)
	previous, err := Load(path + ".prev")
	must(t, err)
	if !os.SameFile(before, after) || string(state.Data) != "new" || string(previous.Data) != "old" {
		t.Fatal(state, previous)
	}
}
