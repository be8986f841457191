// A day of a registry's clients, and the identity provider that their tokens come from.
//
// Jobs come as docker does: a login, three pulls and a push that asks twice.  Nodes come as
// containerd does: four pulls, each by POST and, where that is not answered, by GET.  They come at
// times of their own, however slowly they are answered.  Each has an address and a token of its own.
// The tokens of all nodes are of one subject, as those of the pods of a service account.
// The day's phases follow each other: jobs alone, a rollout to all nodes, a rotation of the
// provider's key, an outage of the provider, and the time after it.  The result is one line of JSON.
package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience = 15 * time.Second // docker's, for a token
	pause    = 50 * time.Millisecond

	repositories = 200 // that jobs build; the nodes' pods are one subject
)

var encoding = base64.RawURLEncoding

// plan is what Python tells.
type plan struct {
	Path     string         `json:"path"`
	Service  string         `json:"service"`
	Claims   map[string]any `json:"claims"`
	Seconds  float64        `json:"seconds"`
	Jobs     float64        `json:"jobs"` // a second
	Nodes    int            `json:"nodes"`
	Provider string         `json:"provider"` // where it listens
}

// provider is an issuer whose key can be replaced and which can be away.
type provider struct {
	sync.Mutex
	address  string
	keys     []*rsa.PrivateKey
	away     bool
	requests atomic.Int64
	within   atomic.Int64 // requests that are being answered
}

func newProvider(address string) *provider {
	made := &provider{address: address}
	made.rotate()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, made)
	return made
}

func (p *provider) rotate() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	p.Lock()
	p.keys = append(p.keys, key)
	p.Unlock()
}

func (p *provider) setAway(away bool) {
	p.Lock()
	p.away = away
	p.Unlock()
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	p.within.Add(1)
	defer p.within.Add(-1)
	p.Lock()
	away, keys := p.away, p.keys
	p.Unlock()
	if away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/.well-known/openid-configuration" {
		here := "http://" + p.address
		json.NewEncoder(w).Encode(map[string]any{"issuer": here, "jwks_uri": here + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
		return
	}
	published := []map[string]string{}
	for number, key := range keys {
		published = append(published, map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig",
			"kid": strconv.Itoa(number), "n": encoding.EncodeToString(key.N.Bytes()),
			"e": encoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())})
	}
	json.NewEncoder(w).Encode(map[string]any{"keys": published})
}

func (p *provider) sign(claims, changed map[string]any, number int) string {
	p.Lock()
	kid, key := len(p.keys)-1, p.keys[len(p.keys)-1]
	p.Unlock()
	now, body := time.Now().Unix(), map[string]any{}
	maps.Copy(body, claims)
	maps.Copy(body, changed)
	body["iss"], body["run_id"], body["jti"] = "http://"+p.address, strconv.Itoa(number), strconv.Itoa(number)
	body["iat"], body["nbf"], body["exp"] = now, now, now+600
	head, _ := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": strconv.Itoa(kid)})
	text, _ := json.Marshal(body)
	input := encoding.EncodeToString(head) + "." + encoding.EncodeToString(text)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + encoding.EncodeToString(signature)
}

// running is the server, once it runs.
type running struct {
	Pid   int         `json:"pid"`
	Users [][2]string `json:"users"` // name and password, where no JWT is taken
}

// asked is a token that somebody asked for: when, how long it took, and what came of it.
type asked struct {
	at      time.Time
	took    time.Duration
	failure string // empty when the token came
}

// day is a server under load.
type day struct {
	plan
	running
	server   string
	provider *provider
	wait     sync.WaitGroup
	lock     sync.Mutex
	asked    []asked
	number   atomic.Int64
	jobs     atomic.Int64
}

// client has an address and credentials of its own.
type client struct {
	day            *day
	source         string
	user, password string
	unposted       bool
}

func (d *day) client(network int, changed map[string]any) *client {
	number := int(d.number.Add(1))
	source := fmt.Sprintf("127.%d.%d.%d", network+number/62500%8, number/250%250, 1+number%250)
	if len(d.Users) > 0 {
		who := d.Users[number%len(d.Users)]
		return &client{day: d, source: source, user: who[0], password: who[1]}
	}
	return &client{day: d, source: source, user: "sample", password: d.provider.sign(d.Claims, changed, number)}
}

// ask asks for a token, and says whether it came.
func (c *client) ask(extra string, post bool, scopes ...string) bool {
	began := time.Now()
	failure := "404"
	if post && !c.unposted {
		failure = c.send(c.form(scopes), scopes)
		// containerd goes on with GET after these.
		c.unposted = failure == "400" || failure == "401" || failure == "404" || failure == "405"
	}
	if !post || c.unposted {
		failure = c.send(c.query(extra, scopes), scopes)
	}
	c.day.lock.Lock()
	c.day.asked = append(c.day.asked, asked{began, time.Since(began), failure})
	c.day.lock.Unlock()
	return failure == ""
}

