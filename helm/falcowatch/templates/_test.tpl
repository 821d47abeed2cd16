{{/* Namespace and names of the pod of `helm test`. They match config.tail, so that the agent reads its log. */}}

{{- define "falcowatch.test.labels" -}}
app.kubernetes.io/name: {{ include "falcowatch.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "falcowatch.test.namespace" -}}
{{- $glob := (include "falcowatch.effective" . | fromJson).tail.namespace -}}
{{- include "falcowatch.test.place" (dict "key" "namespace" "glob" $glob "given" .Values.test.namespace "default" (ternary "" $glob (regexMatch "[*?\\[]" $glob))) -}}
{{- end -}}

{{/* The namespace of the ConfigMap with Falco rules: Falco must be able to mount it. */}}
{{- define "falcowatch.rulesNamespace" -}}
{{- $glob := (include "falcowatch.effective" . | fromJson).tail.namespace -}}
{{- $namespace := default $glob .Values.falcoRules.namespace -}}
{{- if regexMatch "[*?\\[]" $namespace -}}
{{- fail (printf "falcoRules.namespace: the glob %q names no namespace; set falcoRules.namespace to the namespace of Falco" $namespace) -}}
{{- end -}}
{{- $namespace -}}
{{- end -}}

{{- define "falcowatch.test.pod" -}}
{{- $glob := (include "falcowatch.effective" . | fromJson).tail.pod -}}
{{- $name := printf "%s-test" (include "falcowatch.fullname" .) -}}
{{- include "falcowatch.test.place" (dict "key" "podName" "glob" $glob "given" .Values.test.podName "default" (replace "*" $name $glob)) -}}
{{- end -}}

{{- define "falcowatch.test.container" -}}
{{- $glob := (include "falcowatch.effective" . | fromJson).tail.container -}}
{{- include "falcowatch.test.place" (dict "key" "containerName" "glob" $glob "given" .Values.test.containerName "default" (replace "*" "test" $glob)) -}}
{{- end -}}

{{/* The given name or the default. It must be a DNS label and match the glob. Globs with [sets] are not checked. */}}
{{- define "falcowatch.test.place" -}}
{{- $name := default .default .given -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "test.%s: no valid name can be derived from the glob %q; set a name, or set test.enabled to false" .key .glob) -}}
{{- end -}}
{{- $pattern := printf "^%s$" (.glob | replace "." "\\." | replace "*" ".*" | replace "?" ".") -}}
{{- if and (not (contains "[" .glob)) (not (regexMatch $pattern $name)) -}}
{{- fail (printf "test.%s (%s) does not match the glob %s, so the agent would not read the log of the pod; set a name that matches, or set test.enabled to false" .key $name .glob) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Ranks of the priorities; 0 is the most severe. */}}
{{- define "falcowatch.test.ranks" -}}
{{- dict "emergency" 0 "alert" 1 "critical" 2 "error" 3 "warning" 4 "notice" 5 "informational" 6 "info" 6 "debug" 7 | toJson -}}
{{- end -}}

{{/* The priority of the test alert: test.priority, or else Notice, or else the lowest priority that the agent ships. */}}
{{- define "falcowatch.test.priority" -}}
{{- $ranks := include "falcowatch.test.ranks" . | fromJson -}}
{{- $minimum := (include "falcowatch.effective" . | fromJson).falco.minimum_priority | lower -}}
{{- $priority := default "Notice" .Values.test.priority -}}
{{- if gt (get $ranks (lower $priority)) (get $ranks $minimum) -}}
{{- if .Values.test.priority -}}
{{- fail (printf "test.priority (%s) is below config.falco.minimum_priority (%s): the agent would filter the test alert; set a higher test.priority, or leave it empty" .Values.test.priority $minimum) -}}
{{- end -}}
{{- $priority = title $minimum -}}
{{- end -}}
{{- $priority -}}
{{- end -}}

{{/* The lane (`urgent` or `routine`) in which the agent ships the test alert. */}}
{{- define "falcowatch.test.lane" -}}
{{- $ranks := include "falcowatch.test.ranks" . | fromJson -}}
{{- $urgent := (include "falcowatch.effective" . | fromJson).falco.urgent_priority | lower -}}
{{- ternary "urgent" "routine" (le (get $ranks (include "falcowatch.test.priority" . | lower)) (get $ranks $urgent)) -}}
{{- end -}}
