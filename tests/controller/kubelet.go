// The kubelet's own code for image credential providers: it reads the CredentialProviderConfig,
// asks the API server for the pod's token, runs the plugin and decodes its answer strictly.
//
// Arguments: config, folder of the plugins, namespace, pod, its UID, service account, images.
// SERVER and BEARER say where the API server is and who the node is.  Each image is answered by a
// line of JSON with the logins that a pull would try.  build_kube_apiserver.py builds it.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider/plugin"
)

func ask(method, namespace, account, sub string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/api/v1/namespaces/%s/serviceaccounts/%s%s", os.Getenv("SERVER"), namespace, account, sub)
	request, err := http.NewRequest(method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("BEARER"))
	request.Header.Set("Content-Type", "application/json")
	// The server is the test's own, on this machine.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	found, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s", found)
	}
	return json.Unmarshal(found, answer)
}

func main() {
	err := plugin.RegisterCredentialProviderPlugins(os.Args[1], os.Args[2],
		func(namespace, name string, request *authentication.TokenRequest) (*authentication.TokenRequest, error) {
			answer := &authentication.TokenRequest{}
			return answer, ask("POST", namespace, name, "/token", request, answer)
		},
		func(namespace, name string) (*core.ServiceAccount, error) {
			answer := &core.ServiceAccount{}
			return answer, ask("GET", namespace, name, "", nil, answer)
		})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	keyring := plugin.NewExternalCredentialProviderDockerKeyring(os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	for _, image := range os.Args[7:] {
		found, _ := keyring.Lookup(image)
		logins := [][2]string{}
		for _, one := range found {
			logins = append(logins, [2]string{one.Username, one.Password})
		}
		line, _ := json.Marshal(logins)
		fmt.Println(string(line))
	}
}