func (c *client) form(scopes []string) string {
	body := url.Values{"grant_type": {"password"}, "service": {c.day.Service}, "client_id": {"containerd-client"},
		"username": {c.user}, "password": {c.password}, "scope": {strings.Join(scopes, " ")}}.Encode()
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: registry.example.com\r\nConnection: close\r\n"+
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
		c.day.Path, len(body), body)
}

func (c *client) query(extra string, scopes []string) string {
	query := url.Values{"service": {c.day.Service}, "scope": scopes, "account": {c.user}}
	basic := base64.StdEncoding.EncodeToString([]byte(c.user + ":" + c.password))
	return fmt.Sprintf("GET %s?%s%s HTTP/1.1\r\nHost: registry.example.com\r\nConnection: close\r\n"+
		"Authorization: Basic %s\r\n\r\n", c.day.Path, query.Encode(), extra, basic)
}

// send returns why no token with all that was asked for came: a status or a few words.
func (c *client) send(request string, scopes []string) string {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.source)}}
	connection, err := dialer.Dial("tcp", c.day.server)
	if err != nil {
		return "not connected"
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	io.WriteString(connection, request)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return "not answered"
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return strconv.Itoa(response.StatusCode)
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "not JSON"
	}
	return missing(answer.Token, scopes)
}

func missing(token string, scopes []string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "no token"
	}
	body, err := encoding.DecodeString(parts[1])
	var told struct {
		Access []struct {
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	if err != nil || json.Unmarshal(body, &told) != nil {
		return "no token"
	}
	granted := map[string]int{}
	for _, one := range told.Access {
		granted[one.Name] = len(one.Actions)
	}
	for _, scope := range scopes {
		fields := strings.Split(scope, ":")
		if granted[fields[1]] < len(strings.Split(fields[2], ",")) {
			return "less granted"
		}
	}
	return ""
}

// job is a CI job with docker: a failure ends it, as it would there.
func (d *day) job() {
	repository := fmt.Sprintf("acme/app-%d", d.jobs.Add(1)%repositories)
	c := d.client(16, map[string]any{"repository": repository, "sub": "repo:" + repository + ":ref:refs/heads/main"})
	if !c.ask("&client_id=docker&offline_token=true", false) {
		return
	}
	for _, image := range []string{"base", "tools", "cache"} {
		time.Sleep(pause)
		if !c.ask("", false, "repository:acme/"+image+":pull") {
			return
		}
	}
	for range 2 { // the layers are pushed between the two
		time.Sleep(pause)
		if !c.ask("", false, "repository:"+repository+":push,pull") {
			return
		}
	}
}

// node is a kubelet with containerd: an image that cannot be pulled does not stop the others.
func (d *day) node() {
	c := d.client(32, nil)
	for _, image := range []string{"app", "sidecar", "agent", "logs"} {
		c.ask("", true, "repository:acme/"+image+":pull")
	}
}

// every starts something at even distances until an end.
func (d *day) every(gap time.Duration, times int, do func()) {
	defer d.wait.Done()
	began := time.Now()
	for number := range times {
		time.Sleep(time.Until(began.Add(time.Duration(number) * gap)))
		d.wait.Add(1)
		go func() { defer d.wait.Done(); do() }()
	}
}

func (d *day) run(pid int) map[string]any {
	length := time.Duration(d.Seconds * float64(time.Second))
	steps := []struct {
		name  string
		begin func()
	}{
		{"jobs", func() {}},
		{"rollout", func() {
			d.wait.Add(1)
			go d.every(length/time.Duration(d.Nodes), d.Nodes, d.node)
		}},
		{"rotation", d.provider.rotate},
		{"outage", func() { d.provider.setAway(true) }},
		{"after", func() { d.provider.setAway(false) }},
	}
	watch := newWatch(pid, d.provider)
	jobs := int(d.Jobs * d.Seconds * float64(len(steps)))
	d.wait.Add(1)
	go d.every(time.Duration(float64(time.Second)/d.Jobs), jobs, d.job)
	marks := []mark{}
	for _, step := range steps {
		step.begin()
		marks = append(marks, watch.mark(step.name))
		time.Sleep(length)
	}
	marks = append(marks, watch.mark(""))
	d.wait.Wait()
	watch.stop()
	phases := []map[string]any{}
	for number, one := range marks[:len(marks)-1] {
		phases = append(phases, d.phase(one, marks[number+1], watch))
	}
	return map[string]any{"phases": phases, "memory": peak(pid)}
}

func main() {
	file := flag.String("plan", "", "what Python tells")
	server := flag.String("server", "", "the address of the token server")
	flag.Parse()
	text, err := os.ReadFile(*file)
	if err != nil {
		panic(err)
	}
	d := &day{server: *server}
	if err := json.Unmarshal(text, &d.plan); err != nil {
		panic(err)
	}
	d.provider = newProvider(d.Provider)
	fmt.Println("ready") // the server can be started now
	if err := json.NewDecoder(os.Stdin).Decode(&d.running); err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(d.run(d.Pid))
}
