// The scenario with Toxiproxy's own Go client. Usage: scenario PORT
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

var toxics = map[string]toxiproxy.Attributes{
	"latency":    {"latency": 100, "jitter": 0},
	"bandwidth":  {"rate": 1000},
	"slow_close": {"delay": 10},
	"timeout":    {"timeout": 0},
	"reset_peer": {"timeout": 10},
	"slicer":     {"average_size": 1, "size_variation": 0, "delay": 10},
	"limit_data": {"bytes": 3},
	"noop":       {},
}

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func echoServer() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err, "listen")
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(client, client); client.Close() }()
		}
	}()
	return listener.Addr().String()
}

// roundTrip sends hello on a new connection: what came back, how it ended, how long it took.
func roundTrip(addr string) (string, error, time.Duration) {
	begun := time.Now()
	client, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err, 0
	}
	defer client.Close()
	client.SetDeadline(begun.Add(time.Second))
	client.Write([]byte("hello"))
	got := make([]byte, 5)
	n, err := io.ReadFull(client, got)
	return string(got[:n]), err, time.Since(begun)
}

func see(kind, addr string) {
	got, err, took := roundTrip(addr)
	want := "hello"
	switch kind {
	case "latency":
		if took < 100*time.Millisecond {
			log.Fatalf("latency: %v", took)
		}
	case "timeout":
		want = ""
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			log.Fatalf("timeout: %v", err)
		}
	case "reset_peer":
		want = ""
		if !errors.Is(err, syscall.ECONNRESET) {
			log.Fatalf("reset_peer: %v", err)
		}
	case "limit_data":
		want = "hel"
	}
	if got != want {
		log.Fatalf("%s: %q, want %q (%v)", kind, got, want, err)
	}
}

func main() {
	client := toxiproxy.NewClient("127.0.0.1:" + os.Args[1])
	upstream := echoServer()
	proxy, err := client.CreateProxy("echo", "localhost:0", upstream)
	check(err, "create")
	for kind, attributes := range toxics {
		toxic, err := proxy.AddToxic("", kind, "downstream", 1, attributes)
		check(err, "add "+kind)
		see(kind, proxy.Listen)
		_, err = proxy.UpdateToxic(toxic.Name, 0, toxiproxy.Attributes{})
		check(err, "update "+kind)
		if got, err, _ := roundTrip(proxy.Listen); got != "hello" {
			log.Fatalf("%s at toxicity 0: %q %v", kind, got, err)
		}
		check(proxy.RemoveToxic(toxic.Name), "remove "+kind)
	}
	if _, err := client.CreateProxy("echo", "localhost:0", upstream); err == nil {
		log.Fatal("a name was taken twice")
	}
	check(proxy.Disable(), "disable")
	if _, err, _ := roundTrip(proxy.Listen); !errors.Is(err, syscall.ECONNREFUSED) {
		log.Fatalf("disabled: %v", err)
	}
	check(client.ResetState(), "reset")
	if got, err, _ := roundTrip(proxy.Listen); got != "hello" {
		log.Fatalf("after reset: %q %v", got, err)
	}
	populated, err := client.Populate([]toxiproxy.Proxy{
		{Name: "echo", Listen: proxy.Listen, Upstream: upstream, Enabled: true},
		{Name: "more", Listen: "localhost:0", Upstream: upstream, Enabled: true},
	})
	check(err, "populate")
	for _, each := range populated {
		check(each.Delete(), "delete")
	}
	left, err := client.Proxies()
	check(err, "list")
	if len(left) != 0 {
		log.Fatalf("left: %v", left)
	}
	fmt.Println("toxiproxy Go client: ok")
}
