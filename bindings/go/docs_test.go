package steadfast

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Each example of docs/go.md is a program; what it prints stands in its comments, after "prints ".
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/go.md")
	must(t, err)
	here, err := filepath.Abs(".")
	must(t, err)
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(page, -1)
	if len(snippets) < 2 {
		t.Fatal(len(snippets))
	}
	for _, snippet := range snippets {
		dir := t.TempDir()
		module := "module app\n\ngo 1.19\n\nrequire example.org/steadfast v0.0.0\n\nreplace example.org/steadfast => " + here + "\n"
		must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "main.go"), snippet[1], 0o600))
		run := exec.Command("go", "run", ".")
		run.Dir = dir
		said, err := run.CombinedOutput()
		promised := ""
		for _, line := range regexp.MustCompile("(?m)// prints (.*)$").FindAllSubmatch(snippet[1], -1) {
			promised += string(line[1]) + "\n"
		}
		if err != nil || promised == "" || string(said) != promised {
			t.Errorf("%v\n%s\npromised was\n%s", err, said, promised)
		}
	}
}
