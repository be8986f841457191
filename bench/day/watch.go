package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	window = 100 * time.Millisecond
	tick   = 10 * time.Millisecond // of /proc's CPU times, on every Linux that Go knows
	busy   = 0.85
	slow   = 20 * time.Millisecond
)

// look is the state of all who take part, at the end of a window.
type look struct {
	at           time.Time
	server, load time.Duration // CPU time
	delayed      time.Duration // for which the two were ready to run and others had the cores
	within       int64         // requests at the provider
}

// watch looks at the server, the load and the provider all the time.
type watch struct {
	pid      int
	provider *provider
	looks    []look
	end      chan struct{}
	ended    chan struct{}
}

type mark struct {
	name     string
	at       time.Time
	cpu      time.Duration
	requests int64
}

func newWatch(pid int, provider *provider) *watch {
	made := &watch{pid: pid, provider: provider, end: make(chan struct{}), ended: make(chan struct{})}
	go made.run()
	return made
}

func (w *watch) run() {
	defer close(w.ended)
	for ticker := time.NewTicker(window); ; {
		select {
		case <-w.end:
			return
		case <-ticker.C:
			w.looks = append(w.looks, look{
				time.Now(), cpu(w.pid), own(), delay(w.pid) + delay(os.Getpid()), w.provider.within.Load(),
			})
		}
	}
}

func (w *watch) stop() {
	close(w.end)
	<-w.ended
}

func (w *watch) mark(name string) mark {
	return mark{name, time.Now(), cpu(w.pid), w.provider.requests.Load()}
}

// whose says where requests of some length waited.
func (w *watch) whose(requests []asked) string {
	server, load, delayed, provider, windows := 0.0, 0.0, 0.0, 0.0, 0.0
	for _, one := range requests {
		for number := 1; number < len(w.looks); number++ {
			before, after := w.looks[number-1], w.looks[number]
			if after.at.Before(one.at) || before.at.After(one.at.Add(one.took)) {
				continue
			}
			length := float64(after.at.Sub(before.at))
			windows++
			server += float64(after.server-before.server) / length
			load += float64(after.load-before.load) / length
			delayed += float64(after.delayed-before.delayed) / length
			if after.within > 0 {
				provider++
			}
		}
	}
	switch {
	case windows == 0:
		return "-"
	case server/windows >= busy:
		return "server"
	case load/windows >= busy:
		return "load"
	case delayed/windows >= busy:
		return "machine"
	case provider/windows >= 0.5:
		return "provider"
	}
	return "unknown"
}

func (d *day) phase(begin, end mark, w *watch) map[string]any {
	served, failed := []asked{}, map[string]int{}
	for _, one := range d.asked {
		switch {
		case one.at.Before(begin.at) || !one.at.Before(end.at):
		case one.failure != "":
			failed[one.failure]++
		default:
			served = append(served, one)
		}
	}
	sort.Slice(served, func(i, j int) bool { return served[i].took < served[j].took })
	at := func(share float64) float64 {
		if len(served) == 0 {
			return 0
		}
		return served[int(share*float64(len(served)-1))].took.Seconds() * 1000
	}
	whose := "-"
	if slowest := served[int(0.99*float64(len(served))):]; len(served) > 0 && at(0.99) > slow.Seconds()*1000 {
		whose = w.whose(slowest)
	}
	seconds := end.at.Sub(begin.at).Seconds()
	return map[string]any{
		"name": begin.name, "rate": float64(len(served)) / seconds, "tokens": len(served), "failed": failed,
		"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "whose": whose,
		"cpu": (end.cpu - begin.cpu).Seconds(), "asked": end.requests - begin.requests,
	}
}

// family is a process and its children.
func family(pid int) []string {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return append([]string{strconv.Itoa(pid)}, strings.Fields(string(children))...)
}

func cpu(pid int) time.Duration {
	ticks := 0
	for _, one := range family(pid) {
		text, err := os.ReadFile("/proc/" + one + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
		for _, field := range fields[11:13] {
			number, _ := strconv.Atoi(field)
			ticks += number
		}
	}
	return time.Duration(ticks) * tick
}

// delay is how long a process's threads waited for a core, of those that are there.
func delay(pid int) time.Duration {
	total := 0
	for _, one := range family(pid) {
		files, _ := filepath.Glob("/proc/" + one + "/task/*/schedstat")
		for _, file := range files {
			text, _ := os.ReadFile(file)
			if fields := strings.Fields(string(text)); len(fields) > 1 {
				number, _ := strconv.Atoi(fields[1])
				total += number
			}
		}
	}
	return time.Duration(total)
}

func own() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// peak is the most memory that a server's processes had, each, in MiB together.
func peak(pid int) float64 {
	total := 0
	for _, one := range family(pid) {
		text, _ := os.ReadFile("/proc/" + one + "/status")
		for _, line := range strings.Split(string(text), "\n") {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
				number, _ := strconv.Atoi(fields[1])
				total += number
			}
		}
	}
	return float64(total) / 1024
}
