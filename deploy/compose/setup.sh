#!/bin/sh
# Makes the secrets of this example, once: the admin token, the agent's key, and what the gateway knows of that key.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 711 secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
sum() { if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }
[ -e secrets/admin-token ] || random > secrets/admin-token
[ -e secrets/agent-key ] || random > secrets/agent-key
sum < secrets/agent-key > secrets/agent-key.sha256
# Compose mounts these files as they are, and the gateway runs as 10001. On a host with other users, give them to it
# instead: chown 10001 secrets/* && chmod 400 secrets/*
chmod 444 secrets/*
