// Adapter for redsync and rueidislock, with their defaults.
//
//	adapter redsync|rueidislock
//
// It speaks the line protocol that bench/README.md describes. It has not been run yet: no machine
// that the bench ran on had Go.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

const (
	ttl  = 30 * time.Second
	hold = 3 * time.Millisecond
)

// A lock of one task: it answers the function that releases.
type lock func() (func() error, error)

// A library: from a key to a lock.
type library func(key string) lock

type turn struct {
	Task     int   `json:"task"`
	Asked    int64 `json:"asked_us"`
	Granted  int64 `json:"granted_us"`
	Released int64 `json:"released_us"`
}

type reply map[string]any

func nowUs() int64 { return time.Now().UnixMicro() }

func open(name, address string) (library, string, error) {
	on := ", " + runtime.Version()
	if name == "redsync" {
		client := goredislib.NewClient(&goredislib.Options{Addr: address})
		sync := redsync.New(goredis.NewPool(client))
		return func(key string) lock {
			mutex := sync.NewMutex(key, redsync.WithExpiry(ttl), redsync.WithTries(math.MaxInt32))
			return func() (func() error, error) {
				err := mutex.Lock()
				return func() error { _, err := mutex.Unlock(); return err }, err
			}
		}, "redsync 4.13.0" + on, nil
	}
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{address}},
		KeyMajority:  1,
		KeyValidity:  ttl,
	})
	return func(key string) lock {
		return func() (func() error, error) {
			_, release, err := locker.WithContext(context.Background(), key)
			return func() error { release(); return nil }, err
		}
	}, "rueidislock 1.0.59" + on, err
}

func cycle(lock lock) error {
	release, err := lock()
	if err != nil {
		return err
	}
	return release()
}

func lone(lock lock, count int) ([]float64, error) {
	spans := make([]float64, 0, count)
	for range count {
		begun := time.Now()
		if err := cycle(lock); err != nil {
			return nil, err
		}
		spans = append(spans, float64(time.Since(begun).Nanoseconds())/1000)
	}
	return spans, nil
}

// Runs work for each number at the same time; the first failure counts.
func each(count int, work func(int) error) error {
	var group sync.WaitGroup
	failures := make(chan error, count)
	for number := range count {
		group.Add(1)
		go func() { defer group.Done(); failures <- work(number) }()
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

func tasks(open library, key string, count int, span time.Duration) (reply, error) {
	cycles := make([]int64, count)
	begun := time.Now()
	err := each(count, func(task int) error {
		lock := open(fmt.Sprintf("%s-%d", key, task))
		for time.Since(begun) < span {
			if err := cycle(lock); err != nil {
				return err
			}
			cycles[task]++
		}
		return nil
	})
	elapsed := float64(time.Since(begun).Nanoseconds()) / 1000
	var sum int64
	for _, done := range cycles {
		sum += done
	}
	return reply{"cycles": sum, "elapsed_us": elapsed}, err
}

func waiters(open library, key string, count int, span time.Duration) (reply, error) {
	began := nowUs()
	ended := began + span.Microseconds()
	found := make([][]turn, count)
	err := each(count, func(task int) error {
		lock := open(key)
		for {
			asked := nowUs()
			if asked >= ended {
				return nil
			}
			release, err := lock()
			if err != nil {
				return err
			}
			granted := nowUs()
			if granted < ended {
				time.Sleep(hold)
			}
			released := nowUs()
			if err := release(); err != nil {
				return err
			}
			found[task] = append(found[task], turn{task, asked, granted, released})
		}
	})
	turns := []turn{}
	for _, of := range found {
		turns = append(turns, of...)
	}
	return reply{"began_us": began, "ended_us": ended, "turns": turns}, err
}

type session struct {
	open library
	key  string
	lone lock
}

func (s *session) answer(name string, words []string) (reply, error) {
	number := func(at int) int { value, _ := strconv.Atoi(words[at]); return value }
	span := func(at int) time.Duration { return time.Duration(number(at)) * time.Millisecond }
	switch {
	case len(words) == 4 && words[0] == "start":
		open, version, err := open(name, words[1])
		if err != nil {
			return nil, err
		}
		s.open, s.key, s.lone = open, words[2], open(words[2]+"-lone")
		return reply{"version": version}, nil
	case len(words) == 2 && words[0] == "warm":
		_, err := lone(s.lone, number(1))
		return reply{"warmed": number(1)}, err
	case len(words) == 3 && words[1] == "lone":
		spans, err := lone(s.lone, number(2))
		return reply{"cycle_us": spans}, err
	case len(words) == 4 && words[1] == "tasks":
		return tasks(s.open, s.key, number(2), span(3))
	case len(words) == 4 && words[1] == "waiters":
		return waiters(s.open, s.key, number(2), span(3))
	}
	return nil, fmt.Errorf("this is no request: %v", words)
}

func main() {
	var session session
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		answered, err := session.answer(os.Args[1], strings.Fields(lines.Text()))
		if err != nil {
			answered = reply{"error": err.Error()}
		}
		if out.Encode(answered) != nil {
			return
		}
	}
}
