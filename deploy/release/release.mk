# What a release is made of; docs/release.md says how.
RELEASE := .venv-release/bin
PYTHONS ?= python3.11 python3.12 python3.13
ENGINE ?= docker
IMAGE ?= toolgate
PYTHON_IMAGE ?= python:3.13-slim-trixie
LOCK ?= requirements.lock
UV_COMPILE = UV_PYTHON_DOWNLOADS=never $(RELEASE)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" -c constraints.txt

lock: .venv-release/.installed ## write the lock files: what constraints.txt says, with hashes, for every platform
	$(UV_COMPILE) --extra redis pyproject.toml -o requirements.lock
	$(UV_COMPILE) --extra all pyproject.toml -o deploy/image/requirements-full.lock
	$(UV_COMPILE) deploy/image/requirements-build.in -o deploy/image/requirements-build.lock

dist: .venv-release/.installed ## build the wheel and the source distribution into dist/
	rm -rf dist build
	$(RELEASE)/python -m build --outdir dist .

sbom: .venv-release/.installed ## write dist/toolgate-VERSION.cdx.json: what is in the image (CycloneDX)
	rm -rf .venv-sbom
	$(PYTHON) -m venv --without-pip .venv-sbom
	$(RELEASE)/uv pip install --quiet --python .venv-sbom --require-hashes --only-binary=:all: -r $(LOCK)
	@mkdir -p dist
	$(RELEASE)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible .venv-sbom/bin/python \
		| $(PYTHON) deploy/release/sbom.py $(VERSION) > dist/toolgate-$(VERSION).cdx.json

image: ## build the container image (ENGINE=docker|podman|buildah PYTHON_IMAGE=...@sha256:... LOCK=...)
	$(ENGINE) build $(BUILD_FLAGS) \
		--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg LOCK=$(LOCK) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) \
		--build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) -t $(IMAGE):$(VERSION) .

test-dist: $(DEV_STAMP) dist ## the wheel in an empty environment: no extras, SQLite; and the locks for amd64 and arm64
	$(BIN)/python -m pytest tests/deploy/check_dist.py

test-image: $(DEV_STAMP) .venv-release/.installed ## build the image for real, and run it read-only without capabilities (root, Debian; docs/release.md)
	$(BIN)/python -m pytest -rs tests/deploy/check_image.py tests/deploy/check_pod.py

test-pythons: .venv-release/.installed ## the fast tests with every Python that is supported and found
	@failed=; for python in $(PYTHONS); do \
		command -v $$python > /dev/null || { echo "no $$python here: skipped"; continue; }; \
		$(RELEASE)/uv venv --quiet --allow-existing --python $$(command -v $$python) .venv-$$python \
		&& $(RELEASE)/uv pip install --quiet --python .venv-$$python -c constraints.txt -e '.[dev]' \
		&& .venv-$$python/bin/python -m pytest $(or $(ARGS),--ignore tests/e2e --ignore tests/demo --ignore tests/fuzz) \
		|| failed="$$failed $$python"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

.venv-release/.installed: deploy/release/requirements.txt
	$(PYTHON) -m venv .venv-release
	PYTHONWARNINGS=ignore $(RELEASE)/python -m pip install --quiet --disable-pip-version-check -r deploy/release/requirements.txt
	@touch $@
