{{/* Fails if values contradict each other. The schema cannot express this. Each message names the keys and the fix. */}}

{{/* Fails if a value that the templates need is null. Helm removes keys that are null, so they look like missing ones.
Every template includes this first, because Helm chooses the order of the templates. Other values may be null: that
removes the default. */}}
{{- define "falcowatch.nulls" -}}
{{- range $path := list "config" "falco" "image" "serviceAccount" "rbac" "resources" "resources.limits" "securityContext" "updateStrategy" "probes" "probes.startup" "probes.liveness" "probes.readiness" "service" "serviceMonitor" "podMonitor" "prometheusRule" "dashboard" "falcoRules" "networkPolicy" "openshift" "test" "seal" "audit" "audit.serviceAccount" "audit.resources" -}}
{{- $value := $.Values -}}
{{- range splitList "." $path -}}{{- $value = get $value . -}}{{- end -}}
{{- if not (kindIs "map" $value) -}}
{{- fail (printf "%s is null; leave it out, or set the keys below it" $path) -}}
{{- end -}}
{{- end -}}
{{- range $path := list "terminationGracePeriodSeconds" "networkPolicy.httpsCidrs" "prometheusRule.runbookUrl" "serviceMonitor.interval" "podMonitor.interval" "test.timeoutSeconds" "seal.secretKey" "audit.schedule" "audit.since" "audit.tmpSize" "audit.keySecretKey" "audit.successfulJobsHistoryLimit" "audit.failedJobsHistoryLimit" "audit.activeDeadlineSeconds" -}}
{{- $value := $.Values -}}
{{- range splitList "." $path -}}{{- $value = get $value . -}}{{- end -}}
{{- if or (kindIs "invalid" $value) (eq (toString $value) "") -}}
{{- fail (printf "%s is null; leave it out to use the default" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "falcowatch.checks" -}}
{{- $effective := include "falcowatch.effective" . | fromJson -}}
{{- $drain := $effective.drain_seconds -}}
{{- $grace := .Values.terminationGracePeriodSeconds -}}
{{- if ge (include "falcowatch.seconds" $drain | float64) (float64 $grace) -}}
{{- fail (printf "config.drain_seconds (%v) must be less than terminationGracePeriodSeconds (%v); otherwise kubelet kills the agent before it has drained" $drain $grace) -}}
{{- end -}}
{{- if not $effective.http.port -}}
{{- fail "config.http.port (0): probes and Prometheus need a fixed port; set one, or leave the default" -}}
{{- end -}}
{{- if has $effective.http.host (list "127.0.0.1" "localhost" "::1") -}}
{{- fail (printf "config.http.host (%s): kubelet probes the agent from outside the pod; leave the default" $effective.http.host) -}}
{{- end -}}
{{- $chartMustKnow := dict "DRAIN_SECONDS" "drain_seconds" "STATE_DIR" "state_dir" "MEMORY_BUDGET_BYTES" "memory_budget_bytes" "HTTP__PORT" "http.port" "HTTP__HOST" "http.host" "TAIL__ROOT" "tail.root" "TAIL__NAMESPACE" "tail.namespace" "TAIL__FOLLOW_LINKS_INTO" "tail.follow_links_into" "ENRICH__MODE" "enrich.mode" "ENRICH__FILE" "enrich.file" -}}
{{- $clusterFromEnv := false -}}
{{- range .Values.env -}}
{{- if eq .name "FALCOWATCH_CLUSTER_NAME" -}}{{- $clusterFromEnv = true -}}{{- end -}}
{{- with get $chartMustKnow (trimPrefix "FALCOWATCH_" .name) -}}
{{- fail (printf "env: the chart must know this setting; set config.%s instead of FALCOWATCH_%s" . (. | upper | replace "." "__")) -}}
{{- end -}}
{{- end -}}
{{- if not (or $effective.cluster_name $clusterFromEnv) -}}
{{- range $key := list "log_group" "log_stream" -}}
{{- if contains "{cluster}" (default "" (get $effective.cloudwatch $key)) -}}
{{- fail (printf "config.cloudwatch.%s contains {cluster}, but clusterName is empty; set clusterName" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true, so Prometheus would scrape each agent twice; enable one" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- fail "serviceMonitor.enabled requires service.enabled; set it, or enable podMonitor instead" -}}
{{- end -}}
{{- end -}}
