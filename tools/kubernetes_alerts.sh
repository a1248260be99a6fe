#!/usr/bin/env bash
# Prints the alert rules of deploy/observability as an object of the Prometheus Operator:
#   tools/kubernetes_alerts.sh >deploy/k8s/components/monitoring/alerts/prometheusrule.yaml
set -euo pipefail
cd "$(dirname "$0")/../deploy/observability"

cat <<'END'
# Made by tools/kubernetes_alerts.sh from deploy/observability: change the rules there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: millrace}
spec:
  groups:
END
awk 'FNR == 1 { on = 0 } on { print ($0 == "" ? "" : "  " $0) } /^groups:/ { on = 1 }' alerts.yaml alerts_kubernetes.yaml
