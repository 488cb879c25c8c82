#!/bin/sh
# A gate with a name and a certificate of your own, on every interface; who may come here is for a firewall to say.
# NAME=gate.example.com CERT=tls.crt KEY=tls.key ./own-certificate.sh
set -eu

kubegate expose --listen "${LISTEN:-0.0.0.0:6443}" --host "$NAME" --cert "$CERT" --key "$KEY" --out public.kubeconfig &
gate=$!
trap 'kill "$gate"; wait "$gate"' EXIT

until [ -s public.kubeconfig ]; do
  kill -0 "$gate"
  sleep 0.2
done
# The file holds no credential: whoever gets it brings a token.
kubectl --kubeconfig public.kubeconfig --token "$TOKEN" get --raw /version
