# The chart; docs/kubernetes.md says how it is used.
chart: $(DEV_STAMP) ## write what the chart has of other files: its schema, its README, alerts and dashboard
	$(BIN)/python helm/generate.py

test-helm: $(DEV_STAMP) ## the chart: every values file, Helm 3 and 4, Kubernetes 1.29 to 1.37
	$(BIN)/python -m pytest tests/deploy/helm/check_matrix.py tests/deploy/helm

kustomize: $(DEV_STAMP) ## write the base for kustomize: what the chart renders
	$(BIN)/python -m tests.deploy.helm.kustomize

.PHONY: chart test-helm kustomize
