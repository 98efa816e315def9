// The Go one of the workers; README.md has the protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"example.org/steadfast"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func numberIn(path string) (number int, generation uint64) {
	state, err := steadfast.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0
	}
	check(err)
	number, err = strconv.Atoi(string(state.Data))
	check(err)
	return number, state.Generation
}

func lock(path string) *steadfast.Held {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	held, err := steadfast.Lock(ctx, path)
	check(err)
	return held
}

func main() {
	arguments := os.Args[2:]
	times := 0
	if last := len(arguments) - 1; last >= 0 {
		times, _ = strconv.Atoi(arguments[last])
	}
	switch path := arguments[0]; os.Args[1] {
	case "save":
		_, err := steadfast.Save(path, []byte(arguments[1]))
		check(err)
	case "load":
		state, err := steadfast.Load(path)
		check(err)
		_, err = os.Stdout.Write(state.Data)
		check(err)
	case "increment":
		for ; times > 0; times-- {
			held := lock(path)
			number, _ := numberIn(arguments[1])
			_, err := steadfast.Save(arguments[1], []byte(strconv.Itoa(number+1)), steadfast.NoSync())
			check(err)
			check(held.Release())
		}
	case "swap":
		for times > 0 {
			number, generation := numberIn(path)
			_, err := steadfast.Save(path, []byte(strconv.Itoa(number+1)), steadfast.IfGeneration(generation), steadfast.NoSync())
			if err == nil {
				times--
			} else if !errors.Is(err, steadfast.ErrConflict) {
				check(err)
			}
		}
	case "hold":
		held := lock(path)
		fmt.Println("held", os.Getpid())
		_, err := io.ReadAll(os.Stdin)
		check(err)
		check(held.Release())
	case "wait":
		var failure *steadfast.Error
		if _, err := steadfast.TryLock(path); errors.Is(err, steadfast.ErrLocked) && errors.As(err, &failure) {
			fmt.Println("locked by", failure.PID)
		}
		held := lock(path)
		fmt.Println("got", os.Getpid())
		check(held.Release())
	default:
		os.Exit(2)
	}
}
