package main

import (
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/loam-storage/loam/node"
)

// kubernetesClient reaches Kubernetes as a kubeconfig says, or as the pod it runs in. What its library has to say goes to
// the log.
func kubernetesClient(kubeconfig, name string, log *slog.Logger) (kubernetes.Interface, error) {
	client, _, err := kubernetesClients(kubeconfig, name, log)
	return client, err
}

// kubernetesClients are that, and one for objects whose types are not Kubernetes' own.
func kubernetesClients(kubeconfig, name string, log *slog.Logger) (kubernetes.Interface, dynamic.Interface, error) {
	klog.SetSlogLogger(log)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("how to reach Kubernetes: %w (outside of a pod, say it with --kubeconfig)", err)
	}
	config.UserAgent = name + "/" + node.Version()
	custom, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	return client, custom, nil
}
