// An open loop of token requests: they come at a fixed rate, however slowly they are answered.
//
// Each request has a connection and, by turns, a source address of its own.  Beside them one
// client that keeps to its rate asks for tokens, and a probe asks for readiness.  The result is one
// line of JSON.
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
	Status    map[string]int `json:"status"`
	Untold    int            `json:"refusedWithoutRetryAfter"`
	latencies []float64
}

func (c *counts) add(status string, untold bool, seconds float64) {
	c.Lock()
	defer c.Unlock()
	c.Status[status]++
	if untold {
		c.Untold++
	}
	if status == "200" {
		c.latencies = append(c.latencies, seconds*1000)
	}
}

func (c *counts) percentile(share float64) float64 {
	c.Lock()
	defer c.Unlock()
	if len(c.latencies) == 0 {
		return 0
	}
	sort.Float64s(c.latencies)
	return c.latencies[int(share*float64(len(c.latencies)-1))]
}

func ask(address, source, request string, timeout time.Duration, into *counts) {
	began := time.Now()
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		into.add("not connected", false, 0)
		return
	}
	defer connection.Close()
	connection.SetDeadline(began.Add(timeout))
	fmt.Fprint(connection, request)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		into.add("not answered", false, 0)
		return
	}
	response.Body.Close()
	refused := response.StatusCode == 503 || response.StatusCode == 429
	untold := refused && response.Header.Get("Retry-After") == ""
	into.add(fmt.Sprint(response.StatusCode), untold, time.Since(began).Seconds())
}

func main() {
	address := flag.String("address", "", "the server")
	path := flag.String("path", "", "the path and query")
	logins := flag.String("logins", "", "a file of Basic credentials, one a line")
	rate := flag.Float64("rate", 100, "requests a second")
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
	ready := "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	storm := &counts{Status: map[string]int{}}
	steady := &counts{Status: map[string]int{}}
	probe := &counts{Status: map[string]int{}}
	var wait sync.WaitGroup
	every := func(gap time.Duration, end time.Time, do func(int)) {
		defer wait.Done()
		began := time.Now()
		for number := 0; time.Now().Before(end); number++ {
			time.Sleep(time.Until(began.Add(time.Duration(number) * gap)))
			wait.Add(1)
			go func() { defer wait.Done(); do(number) }()
		}
	}
	end := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	places := make(chan struct{}, *outstanding)
	wait.Add(3)
	go every(100*time.Millisecond, end, func(int) {
		ask(*address, "127.0.0.1", ready, time.Second, probe)
	})
	go every(100*time.Millisecond, end, func(number int) {
		ask(*address, "127.9.9.9", requests[number%len(requests)], *timeout, steady)
	})
	go every(time.Duration(float64(time.Second) / *rate), end, func(number int) {
		select {
		case places <- struct{}{}:
		default:
			storm.add("could not come", false, 0)
			return
		}
		defer func() { <-places }()
		turn := number % *sources
		source := fmt.Sprintf("127.1.%d.%d", turn/250, 1+turn%250)
		ask(*address, source, requests[number%len(requests)], *timeout, storm)
	})
	wait.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"storm": storm, "steady": steady, "probe": probe,
		"p50": storm.percentile(0.5), "p99": storm.percentile(0.99),
		"steadyP99": steady.percentile(0.99), "probeP99": probe.percentile(0.99),
	})
}
