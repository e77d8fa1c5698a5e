package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
)

func TestExtenderIsInstalledWhenAskedFor(t *testing.T) {
	h := chart(t)
	bare, err := h.template(t.Context())
	if err != nil || strings.Contains(string(bare), "scheduler-extender") {
		t.Errorf("by default there is something of the extender (%v)", err)
	}
	text, err := h.template(t.Context(), "schedulerExtender.enabled=true", "schedulerExtender.clusterIP=10.96.0.53",
		"schedulerExtender.tls.secretName=certs", "schedulerExtender.tls.clientName=kube-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	const name = "loam-scheduler-extender"
	all := decode(t, text)
	deployment := only[*appsv1.Deployment](t, all, name)
	pod := deployment.Spec.Template
	c := pod.Spec.Containers[0]
	if *deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("there can be two at once, of which neither knows what the other was asked")
	}
	for _, want := range [][2]string{{"--tls-dir", "/etc/loam/tls"}, {"--tls-client", "kube-scheduler"}} {
		if i := slices.Index(c.Args, want[0]); i < 0 || c.Args[i+1] != want[1] {
			t.Errorf("arguments %q, want %q", c.Args, want)
		}
	}
	if pod.Spec.Volumes[0].Secret.SecretName != "certs" || c.VolumeMounts[0].MountPath != "/etc/loam/tls" {
		t.Errorf("volumes %+v, mounts %+v", pod.Spec.Volumes, c.VolumeMounts)
	}
	service := only[*corev1.Service](t, all, name)
	if service.Spec.ClusterIP != "10.96.0.53" || service.Spec.Ports[0].Port != 9756 {
		t.Errorf("the service is %+v", service.Spec)
	}
	for key, value := range service.Spec.Selector {
		if pod.Labels[key] != value {
			t.Errorf("the service looks for %s=%s, the pod has %v", key, value, pod.Labels)
		}
	}
	if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return p.Name == service.Spec.Ports[0].TargetPort.String() && p.ContainerPort == 9756 && slices.Contains(c.Args, ":9756")
	}) {
		t.Errorf("nothing serves the service's port: %+v, %q", c.Ports, c.Args)
	}
	rules := slices.Concat(only[*rbacv1.ClusterRole](t, all, name).Rules, only[*rbacv1.Role](t, all, name).Rules)
	for _, r := range rules {
		if !slices.Equal(r.Verbs, []string{"list", "watch"}) {
			t.Errorf("it may do more than read: %+v", r)
		}
	}
	if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Error("it may change its container, or be root")
	}
}

