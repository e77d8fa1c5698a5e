# `make` lists the targets. Everything runs on a machine without device-mapper: what needs it runs in a guest (test/guest).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.cache/go/bin:$(PATH)

KERNEL ?= uml# uml, qemu or host: where tests and demo find device-mapper
GUEST := bin/guest --kernel=$(KERNEL)
LINTER := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Packages with tests that want real LVM, file systems or block devices.
REAL := ./lvm ./node/filesystem ./node/disk ./node/signature ./test/lifecycle ./test/sanity ./test/faults

##@ What a user runs
.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo

.PHONY: setup
setup: ## make sure that there is a Go tool chain; the other targets do this, too
	@test/setup.sh

.PHONY: demo
demo: bin/loam bin/guest bin/demo ## the main job, step by step, on blank disks of a guest
	@$(GUEST) --disks=2x2G,1x256M --timeout=5m -- bin/demo --loam bin/loam

.PHONY: build
build: bin/loam ## build the loam binary

##@ What a developer runs
.PHONY: test
test: setup bin/guest bin/loam ## all tests: here with the race detector, then in the guest on real LVM
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go test -race ./...
	CGO_ENABLED=0 LOAM_REQUIRED=1 go test -count=1 -p 2 -timeout 10m -exec "$(CURDIR)/$(GUEST) --disks=4x1G --timeout=10m --" $(REAL)

.PHONY: lint
lint: setup ## the linters, with the import fence
	go run $(LINTER) run

.PHONY: bench
bench: setup bin/guest ## figures: processes per call, cost at 100 volumes against 10, memory when idle
	CGO_ENABLED=0 go test -count=1 -timeout 10m -exec "$(CURDIR)/$(GUEST) --disks=2x4G --timeout=10m --" -run Figures -v ./test/figures | grep -v -e '^=== ' -e '^--- ' -e '^ok'

.PHONY: clean
clean: ## remove what was built; not the guest's kernels and the tool chain in .cache
	rm -rf bin

# Go knows what is out of date; building twice costs nothing.
.PHONY: bin/loam bin/guest bin/demo
bin/loam: setup
	@CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/loam
bin/guest: setup
	@CGO_ENABLED=0 go build -trimpath -o $@ ./test/guest
bin/demo: setup
	@CGO_ENABLED=0 go build -trimpath -o $@ ./test/demo
