package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// etcd is one member that is a cluster by itself, and does not flush: what a test loses with its machine, it has lost anyway.
func etcd() *cobra.Command {
	var dir, clients, peers string
	c := &cobra.Command{Use: "etcd", SilenceUsage: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return runEtcd(dir, clients, peers)
	}}
	c.Flags().StringVar(&dir, "data-dir", "default.etcd", "where it keeps its data")
	c.Flags().StringVar(&clients, "listen-client-urls", "http://127.0.0.1:2379", "where clients connect")
	c.Flags().StringVar(&peers, "listen-peer-urls", "http://127.0.0.1:2380", "where other members would")
	return c
}

func runEtcd(dir, clients, peers string) error {
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.UnsafeNoFsync = dir, "warn", true
	for _, at := range []struct {
		text              string
		listen, advertise *[]url.URL
	}{{clients, &config.ListenClientUrls, &config.AdvertiseClientUrls}, {peers, &config.ListenPeerUrls, &config.AdvertisePeerUrls}} {
		u, err := url.Parse(at.text)
		if err != nil {
			return err
		}
		*at.listen, *at.advertise = []url.URL{*u}, []url.URL{*u}
	}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
