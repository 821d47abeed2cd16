{{/* Sizes and durations with a unit (16MiB, 1h30m) as numbers, for limits that the chart computes. The schema has checked
their form. agent/settings/units.py has the same rules. */}}

{{- define "falcowatch.bytes" -}}
{{- $text := . | toString | nospace | lower -}}
{{- $units := dict "b" 1 "kb" 1000 "mb" 1000000 "gb" 1000000000 "tb" 1000000000000 "ki" 1024 "mi" 1048576 "gi" 1073741824 "ti" 1099511627776 "kib" 1024 "mib" 1048576 "gib" 1073741824 "tib" 1099511627776 -}}
{{- if kindIs "string" . -}}
{{- mulf (float64 (regexFind "^[0-9.]+" $text)) (float64 (get $units (regexFind "[a-z]+$" $text) | default 1)) | int64 -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{- define "falcowatch.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- if kindIs "string" . -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-z]*" (nospace .) -1 -}}
{{- $sum = addf $sum (mulf (float64 (regexFind "^[0-9.]+" .)) (float64 (get $units (regexFind "[a-z]+$" .) | default 1))) -}}
{{- end -}}
{{- $sum -}}
{{- else -}}
{{- float64 . -}}
{{- end -}}
{{- end -}}
