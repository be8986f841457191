// Token requests in an open loop (they come at a fixed rate, however slowly they are answered), or in
// a closed one (each client asks again when it was answered).
//
// Each request has a connection of its own and, by turns, one of the storm's source addresses.
// Beside an open loop come a client that keeps to ten requests a second, clients that ask once, and a
// probe that asks for readiness.  A line says when the load begins, and one when its time is up and
// answers are awaited.  The result is a third, in JSON.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

type counts struct {
	sync.Mutex
	Status  map[string]int `json:"status"`
	InTime  int            `json:"inTime"`
	end     time.Time
	Untold  int            `json:"refusedWithoutRetryAfter"`
	Served  []float64      `json:"-"`
	Refused []float64      `json:"-"`
	Slowest float64        `json:"slowest"`
	P50     float64        `json:"p50"`
	P99     float64        `json:"p99"`
	ToldP50 float64        `json:"toldP50"`
	ToldP99 float64        `json:"toldP99"`
	Advice  map[string]int `json:"retryAfter"`
}

func newCounts(end time.Time) *counts {
	return &counts{end: end, Status: map[string]int{}, Advice: map[string]int{}}
}

func (c *counts) add(status int, failure, advice string, seconds float64) {
	c.Lock()
	defer c.Unlock()
	if failure != "" {
		c.Status[failure]++
		return
	}
	c.Status[fmt.Sprint(status)]++
	milliseconds := seconds * 1000
	c.Slowest = max(c.Slowest, milliseconds)
	if status == 503 || status == 429 {
		c.Refused = append(c.Refused, milliseconds)
		c.Advice[advice]++
		if advice == "" {
			c.Untold++
		}
	} else if status == 200 {
		if time.Now().Before(c.end) {
			c.InTime++
		}
		c.Served = append(c.Served, milliseconds)
	}
}

func percentile(found []float64, share float64) float64 {
	if len(found) == 0 {
		return 0
	}
	sort.Float64s(found)
	return found[int(share*float64(len(found)-1))]
}

func (c *counts) finish() *counts {
	c.P50, c.P99 = percentile(c.Served, 0.5), percentile(c.Served, 0.99)
	c.ToldP50, c.ToldP99 = percentile(c.Refused, 0.5), percentile(c.Refused, 0.99)
	return c
}

func ask(address, source, request string, timeout time.Duration, into *counts) {
	began := time.Now()
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		into.add(0, "not connected", "", 0)
		return
	}
	defer connection.Close()
	connection.SetDeadline(began.Add(timeout))
	fmt.Fprint(connection, request)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		into.add(0, "not answered", "", 0)
		return
	}
	response.Body.Close()
	advice := response.Header.Get("Retry-After")
	into.add(response.StatusCode, "", advice, time.Since(began).Seconds())
}

// storm is where requests go, and what they are.
type storm struct {
	address  string
	own      string
	requests []string
	sources  int
	timeout  time.Duration
	end      time.Time
	wait     sync.WaitGroup
}

func (s *storm) request(number int) string { return s.requests[number%len(s.requests)] }

func (s *storm) source(number int) string {
	turn := number % s.sources
	return fmt.Sprintf("127.1.%d.%d", turn/250, 1+turn%250)
}

func (s *storm) every(gap time.Duration, do func(int)) {
	defer s.wait.Done()
	began := time.Now()
	for number := 0; time.Now().Before(s.end); number++ {
		time.Sleep(time.Until(began.Add(time.Duration(number) * gap)))
		s.wait.Add(1)
		go func() { defer s.wait.Done(); do(number) }()
	}
}

func (s *storm) closed(clients int, into *counts) {
	for client := range clients {
		s.wait.Add(1)
		go func() {
			defer s.wait.Done()
			for number := client; time.Now().Before(s.end); number += clients {
				ask(s.address, s.source(number), s.request(number), s.timeout, into)
			}
		}()
	}
	s.wait.Wait()
}

func (s *storm) open(rate float64, outstanding int, into map[string]*counts) {
	ready := "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	places := make(chan struct{}, outstanding)
	s.wait.Add(5)
	go s.every(100*time.Millisecond, func(int) {
		ask(s.address, "127.0.0.1", ready, time.Second, into["probe"])
	})
	go s.every(100*time.Millisecond, func(int) {
		ask(s.own, "127.0.0.1", ready, time.Second, into["own"])
	})
	go s.every(100*time.Millisecond, func(number int) {
		ask(s.address, "127.9.9.9", s.request(number), s.timeout, into["steady"])
	})
	go s.every(100*time.Millisecond, func(number int) {
		source := fmt.Sprintf("127.8.%d.%d", number/250, 1+number%250)
		ask(s.address, source, s.request(number), s.timeout, into["once"])
	})
	go s.every(time.Duration(float64(time.Second)/rate), func(number int) {
		select {
		case places <- struct{}{}:
		default:
			into["storm"].add(0, "could not come", "", 0)
			return
		}
		defer func() { <-places }()
		ask(s.address, s.source(number), s.request(number), s.timeout, into["storm"])
	})
	s.wait.Wait()
}

func main() {
	address := flag.String("address", "", "the server")
	own := flag.String("own", "", "the server, where only probes ask")
	path := flag.String("path", "", "the path and query")
	logins := flag.String("logins", "", "a file of Basic credentials, one a line")
	rate := flag.Float64("rate", 0, "requests a second of an open loop")
	clients := flag.Int("clients", 0, "clients of a closed loop")
	seconds := flag.Float64("seconds", 5, "how long")
	sources := flag.Int("sources", 1000, "source addresses")
	timeout := flag.Duration("timeout", 5*time.Second, "how long a client waits")
	outstanding := flag.Int("outstanding", 6000, "clients that wait at a time; more cannot come")
	flag.Parse()

	file, err := os.Open(*logins)
	if err != nil {
		panic(err)
	}
	var requests []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		requests = append(requests, fmt.Sprintf(
			"GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\nConnection: close\r\n\r\n",
			*path, lines.Text()))
	}
	fmt.Println("began")
	end := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	time.AfterFunc(time.Until(end), func() { fmt.Println("ended") })
	into := map[string]*counts{}
	for _, name := range []string{"storm", "steady", "once", "probe", "own"} {
		into[name] = newCounts(end)
	}
	blown := &storm{address: *address, own: *own, requests: requests, sources: *sources, timeout: *timeout, end: end}
	if *clients > 0 {
		blown.closed(*clients, into["storm"])
	} else {
		blown.open(*rate, *outstanding, into)
	}
	for _, one := range into {
		one.finish()
	}
	json.NewEncoder(os.Stdout).Encode(into)
}