// TestPrintedConfigurationIsKubeSchedulers reads what the chart prints as kube-scheduler does: strictly.
func TestPrintedConfigurationIsKubeSchedulers(t *testing.T) {
	h := chart(t)
	plain := schedulerv1.Extender{
		URLPrefix: "http://CLUSTER-IP-OF-loam-scheduler-extender.loam-system:9756", FilterVerb: "filter", PrioritizeVerb: "prioritize", Weight: 1,
		HTTPTimeout: metav1.Duration{Duration: 2 * time.Second}, NodeCacheCapable: true, Ignorable: true,
	}
	fixed, secured, known := plain, plain, plain
	fixed.URLPrefix = "http://10.96.0.53:9756"
	secured.URLPrefix, secured.EnableHTTPS = "https://10.96.0.53:9756", true
	secured.TLSConfig = &schedulerv1.ExtenderTLSConfig{CAFile: "/etc/kubernetes/loam-extender-ca.crt"}
	known.URLPrefix, known.EnableHTTPS = secured.URLPrefix, true
	known.TLSConfig = &schedulerv1.ExtenderTLSConfig{
		CAFile: secured.TLSConfig.CAFile, CertFile: "/etc/kubernetes/loam-extender-client.crt", KeyFile: "/etc/kubernetes/loam-extender-client.key",
	}
	const address, certificates = "schedulerExtender.clusterIP=10.96.0.53", "schedulerExtender.tls.secretName=certs"
	for name, c := range map[string]struct {
		set  []string
		want schedulerv1.Extender
	}{
		"plain":               {nil, plain},
		"at a fixed address":  {[]string{address}, fixed},
		"TLS":                 {[]string{address, certificates}, secured},
		"TLS of both parties": {[]string{address, certificates, "schedulerExtender.tls.clientName=kube-scheduler"}, known},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"install", "loam", h.chart, "--namespace", namespace, "--dry-run=client", "--set", "schedulerExtender.enabled=true"}
			for _, one := range c.set {
				args = append(args, "--set", one)
			}
			printed, err := h.run(t.Context(), nil, args...)
			if err != nil {
				t.Fatal(err)
			}
			_, text, ok := strings.Cut(string(printed), "\n  apiVersion: kubescheduler")
			if !ok {
				t.Fatalf("nothing is printed for kube-scheduler:\n%s", printed)
			}
			asJSON, err := yaml.YAMLToJSON([]byte("  apiVersion: kubescheduler" + text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			var config schedulerv1.KubeSchedulerConfiguration
			strictly := json.NewDecoder(bytes.NewReader(asJSON))
			strictly.DisallowUnknownFields()
			if err := strictly.Decode(&config); err != nil {
				t.Fatal(err)
			}
			if config.GroupVersionKind() != schedulerv1.SchemeGroupVersion.WithKind("KubeSchedulerConfiguration") || config.ClientConnection.Kubeconfig == "" {
				t.Errorf("it is %+v", config)
			}
			if want := []schedulerv1.Extender{c.want}; !reflect.DeepEqual(config.Extenders, want) {
				t.Errorf("the extenders are\n%+v, want\n%+v", config.Extenders, want)
			}
		})
	}
}

func TestExtenderComesWithASchedulerWhenAskedFor(t *testing.T) {
	h := chart(t)
	text, err := h.template(t.Context(), "schedulerExtender.enabled=true", "schedulerExtender.scheduler.enabled=true", "schedulerExtender.scheduler.name=second")
	if err != nil {
		t.Fatal(err)
	}
	all := decode(t, text)
	pod := only[*appsv1.Deployment](t, all, "loam-scheduler-extender").Spec.Template.Spec
	if len(pod.Containers) != 2 || pod.Containers[1].Command[0] != "kube-scheduler" || !strings.HasPrefix(pod.Containers[1].Image, "registry.k8s.io/kube-scheduler:v1.") {
		t.Fatalf("the pod has %+v", pod.Containers)
	}
	var config struct { // of KubeSchedulerConfiguration; a real kube-scheduler reads it in test/cluster
		Profiles []struct {
			SchedulerName string `yaml:"schedulerName"`
		}
		Extenders []struct {
			URLPrefix string `yaml:"urlPrefix"`
		}
	}
	if err := yaml.Unmarshal([]byte(only[*corev1.ConfigMap](t, all, "loam-scheduler").Data["scheduler.yaml"]), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Profiles) != 1 || config.Profiles[0].SchedulerName != "second" || config.Extenders[0].URLPrefix != "http://127.0.0.1:9756" {
		t.Errorf("it is told %+v", config)
	}
	for name, role := range map[string]string{"loam-scheduler": "system:kube-scheduler", "loam-scheduler-volumes": "system:volume-scheduler"} {
		if b := only[*rbacv1.ClusterRoleBinding](t, all, name); b.RoleRef.Name != role || b.Subjects[0].Name != pod.ServiceAccountName {
			t.Errorf("%s binds %+v to %+v", name, b.RoleRef, b.Subjects)
		}
	}
	_, err = h.template(t.Context(), "schedulerExtender.enabled=true", "schedulerExtender.scheduler.enabled=true", "schedulerExtender.tls.secretName=certs")
	if err == nil || !strings.Contains(err.Error(), "leave schedulerExtender.tls.secretName empty") {
		t.Errorf("with TLS: %v", err)
	}
}
