{{/* Names, labels, and the effective configuration of the agent. */}}

{{- define "falcowatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "falcowatch.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "falcowatch.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "falcowatch.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "falcowatch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "falcowatch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of an object: those of the chart and commonLabels. */}}
{{- define "falcowatch.labels" -}}
{{- include "falcowatch.labelsWith" (list . "commonLabels" dict) -}}
{{- end -}}

{{/* The same with further labels. Arguments: the context, the path of these labels in the values, the labels. */}}
{{- define "falcowatch.labelsWith" -}}
{{- $context := index . 0 -}}
{{- $own := dict "app.kubernetes.io/version" $context.Chart.AppVersion "app.kubernetes.io/managed-by" $context.Release.Service "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_") -}}
{{- $own = merge $own (include "falcowatch.selectorLabels" $context | fromYaml) -}}
{{- include "falcowatch.merged" (list $context (index . 1) (index . 2) $own) -}}
{{- end -}}

{{/* Own labels, commonLabels and further labels as YAML. Fails if one of the values' labels is the chart's own. */}}
{{- define "falcowatch.merged" -}}
{{- $common := default dict (index . 0).Values.commonLabels -}}
{{- $extra := default dict (index . 2) -}}
{{- $own := index . 3 -}}
{{- range $name := keys $common | sortAlpha -}}
{{- if hasKey $own $name -}}{{- fail (printf "commonLabels contains %s, which the chart sets itself; remove it" $name) -}}{{- end -}}
{{- end -}}
{{- $path := index . 1 -}}
{{- range $name := keys $extra | sortAlpha -}}
{{- if hasKey $own $name -}}{{- fail (printf "%s contains %s, which the chart sets itself; remove it" $path $name) -}}{{- end -}}
{{- end -}}
{{- toYaml (merge (dict) $extra $common $own) -}}
{{- end -}}

{{- define "falcowatch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "falcowatch.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false, so serviceAccount.name must name an existing service account" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "falcowatch.image" -}}
{{- $repository := required "image.repository is empty; set it to the repository to which you pushed the image, for example --set image.repository=registry.example/falcowatch" .Values.image.repository -}}
{{- with .Values.image.registry -}}{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}{{- end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "falcowatch.configMapName" -}}
{{- default (include "falcowatch.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{/* Annotations of the pods. A change of the checksum restarts them, because the agent reads its configuration only when
it starts. The chart cannot see the content of an existing ConfigMap. */}}
{{- define "falcowatch.podAnnotations" -}}
{{- $annotations := default dict .Values.podAnnotations -}}
{{- if hasKey $annotations "checksum/config" -}}{{- fail "podAnnotations contains checksum/config, which the chart sets itself; remove it" -}}{{- end -}}
{{- if not .Values.existingConfigMap -}}
{{- $annotations = merge (dict "checksum/config" (include (print $.Template.BasePath "/configmap.yaml") . | sha256sum)) $annotations -}}
{{- end -}}
{{- with $annotations }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The content of config.yaml: values.config with clusterName, region and falco.namespace added. */}}
{{- define "falcowatch.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- with .Values.clusterName -}}
{{- if and $config.cluster_name (ne $config.cluster_name .) -}}
{{- fail (printf "clusterName (%s) and config.cluster_name (%s) differ; set only one of them" . $config.cluster_name) -}}
{{- end -}}
{{- $_ := set $config "cluster_name" . -}}
{{- end -}}
{{- with .Values.region -}}
{{- $cloudwatch := default dict $config.cloudwatch -}}
{{- if and $cloudwatch.region (ne $cloudwatch.region .) -}}
{{- fail (printf "region (%s) and config.cloudwatch.region (%s) differ; set only one of them" . $cloudwatch.region) -}}
{{- end -}}
{{- $_ := set $config "cloudwatch" (set $cloudwatch "region" .) -}}
{{- end -}}
{{- with .Values.falco.namespace -}}
{{- $tail := default dict $config.tail -}}
{{- if and $tail.namespace (ne $tail.namespace .) -}}
{{- fail (printf "falco.namespace (%s) and config.tail.namespace (%s) differ; set only one of them" . $tail.namespace) -}}
{{- end -}}
{{- $_ := set $config "tail" (set $tail "namespace" .) -}}
{{- end -}}
{{- include "falcowatch.seal.addTo" (list . $config) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The effective configuration: config.yaml merged over the agent's defaults (files/settings-defaults.json). */}}
{{- define "falcowatch.effective" -}}
{{- $defaults := .Files.Get "files/settings-defaults.json" | fromJson -}}
{{- toJson (mergeOverwrite $defaults (include "falcowatch.config" . | fromYaml)) -}}
{{- end -}}

{{- define "falcowatch.enrichment" -}}
{{- $enrich := (include "falcowatch.effective" . | fromJson).enrich -}}
{{- if and (ne $enrich.mode "none") (not $enrich.file) -}}true{{- end -}}
{{- end -}}

{{/* The memory limit: 128 MiB for the program with enrichment, plus four times the bytes in flight. They exist as read,
as events, as request bodies and in the buffers of connections. */}}
{{- define "falcowatch.resources" -}}
{{- $budget := include "falcowatch.bytes" (include "falcowatch.effective" . | fromJson).memory_budget_bytes | int64 -}}
{{- $limit := printf "%dMi" (add 128 (div (add (mul 4 $budget) 1048575) 1048576)) -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if not (hasKey $resources.limits "memory") -}}
{{- $_ := set $resources.limits "memory" $limit -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
