# `make` lists the targets. Everything runs on a machine without device-mapper: what needs it runs in a guest (test/guest).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.cache/go/bin:$(PATH)

KERNEL ?= uml# uml, qemu or host: where tests and demo find device-mapper
FUZZTIME ?= 10s# how long `make fuzz` spends on each target
# One way to compile for programs and guests, so that nothing is compiled twice. Guests want static binaries.
STATIC := CGO_ENABLED=0 GOFLAGS="$(GOFLAGS) -trimpath"
# The compiler is a sixth faster where it collects its garbage less often.
COMPILE := GOGC=400
GUEST := bin/guest --kernel=$(KERNEL)
IN_GUEST = -exec "$(CURDIR)/$(GUEST) --timeout=25m
LINTER := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Packages with tests that want real LVM, file systems or block devices, those that take longest first: guests run side by
# side, and the last ones to end should be short. The drill mostly waits.
LONGEST := ./test/drill ./lvm ./test/faults ./test/sanity ./node/filesystem ./test/lifecycle
REAL = $(LONGEST) $(filter-out $(LONGEST),$(shell grep -rl --include='*_test.go' RequireDisks bench lvm node test | xargs dirname | grep -v -e lvmtest -e figures | sort -u | sed 's|^|./|'))

# Those of them with tests, or parts of tests, for which only `make faults` has the time.
LONG = $(filter $(shell grep -rlE --include='*_test.go' 'lvmtest\.(Long|IsLong|Anywhere)\b' $(REAL) | xargs dirname | sort -u),$(REAL))

# They make the other people's disks that tests refuse to touch, kill LVM in the middle of its work, and measure.
IMAGES := --package=strace --package=btrfs-progs --package=mdadm --package=cryptsetup-bin --package=gdisk --package=fio

##@ What a user runs
.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo

.PHONY: setup
setup: fetched ## fetch all that the other targets need, and boot a guest; they fetch it by themselves, too
	@$(GUEST) --timeout=5m -- true

.PHONY: demo
demo: programs ## the main job, step by step, on blank disks of a guest
	@$(GUEST) --disks=2x2G,1x64M --timeout=5m -- bin/demo --loam bin/loam

.PHONY: build
build: programs ## build bin/loam, and bin/guest and bin/demo

##@ What a developer runs
.PHONY: test
test: fetched ## all tests: here with the race detector, then in the guest on real LVM
	@unformatted=$$(gofmt -l $$(go list -f '{{.Dir}}' ./...)); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(COMPILE) $(STATIC) go vet ./...
	$(COMPILE) go test -race -vet=off -p 4 ./test/guest/... $$(go list ./... | grep -v -e /deploy/ -e /test/)
	$(STATIC) go test -vet=off ./deploy/... ./controller/certificates $$(go list ./test/... | grep -v -e /test/guest -e /test/browser)
	$(STATIC) LOAM_REQUIRED=1 go test -vet=off ./test/browser
	$(STATIC) LOAM_REQUIRED=1 go test -vet=off -ldflags=-w -count=1 -timeout 25m -p 4 $(IN_GUEST) --disks=4x1G $(IMAGES) --" $(REAL)

.PHONY: chart
chart: tools ## tests of the Helm chart and the manifests; the first time it builds Helm, which takes minutes
	LOAM_REQUIRED=1 go test -count=1 ./deploy/...

.PHONY: e2e
e2e: programs bin/cluster ## tests on a Kubernetes of its own, which takes most of half an hour to build the first time
	bin/cluster --nodes=2 --disks=2x6G,1x100G -- bash -o pipefail -c 'cd test/cluster && go test -count=1 . && go test -count=1 -timeout 50m -parallel 3 -v ./e2e | grep --line-buffered -v "^=== "'

.PHONY: faults
faults: test-tools programs ## the guest's tests with all that `make test` leaves out: each command of LVM killed at each of its steps, a drill of each alert's page; takes more than half an hour; the table says which faults were survived
	@$(STATIC) LOAM_REQUIRED=1 LOAM_FAULTS=1 go test -vet=off -count=1 -timeout 60m -v -exec "$(CURDIR)/$(GUEST) --timeout=60m --disks=4x1G $(IMAGES) --" $(LONG) | awk -f test/faults/table.awk

.PHONY: cluster-figures
cluster-figures: programs bin/cluster ## figures of a cluster: time to a pod, API writes, capacity's lag, the agents' cost
	@bin/cluster --nodes=2 --disks=2x6G,1x100G -- bash -o pipefail -c 'cd test/cluster && LOAM_FIGURES=1 go test -count=1 -timeout 50m -run "^TestFigures$$" -v ./e2e | grep --line-buffered -v -e "^=== " -e "^--- " -e "^ok"'

