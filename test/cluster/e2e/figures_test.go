package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// claims is how many of them each figure is taken over.
const claims = 50

// TestFigures prints what a cluster pays for its volumes. `make cluster-figures` runs it; nothing in it is a bound.
func TestFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" {
		t.Skip("prints figures and tests nothing: make cluster-figures")
	}
	b := start(t)
	s := newStage(b)
	fmt.Printf("\nA cluster of two guests that share this machine's processors: times compare with each other, not with a real one's.\n")
	b.idle()
	s.oneByOne()
	s.burst()
	size := b.large()
	s.fill("default-scheduler", "without", size)
	s.fill("loam-scheduler", "with", size)
	s.lag()
}

// stage makes claims and pods, and notes when what about them was seen.
type stage struct {
	bed
	api *kubernetes.Clientset

	mu   sync.Mutex
	seen map[string]time.Time // "claim/NAME", "bound/NAME", "ready/NAME", "volume/NAME of the claim": when first
	news chan struct{}        // holds one when something was seen
	// capacity of each object by its class and node, and when it got so.
	capacity map[string]published
}

type published struct {
	bytes int64
	at    time.Time
}

func newStage(b bed) *stage {
	b.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		b.Fatal(err)
	}
	c.QPS, c.Burst = 1000, 1000
	api, err := kubernetes.NewForConfig(c)
	if err != nil {
		b.Fatal(err)
	}
	s := &stage{bed: b, api: api, seen: map[string]time.Time{}, news: make(chan struct{}, 1), capacity: map[string]published{}}
	ctx := b.Context()
	s.watch(api.CoreV1().PersistentVolumeClaims(b.namespace).Watch(ctx, metav1.ListOptions{}))
	s.watch(api.CoreV1().Pods(b.namespace).Watch(ctx, metav1.ListOptions{}))
	s.watch(api.CoreV1().PersistentVolumes().Watch(ctx, metav1.ListOptions{}))
	s.watch(api.StorageV1().CSIStorageCapacities(install).Watch(ctx, metav1.ListOptions{}))
	return s
}

// watch notes what a watch tells until the test ends.
func (s *stage) watch(w watch.Interface, err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	go func() {
		for e := range w.ResultChan() {
			s.note(e.Object)
		}
	}()
}

func (s *stage) note(o runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	first := func(what string) {
		if _, ok := s.seen[what]; !ok {
			s.seen[what] = now
		}
	}
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		first("claim/" + o.Name)
		if o.Status.Phase == corev1.ClaimBound {
			first("bound/" + o.Name)
		}
	case *corev1.Pod:
		for _, c := range o.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				first("ready/" + o.Name)
			}
		}
	case *corev1.PersistentVolume:
		if o.Spec.ClaimRef != nil {
			first("volume/" + o.Spec.ClaimRef.Name)
		}
	case *storagev1.CSIStorageCapacity:
		key := o.StorageClassName + " " + o.NodeTopology.MatchLabels["loam.storage/node"]
		if is := o.Capacity.Value(); s.capacity[key].bytes != is {
			s.capacity[key] = published{is, now}
		}
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// await waits until something holds of what was seen.
func (s *stage) await(what string, holds func() bool) {
	s.Helper()
	end := time.After(10 * time.Minute)
	for {
		s.mu.Lock()
		ok := holds()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-s.news:
		case <-end:
			s.Fatalf("%s: not within ten minutes", what)
		}
	}
}

// make makes a claim and a pod that uses it, on any node or the one that is named.
func (s *stage) make(name, size, node string) {
	s.Helper()
	s.makeOf("loam", name, size, func(p *corev1.PodSpec) {
		if node != "" {
			p.NodeSelector = map[string]string{"kubernetes.io/hostname": node}
		}
	})
}

