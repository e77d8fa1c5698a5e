package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/loam-storage/loam/node/config"
)

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestExampleClassesAreForThePoolsOfTheReference(t *testing.T) {
	pools, err := config.Parse("reference", reference(t))
	if err != nil {
		t.Fatal(err)
	}
	var defaults []string
	for _, object := range decode(t, example(t, "storageclasses.yaml")) {
		class, ok := object.(*storagev1.StorageClass)
		if !ok {
			t.Errorf("%T", object)
			continue
		}
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			defaults = append(defaults, class.Name)
		}
		if class.Provisioner != "loam.storage" || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer || !*class.AllowVolumeExpansion {
			t.Errorf("%s: %+v", class.Name, class)
		}
		i := slices.IndexFunc(pools.Pools, func(p config.Pool) bool { return p.Name == class.Parameters["pool"] })
		if i < 0 {
			t.Errorf("%s is for pool %q, which the reference has not", class.Name, class.Parameters["pool"])
		} else if thick := pools.Pools[i].Type == config.Thick; thick != strings.HasSuffix(class.Name, "thick") {
			t.Errorf("%s is for a pool of type %s", class.Name, pools.Pools[i].Type)
		}
	}
	if !slices.Equal(defaults, []string{"loam"}) {
		t.Errorf("default classes: %v", defaults)
	}
}

func TestExampleSetUsesAnExampleClass(t *testing.T) {
	set := only[*appsv1.StatefulSet](t, decode(t, example(t, "statefulset.yaml")), "ledger")
	only[*storagev1.StorageClass](t, decode(t, example(t, "storageclasses.yaml")), *set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName)
}

func TestExampleSnapshotIsOfTheExampleSet(t *testing.T) {
	text := string(example(t, "snapshot.yaml")) // the types are not Kubernetes' own
	set := only[*appsv1.StatefulSet](t, decode(t, example(t, "statefulset.yaml")), "ledger")
	claim := set.Spec.VolumeClaimTemplates[0].Name + "-" + set.Name + "-0"
	for _, want := range []string{"persistentVolumeClaimName: " + claim + "\n", "driver: loam.storage\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
}

func TestExampleBenchJobIsOfTheChartsImageAndAnExampleClass(t *testing.T) {
	job := only[*batchv1.Job](t, decode(t, example(t, "bench-job.yaml")), "loam-bench")
	pod := job.Spec.Template.Spec
	for _, v := range pod.Volumes {
		if v.Ephemeral != nil {
			only[*storagev1.StorageClass](t, decode(t, example(t, "storageclasses.yaml")), *v.Ephemeral.VolumeClaimTemplate.Spec.StorageClassName)
		}
	}
	manifest, err := os.ReadFile(filepath.Join("..", "manifests", "loam.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		if !strings.Contains(string(manifest), `image: "`+c.Image+`"`) {
			t.Errorf("container %s is of image %s, which the chart does not use", c.Name, c.Image)
		}
	}
}
