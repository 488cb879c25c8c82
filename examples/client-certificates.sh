#!/bin/sh
# TLS passed through unopened, so that the client certificate of your kubeconfig works (kubeadm's admin.conf has one).
set -eu
source=${KUBECONFIG:-$HOME/.kube/config}
user=$(kubectl config view --minify --output 'jsonpath={.contexts[0].context.user}')

kubegate expose --listen "${LISTEN:-127.0.0.1:6443}" --passthrough --out passthrough.kubeconfig &
gate=$!
trap 'kill "$gate"; wait "$gate"' EXIT

until [ -s passthrough.kubeconfig ]; do
  kill -0 "$gate"
  sleep 0.2
done
# The cluster from the gate's file, the user from your own.
KUBECONFIG="passthrough.kubeconfig:$source" kubectl --user "$user" get nodes