// makeOf makes the same of another class, and of a pod that is changed.
func (s *stage) makeOf(class, name, size string, change func(*corev1.PodSpec)) {
	s.Helper()
	ctx := s.Context()
	_, err := s.api.CoreV1().PersistentVolumeClaims(s.namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	quick := int64(1)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &quick,
			Containers:                    []corev1.Container{{Name: "main", Image: shell, Command: []string{"sleep", "infinity"}, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			Volumes:                       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}},
		},
	}
	change(&p.Spec)
	if _, err := s.api.CoreV1().Pods(s.namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// clear deletes all pods and claims of the test, and waits until their volumes are gone.
func (s *stage) clear() {
	s.Helper()
	s.endPods()
	s.kubectl("delete", "pvc", "--all", "--timeout=280s")
	s.until("no volume is left", func() (string, bool) {
		out, err := s.try("get", "pv", "-o", "jsonpath={.items[*].spec.claimRef.namespace}")
		return out, err == nil && !strings.Contains(out, s.namespace)
	})
}

// between are the times from one thing to another, for each name, in order of size.
func (s *stage) between(from, to string, names []string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []time.Duration
	for _, n := range names {
		all = append(all, s.seen[to+"/"+n].Sub(s.seen[from+"/"+n]))
	}
	slices.Sort(all)
	return all
}

// part is the smallest value that so many hundredths of all are not above.
func part[T any](sorted []T, hundredths int) T {
	return sorted[max(0, (len(sorted)*hundredths+99)/100-1)]
}

func names(prefix string) (all []string) {
	for i := range claims {
		all = append(all, fmt.Sprintf("%s-%02d", prefix, i))
	}
	return all
}

// oneByOne prints what one claim takes while nothing else goes on, and what it costs the API server.
func (s *stage) oneByOne() {
	all := names("one")
	from := time.Now()
	for _, n := range all {
		s.make(n, "64Mi", "")
		s.await(n, func() bool { return !s.seen["ready/"+n].IsZero() })
		if err := s.api.CoreV1().Pods(s.namespace).Delete(s.Context(), n, metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
	bound, ready := s.between("claim", "bound", all), s.between("claim", "ready", all)
	fmt.Printf("\n%d claims, one after another\n  claim to bound: p50 %.1f s, p95 %.1f s\n  claim to pod ready: p50 %.1f s, p95 %.1f s\n", claims,
		part(bound, 50).Seconds(), part(bound, 95).Seconds(), part(ready, 50).Seconds(), part(ready, 95).Seconds())
	s.share(all, ready)
	s.writes(from, "made and used", len(all))
	from = time.Now()
	s.clear()
	s.writes(from, "deleted", len(all))
}

// burst prints what as many claims take at once.
func (s *stage) burst() {
	all := names("burst")
	from := time.Now()
	for _, n := range all {
		s.make(n, "64Mi", "")
	}
	s.await("all bound", func() bool {
		return !slices.ContainsFunc(all, func(n string) bool { return s.seen["bound/"+n].IsZero() })
	})
	bound := time.Since(from)
	s.await("all ready", func() bool {
		return !slices.ContainsFunc(all, func(n string) bool { return s.seen["ready/"+n].IsZero() })
	})
	ready := time.Since(from)
	failed := s.kubectl("get", "events", "--field-selector", "reason=ProvisioningFailed", "-o", "name")
	fmt.Printf("\n%d claims at once\n  all bound after %.0f s, all pods ready after %.0f s; failed CreateVolume calls: %d\n", claims,
		bound.Seconds(), ready.Seconds(), len(strings.Fields(failed)))
	s.writes(from, "made and used", len(all))
	s.clear()
}

// fill prints what becomes of pods that fill both nodes at once.
func (s *stage) fill(scheduler, extender, size string) {
	s.Helper()
	var all []string
	from := time.Now()
	for n := range burstPods {
		all = append(all, fmt.Sprintf("%s-%02d", extender, n))
		s.makeOf(burstClass, all[n], size, func(p *corev1.PodSpec) {
			p.SchedulerName, p.HostNetwork, p.AutomountServiceAccountToken = scheduler, true, new(bool) // as burstPod
		})
	}
	there := func() (ready int) {
		for _, n := range all {
			if !s.seen["ready/"+n].IsZero() {
				ready++
			}
		}
		return ready
	}
	for n := 1; n <= burstPods; n++ {
		s.await(fmt.Sprintf("%d of %d pods ready", n, burstPods), func() bool { return there() >= n })
	}
	took := time.Since(from)
	fmt.Printf("\n%d pods that fill both nodes, %s the scheduler extender\n  all ready after %.0f s; CreateVolume calls by how they ended: %v\n",
		burstPods, extender, took.Seconds(), s.created(from))
	s.clear()
}

var created = regexp.MustCompile(`msg=call method=CreateVolume .*?code=(\w+)`)

// created counts agents' CreateVolume calls since a time, by their codes.
func (s *stage) created(from time.Time) map[string]int {
	s.Helper()
	logs := s.kubectl("--namespace", install, "logs", "--selector=app.kubernetes.io/component=agent", "--tail=-1", "--since-time="+from.UTC().Format(time.RFC3339))
	codes := map[string]int{}
	for _, m := range created.FindAllStringSubmatch(logs, -1) {
		codes[m[1]]++
	}
	return codes
}

// lag prints how long after a volume is there the capacity says so: negative where it said so before.
func (s *stage) lag() {
	var all []time.Duration
	for round := range 2 {
		start := s.says("loam k1").bytes
		for i := range 12 {
			n := fmt.Sprintf("lag-%d-%02d", round, i)
			before := s.says("loam k1")
			s.make(n, "320Mi", "k1") // more than a step of the rounding
			s.await(n, func() bool { return !s.seen["volume/"+n].IsZero() && s.capacity["loam k1"].bytes < before.bytes })
			s.mu.Lock()
			all = append(all, s.capacity["loam k1"].at.Sub(s.seen["volume/"+n]))
			s.mu.Unlock()
		}
		s.clear()
		s.await("room again", func() bool { return s.capacity["loam k1"].bytes >= start })
	}
	slices.Sort(all)
	fmt.Printf("\nCapacity published after a volume's record, %d volumes\n  p50 %d ms, p99 %d ms (peers that poll: up to 60 s)\n", len(all),
		part(all, 50).Milliseconds(), part(all, 99).Milliseconds())
}

func (s *stage) says(key string) published {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capacity[key]
}

var call = regexp.MustCompile(`msg=call method=(\w+) duration=(\S+) code=OK volume=(\S+)`)

// share prints how much of the time to a ready pod is Loam's, by what the agents log of their calls.
func (s *stage) share(all []string, ready []time.Duration) {
	s.Helper()
	logs := s.kubectl("--namespace", install, "logs", "--selector=app.kubernetes.io/component=agent", "--tail=-1")
	took := map[string]time.Duration{}      // by volume
	methods := map[string][]time.Duration{} // by method
	ids := strings.Fields(s.kubectl("get", "pvc", "-o", "jsonpath={.items[*].spec.volumeName}"))
	for line := range strings.Lines(logs) {
		m := call.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], "CreateVolume") && !strings.HasPrefix(m[1], "NodeStage") && !strings.HasPrefix(m[1], "NodePublish") {
			continue
		}
		i := slices.IndexFunc(ids, func(id string) bool { return strings.Contains(m[3], id) })
		d, err := time.ParseDuration(m[2])
		if i < 0 || err != nil {
			continue
		}
		took[ids[i]] += d
		methods[m[1]] = append(methods[m[1]], d)
	}
	if len(took) != len(all) {
		s.Fatalf("the agents' logs tell of %d volumes of %d", len(took), len(all))
	}
	loam := slices.Sorted(maps.Values(took))
	fmt.Printf("  of it in Loam: p50 %.2f s, p95 %.2f s, %.0f %% of the median (", part(loam, 50).Seconds(), part(loam, 95).Seconds(),
		100*part(loam, 50).Seconds()/part(ready, 50).Seconds())
	var words []string
	for _, m := range slices.Sorted(maps.Keys(methods)) {
		slices.Sort(methods[m])
		words = append(words, fmt.Sprintf("%s %.2f s", m, part(methods[m], 50).Seconds()))
	}
	fmt.Printf("%s); the rest is the scheduler's, the sidecars', the kubelet's and the container's\n", strings.Join(words, ", "))
}

// request is what the API server's audit log has of one (API reference, audit.k8s.io/v1 Event).
type request struct {
	Stage     string
	Verb      string
	UserAgent string
	User      struct {
		Username string
		Extra    map[string][]string
	}
	ObjectRef struct{ Resource, Subresource, Name string }
	Stamp     time.Time `json:"stageTimestamp"`
}

// requests are those of Loam's ServiceAccounts since a time.
func (b bed) requests(from time.Time) (all []request) {
	b.Helper()
	f, err := os.Open(filepath.Join(os.Getenv("LOAM_CLUSTER"), "audit.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			b.Fatal(err)
		}
		if r.Stamp.After(from) {
			all = append(all, r)
		}
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// who made a request: Loam's own programs, or a sidecar by its name.
func (r request) who() string {
	name, _, _ := strings.Cut(r.UserAgent, "/")
	if strings.HasSuffix(r.User.Username, ":loam-agent") {
		return "Loam's agents"
	}
	if name == "loam" {
		return "Loam's controllers"
	}
	return name
}

// writes prints what was written to the API since a time, for each of n volumes.
func (b bed) writes(from time.Time, done string, n int) {
	b.Helper()
	counts := map[string]int{}
	for _, r := range b.requests(from) {
		if r.Stage != "ResponseComplete" || !slices.Contains([]string{"create", "update", "patch", "delete"}, r.Verb) {
			continue
		}
		what := r.ObjectRef.Resource
		if what == "leases" {
			continue // of leader election, which goes on without volumes
		}
		counts[fmt.Sprintf("%s: %s %s", r.who(), r.Verb, strings.TrimRight(what+"/"+r.ObjectRef.Subresource, "/"))]++
	}
	fmt.Printf("  API writes per volume %s (leases of leader election left out)\n", done)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("    %-60s %.2f\n", what, float64(counts[what])/float64(n))
	}
}

// idle prints what agents cost while nothing happens.
func (b bed) idle() {
	b.Helper()
	type use struct{ ticks, rss int64 }
	nodes := []string{"k1", "k2"}
	for _, n := range nodes { // who sees all processes of a node
		b.apply(fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: see-%s}\nspec:\n  hostPID: true\n  nodeName: %s\n  terminationGracePeriodSeconds: 1\n  containers: [{name: main, image: %q, command: [sleep, infinity]}]\n", n, n, shell))
		b.ready("see-" + n)
	}
	read := func(node string) (u use) {
		out := b.in("see-"+node, `for p in /proc/[0-9]*; do case $(tr "\0" " " < $p/cmdline) in *"loam agent"*)
			while read -r name size unit; do case $name in VmRSS:) echo $size; esac; done < $p/status; cut -d" " -f14,15 $p/stat; esac; done`)
		var user, system int64
		if _, err := fmt.Sscan(out, &u.rss, &user, &system); err != nil {
			b.Fatalf("%q: %v", out, err)
		}
		u.ticks = user + system
		return u
	}
	time.Sleep(time.Minute) // what the tests' beginning caused is over by then
	from := time.Now()
	before := map[string]use{}
	for _, n := range nodes {
		before[n] = read(n)
	}
	time.Sleep(2 * time.Minute)
	fmt.Printf("\nAgents while nothing happens\n")
	for _, n := range nodes {
		after := read(n)
		const ticksPerSecond = 100
		fmt.Printf("  %s: RSS %.1f MB, %.1f milli-cores\n", n, float64(after.rss)/1000, 1000*float64(after.ticks-before[n].ticks)/ticksPerSecond/time.Since(from).Seconds())
	}
	requests, watches := 0, map[string]bool{}
	for _, r := range b.requests(time.Time{}) {
		if r.who() != "Loam's agents" {
			continue
		}
		if r.Verb == "watch" {
			watches[strings.Join(r.User.Extra["authentication.kubernetes.io/pod-name"], "")+" "+r.ObjectRef.Resource] = true
		} else if r.Stamp.After(from) {
			requests++
		}
	}
	pods := map[string]int{}
	for w := range watches {
		pod, _, _ := strings.Cut(w, " ")
		pods[pod]++
	}
	fmt.Printf("  watches of each agent that there has been: %v; other requests of all in two minutes: %d\n", slices.Sorted(maps.Values(pods)), requests)
	objects, err := b.try("--namespace", install, "get", "csistoragecapacities", "-l", "loam.storage/node=k1", "-o", "name")
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("  objects of each node: %d CSIStorageCapacities, one for each StorageClass\n", len(strings.Fields(objects)))
}
