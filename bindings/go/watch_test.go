package steadfast

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "key")
	for _, version := range []string{"..v1", "..v2"} {
		_, err := Save(filepath.Join(directory, version, "key"), []byte(version), CreateParents())
		must(t, err)
	}
	_, err := Save(filepath.Join(directory, "..v2", "key"), []byte("again"))
	must(t, err)
	must(t, os.Symlink("..v1", filepath.Join(directory, "..data")))
	must(t, os.Symlink("..data/key", path))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	changes, err := Watch(ctx, path, 0)
	must(t, err)
	expect := func(generation uint64, err error) {
		t.Helper()
		change := <-changes
		if err != nil {
			is(t, change.Err, err)
		} else if change.Err != nil || change.Generation != generation {
			t.Fatal(change)
		}
	}
	expect(1, nil)
	// As Kubernetes swaps a ConfigMap.
	must(t, os.Symlink("..v2", filepath.Join(directory, "..tmp")))
	must(t, os.Rename(filepath.Join(directory, "..tmp"), filepath.Join(directory, "..data")))
	expect(2, nil)
	// Truncated by a descriptor: its close is what the watch sees.
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	must(t, file.Truncate(100))
	must(t, file.Close())
	expect(0, ErrTruncated)
	must(t, os.Remove(path))
	expect(0, nil)
	cancel()
	if change, open := <-changes; open {
		t.Fatal(change)
	}
	_, err = Watch(ctx, "", 0)
	if err == nil {
		t.Fatal("no path")
	}
}
