# Every command of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help dependencies build run infra-up infra-down image stack-up stack-up-minio stack-down stack-ps stack-logs \
  smoke loadtest bench bench-check release test test-all unit asan tsan e2e test-s3 test-stack test-deploy lint tidy format clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dependencies:
	@tools/install_dependencies.sh

build: dependencies ## Build the release binary: build/bin/millrace
	@tools/build.sh release millrace

run: build ## Build, and start everything on 127.0.0.1:8080 with its data in ./data
	@build/bin/millrace serve

infra-up: ## Start Kafka on localhost:19092, with the topic, for workloads on this machine
	@tools/stack.sh infra-up

infra-down: ## Stop it (CLEAN=1 removes its data too)
	@tools/stack.sh infra-down

image: ## Build the container image millrace:dev
	@tools/image.sh millrace

stack-up: ## Start Kafka, the workloads, the web page and Prometheus in containers (without Docker: as processes)
	@tools/stack.sh up

stack-up-minio: ## The same, with the tables on an S3 server
	@tools/stack.sh up --minio

stack-down: ## Stop all of it (CLEAN=1 removes its data too)
	@tools/stack.sh down

stack-ps: ## What runs of it
	@tools/stack.sh ps

stack-logs: ## What it wrote last
	@tools/stack.sh logs

smoke: ## Send 1,000 sample records to the running stack, wait for them, print the top paths
	@tools/stack.sh smoke

loadtest: ## Send RECORDS=1000000 to the running stack and say how long they took
	@tools/stack.sh loadtest

bench: dependencies ## Measure the whole path with real processes (BENCH="--repeats 1 --stages echo" for a part)
	@tools/bench.sh $(BENCH)

bench-check: dependencies ## Compare each stage's cost, relative to its limit, with what is recorded; fails on a loss
	@tools/bench_check.sh $(BENCH)

release: ## Write the manifests and an archive of deploy/ into dist/ (IMAGE=registry/millrace@sha256:...)
	@tools/release.sh $(IMAGE)

test: ## The gate: lint, clang-tidy, release build, unit tests, ASan+UBSan, end to end, on S3
	@tools/test.sh gate

test-all: ## The gate, then TSan and the long crash and chaos runs
	@tools/test.sh all

unit: dependencies ## Unit tests on the release build
	@tools/test.sh unit

asan: dependencies ## Unit tests and fuzz corpora under ASan+UBSan
	@tools/test.sh asan

tsan: dependencies ## Unit tests under TSan
	@tools/test.sh tsan

e2e: build ## End-to-end tests with real processes
	@tools/test.sh e2e

test-s3: build ## The end-to-end tests with their tables on two real S3 servers
	@tools/test.sh s3

test-stack: ## The image and the stack of containers, in a real Docker engine
	@tools/test.sh stack

test-deploy: build ## The Kubernetes manifests: schemas, linter, and a real cluster of one node
	@tools/test.sh deploy

lint: dependencies ## Formatting and house rules
	@tools/lint.sh

tidy: build ## clang-tidy over the sources
	@tools/tidy.sh

format: ## Format the C++ sources
	@git ls-files -co --exclude-standard '*.cc' '*.h' | xargs clang-format-19 -i

clean: ## Remove what was built (downloads stay in the cache)
	@rm -rf build