.PHONY: cluster
cluster: programs bin/cluster ## a Kubernetes of its own with Loam on it, which stays until `bin/cluster down`
	bin/cluster up --nodes=2 --disks=2x6G

.PHONY: bin/cluster
bin/cluster: tools
	cd test/cluster && $(STATIC) go build -o ../../bin/cluster .

.PHONY: lint
lint: tools ## the linters, with the import fence; test/cluster takes minutes the first time
	go run $(LINTER) run
	cd test/cluster && go run $(LINTER) run --config ../../.golangci.yml
	@if command -v shellcheck >/dev/null; then shellcheck test/setup.sh; else echo "lint: shellcheck is not installed, so test/setup.sh was not looked at" >&2; fi

.PHONY: bench
bench: programs ## figures: processes per call, cost by the number of volumes, package lvm beside LVM's commands, an idle agent, a scrape, a thick volume on a ramdisk, the scheduler extender, loam bench beside fio
	@$(STATIC) LOAM_FIGURES=1 go test -count=1 -timeout 20m -p 1 $(IN_GUEST) --disks=2x4G --" -run Figures -v ./test/figures ./lvm | grep -v -e '^=== ' -e '^--- ' -e '^ok' -e ' agent: '
	@$(STATIC) LOAM_FIGURES=1 go test -count=1 -timeout 20m -exec "$(CURDIR)/bin/guest --kernel=qemu --timeout=20m --disks=1x4G --" -run StallFigures -v ./lvm | grep -v -e '^=== ' -e '^--- ' -e '^ok'
	@LOAM_FIGURES=1 go test -count=1 -timeout 20m -p 1 -run Figures -v ./node ./scheduler-extender ./bench | grep -v -e '^=== ' -e '^--- ' -e '^ok'
	@go test -run '^$$' -bench . -benchmem ./scheduler-extender | grep '^Benchmark'

.PHONY: fuzz
fuzz: tools ## every fuzz target, for 10 s each or FUZZTIME=…
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' bench cluster cmd controller lvm node published scheduler-extender test | sed 's|/[^/]*:func | |' | sort | while read -r folder target; do \
		echo "$$folder: $$target"; go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "./$$folder"; done

.PHONY: testdata
testdata: test-tools programs ## capture lvm/testdata anew from real LVM, bench/testdata from fio, and test/browser/testdata from Prometheus
	$(STATIC) go test -count=1 $(IN_GUEST) --disks=4x1G --writable=$(CURDIR)/lvm/testdata --" ./lvm -run '^TestCapture$$' -capture
	$(STATIC) go test -count=1 $(IN_GUEST) --disks=4x1G --package=fio --writable=$(CURDIR)/bench/testdata --" ./bench -run '^TestCaptureFio$$' -capture
	$(STATIC) go test -count=1 -timeout 25m $(IN_GUEST) --disks=2G,3G,1G --writable=$(CURDIR)/test/browser/testdata --" ./test/lifecycle -run '^TestCaptureDashboard$$' -capture

.PHONY: pictures
pictures: test-tools ## docs/images of loam bench's page and of the dashboard, taken with chromium
	LOAM_PICTURES=$(CURDIR)/docs/images go test -count=1 -run '^TestPictures$$' ./test/browser

.PHONY: clean
clean: ## remove what was built; not the guest's kernels and the tool chain in .cache
	rm -rf bin

.PHONY: tools test-tools fetched
tools:
	@test/setup.sh
test-tools:
	@test/setup.sh tests
# What tests want, while programs are compiled.
fetched: tools
	@test/setup.sh tests & fetching=$$!; $(MAKE) --no-print-directory programs && go list -deps -test ./... >/dev/null && wait $$fetching

# Go knows what is out of date; building twice costs nothing. The version is git's, where git lets this user have it.
.PHONY: programs bin/loam bin/guest bin/demo
bin/loam bin/guest bin/demo: programs
programs: tools
	@[ -e bin ] || echo "building bin/loam, bin/guest and bin/demo; the first time takes a while" >&2
	@stamp=auto; git rev-parse HEAD >/dev/null 2>&1 || stamp=false; \
		$(COMPILE) $(STATIC) go build -buildvcs=$$stamp -o bin/ ./cmd/loam ./test/guest ./test/demo

##@ What a release needs
.PHONY: manifests
manifests: tools ## deploy/manifests, rendered from the Helm chart, the dashboard, and the reference of the metrics
	go run ./deploy/render

.PHONY: image
image: programs ## bin/loam.tar, the container image, out of Debian's packages; no container engine is needed
	go run ./deploy/image
