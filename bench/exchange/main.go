// The exchange of a JWT for a registry token by Go's standard library alone: what
// bench_token_server.py measures the token server beside.
//
// It does the same crypto (RS256 in, ES256 out), the same checks of issuer, audience and times, and
// the policy of `token-server init` written out by hand.  It is no server to run: one provider, one
// key, no limits, one line of log for each request.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"
)

var encoding = base64.RawURLEncoding

type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	Begins   int64  `json:"nbf"`
	Owner    string `json:"repository_owner"`
	OwnerID  string `json:"repository_owner_id"`
	Name     string `json:"repository"`
	Ref      string `json:"ref"`
	Event    string `json:"event_name"`
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

type issued struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Begins   int64    `json:"nbf"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	Access   []access `json:"access"`
}

type server struct {
	public                             *rsa.PublicKey
	private                            *ecdsa.PrivateKey
	header                             string
	issuer, audience, service, ourself string
	log                                *slog.Logger
}

func (s *server) verify(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("malformed")
	}
	head, err := encoding.DecodeString(parts[0])
	if err != nil {
		return nil, err
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(head, &header); err != nil || header.Algorithm != "RS256" {
		return nil, errors.New("algorithm")
	}
	signature, err := encoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if err := rsa.VerifyPKCS1v15(s.public, crypto.SHA256, digest[:], signature); err != nil {
		return nil, err
	}
	body, err := encoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var found claims
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	if found.Issuer != s.issuer || found.Audience != s.audience || found.OwnerID != "1342004" ||
		now >= found.Expires+30 || now < found.Begins-30 || now < found.Issued-30 {
		return nil, errors.New("claims")
	}
	return &found, nil
}

func allowed(who *claims, name, action string) bool {
	own := strings.ToLower(who.Name)
	if who.Ref == "refs/heads/main" && who.Event == "push" && (action == "pull" || action == "push") &&
		(name == own || strings.HasPrefix(name, own+"/")) {
		return true
	}
	return action == "pull" && strings.HasPrefix(name, strings.ToLower(who.Owner)+"/")
}

func (s *server) sign(who *claims, granted []access) (string, string, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", "", err
	}
	now, jti := time.Now().Unix(), encoding.EncodeToString(id)
	body, err := json.Marshal(issued{
		s.ourself, who.Subject, s.service, now + 300, now - 10, now, jti, granted,
	})
	if err != nil {
		return "", "", err
	}
	input := s.header + "." + encoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(input))
	first, second, err := ecdsa.Sign(rand.Reader, s.private, digest[:])
	if err != nil {
		return "", "", err
	}
	signature := make([]byte, 64)
	first.FillBytes(signature[:32])
	second.FillBytes(signature[32:])
	return input + "." + encoding.EncodeToString(signature), jti, nil
}

func (s *server) exchange(w http.ResponseWriter, r *http.Request) {
	_, password, ok := r.BasicAuth()
	query := r.URL.Query()
	if !ok || query.Get("service") != s.service {
		http.Error(w, "credentials and service are required", http.StatusBadRequest)
		return
	}
	who, err := s.verify(password)
	if err != nil {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	granted := []access{}
	for _, scope := range strings.Fields(strings.Join(query["scope"], " ")) {
		parts := strings.SplitN(scope, ":", 3)
		if len(parts) != 3 || parts[0] != "repository" {
			continue
		}
		actions := []string{}
		for _, action := range strings.Split(parts[2], ",") {
			if allowed(who, parts[1], action) {
				actions = append(actions, action)
			}
		}
		if len(actions) > 0 {
			granted = append(granted, access{parts[0], parts[1], actions})
		}
	}
	token, jti, err := s.sign(who, granted)
	if err != nil {
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": token, "access_token": token, "expires_in": 300,
		"issued_at": time.Now().UTC().Format(time.RFC3339),
	})
	s.log.Info("issued", "subject", who.Subject, "jti", jti, "client", r.RemoteAddr)
}

func block(file string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	found, _ := pem.Decode(text)
	return found.Bytes
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	public := flag.String("public", "", "the provider's RSA public key, PEM")
	private := flag.String("private", "", "our P-256 key, PKCS #8 in PEM")
	issuer := flag.String("issuer", "", "the provider's issuer")
	audience := flag.String("audience", "", "what tokens are for")
	service := flag.String("service", "", "the registry's service")
	flag.Parse()
	verifying, err := x509.ParsePKIXPublicKey(block(*public))
	if err != nil {
		panic(err)
	}
	signing, err := x509.ParsePKCS8PrivateKey(block(*private))
	if err != nil {
		panic(err)
	}
	s := &server{
		public: verifying.(*rsa.PublicKey), private: signing.(*ecdsa.PrivateKey),
		header: encoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256","kid":"bench"}`)),
		issuer: *issuer, audience: *audience, service: *service, ourself: "registry-token-issuer",
		log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}
	http.HandleFunc("/auth/token", s.exchange)
	panic(http.ListenAndServe(*listen, nil))
}
