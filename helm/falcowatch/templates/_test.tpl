{{/* Namespace and names of the pod of `helm test`. They match config.tail, so that the agent reads its log. */}}

{{- define "falcowatch.test.labels" -}}
app.kubernetes.io/name: {{ include "falcowatch.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "falcowatch.test.namespace" -}}
{{- $glob := (include "falcowatch.effective" . | fromJson).tail.namespace -}}
{{- include "falcowatch.test.place" (dict "key" "namespace" "glob" $glob "given" .Values.test.namespace "default" (ternary "" $glob (regexMatch "[*?\\[]" $glob))) -}}
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

{{/* The lane (`urgent` or `routine`) in which the agent ships an alert of test.priority. */}}
{{- define "falcowatch.test.lane" -}}
{{- $ranks := dict "emergency" 0 "alert" 1 "critical" 2 "error" 3 "warning" 4 "notice" 5 "informational" 6 "info" 6 "debug" 7 -}}
{{- $falco := (include "falcowatch.effective" . | fromJson).falco -}}
{{- $rank := get $ranks (lower .Values.test.priority) -}}
{{- if gt $rank (get $ranks (lower $falco.minimum_priority)) -}}
{{- fail (printf "test.priority (%s) is below config.falco.minimum_priority (%s): the agent would filter the test alert; set a higher test.priority" .Values.test.priority $falco.minimum_priority) -}}
{{- end -}}
{{- ternary "urgent" "routine" (le $rank (get $ranks (lower $falco.urgent_priority))) -}}
{{- end -}}
