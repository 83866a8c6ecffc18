"""The Kubernetes admission webhook: puts a gateway into each pod of labelled namespaces."""
