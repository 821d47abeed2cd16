{{/* The scheduled audit: its names, its labels, and the log groups that it reads. */}}

{{/* The name of a CronJob has at most 52 characters, because its Jobs append 11. */}}
{{- define "falcowatch.audit.name" -}}
{{- include "falcowatch.fullname" . | trunc 46 | trimSuffix "-" }}-audit
{{- end -}}

{{- define "falcowatch.audit.serviceAccountName" -}}
{{- if .Values.audit.serviceAccount.create -}}
{{- default (include "falcowatch.audit.name" .) .Values.audit.serviceAccount.name -}}
{{- else -}}
{{- required "audit.serviceAccount.create is false, so audit.serviceAccount.name must name an existing service account" .Values.audit.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The pods have another name than the agents, so that the Service, the monitors and the DaemonSet do not select them. */}}
{{- define "falcowatch.audit.selectorLabels" -}}
app.kubernetes.io/name: {{ include "falcowatch.name" . }}-audit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "falcowatch.audit.labels" -}}
{{- $own := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- $own = merge $own (include "falcowatch.audit.selectorLabels" . | fromYaml) -}}
{{- include "falcowatch.merged" (list . "commonLabels" dict $own) -}}
{{- end -}}

{{/* The log groups as a JSON object {"groups": […]}: audit.groups, or the group of the configuration. */}}
{{- define "falcowatch.audit.groups" -}}
{{- if .Values.audit.groups -}}
{{- toJson (dict "groups" .Values.audit.groups) -}}
{{- else -}}
{{- $effective := include "falcowatch.effective" . | fromJson -}}
{{- if .Values.existingConfigMap -}}
{{- fail "audit.enabled with existingConfigMap: the chart cannot read the log group from it; set audit.groups" -}}
{{- end -}}
{{- range .Values.env -}}
{{- if has .name (list "FALCOWATCH_CLUSTER_NAME" "FALCOWATCH_CLOUDWATCH__LOG_GROUP") -}}
{{- fail (printf "audit.enabled: env sets %s, so the chart does not know the log group; set audit.groups" .name) -}}
{{- end -}}
{{- end -}}
{{- $group := default (ternary "/falco/{cluster}" "falco" (ne $effective.cluster_name "")) $effective.cloudwatch.log_group | replace "{cluster}" $effective.cluster_name -}}
{{- if contains "{" $group -}}
{{- fail (printf "audit.enabled: config.cloudwatch.log_group (%s) names more than one log group; set audit.groups to all of them" $group) -}}
{{- end -}}
{{- toJson (dict "groups" (list $group)) -}}
{{- end -}}
{{- end -}}

{{/* The chart's security context with another user: the audit reads no file of the node, so it does not need uid 0. */}}
{{- define "falcowatch.audit.securityContext" -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.securityContext) (dict "runAsUser" 9801 "runAsGroup" 9801 "runAsNonRoot" true)) -}}
{{- end -}}

{{- define "falcowatch.audit.checks" -}}
{{- $effective := include "falcowatch.effective" . | fromJson -}}
{{- if not (and $effective.seal.enabled (gt (include "falcowatch.seconds" $effective.heartbeat_seconds | float64) 0.0)) -}}
{{- fail "audit.enabled: the agents send no seals, so there is nothing to audit; set config.seal.enabled to true and config.heartbeat_seconds above 0" -}}
{{- end -}}
{{- if and .Values.audit.keySecretName .Values.audit.kmsKeyId -}}
{{- fail "audit.keySecretName and audit.kmsKeyId are both set; keep the one with which the agents seal" -}}
{{- end -}}
{{- if eq (include "falcowatch.audit.serviceAccountName" .) (include "falcowatch.serviceAccountName" .) -}}
{{- fail (printf "audit.serviceAccount.name (%s) is the service account of the agents, which may only write; name another one" (include "falcowatch.serviceAccountName" .)) -}}
{{- end -}}
{{- end -}}
