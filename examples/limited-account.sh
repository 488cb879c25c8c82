#!/bin/sh
# A gate on loopback, and kubectl through it as a service account with a token for half an hour.
# The service account must exist: ACCOUNT=namespace/name ./limited-account.sh
set -eu
account=${ACCOUNT:-default/default}

kubegate expose --listen "${LISTEN:-127.0.0.1:6443}" --account "$account" --for 30m --out limited.kubeconfig &
gate=$!
trap 'kill "$gate"; wait "$gate"' EXIT

# The kubeconfig appears when the gate answers, and not before.
until [ -s limited.kubeconfig ]; do
  kill -0 "$gate"
  sleep 0.2
done
kubectl --kubeconfig limited.kubeconfig auth whoami
kubectl --kubeconfig limited.kubeconfig get configmaps --namespace "${account%/*}"
