// Package expect is what the tests of these packages share.
package expect

import (
	"errors"
	"testing"
)

// NoError ends the test at an error.
func NoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Error ends the test unless err is target, as errors.Is says.
func Error(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%v (%T) is not %v", err, err, target)
	}
}
