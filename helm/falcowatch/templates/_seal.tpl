{{/* The key of the seals: seal.secretName or seal.kmsKeyId, added to the configuration. */}}

{{- define "falcowatch.seal.folder" -}}/etc/falcowatch-seal{{- end -}}

{{/* Adds the key to the configuration. Arguments: the context, the configuration. Prints nothing. */}}
{{- define "falcowatch.seal.addTo" -}}
{{- $values := (index . 0).Values.seal -}}
{{- $config := index . 1 -}}
{{- $seal := default dict $config.seal -}}
{{- $keyFile := printf "%s/key" (include "falcowatch.seal.folder" .) -}}
{{- if and $values.secretName $values.kmsKeyId -}}
{{- fail "seal.secretName and seal.kmsKeyId are both set; keep the one that the auditor will verify with" -}}
{{- end -}}
{{- with $values.secretName -}}
{{- if and $seal.key_file (ne $seal.key_file $keyFile) -}}
{{- fail (printf "seal.secretName (%s) and config.seal.key_file (%s) are both set; seal.secretName mounts the Secret itself, so remove config.seal.key_file" . $seal.key_file) -}}
{{- end -}}
{{- if $seal.kms_key_id -}}
{{- fail (printf "seal.secretName (%s) and config.seal.kms_key_id (%s) are both set; keep the one that the auditor will verify with" . $seal.kms_key_id) -}}
{{- end -}}
{{- $_ := set $config "seal" (set $seal "key_file" $keyFile) -}}
{{- end -}}
{{- with $values.kmsKeyId -}}
{{- if and $seal.kms_key_id (ne $seal.kms_key_id .) -}}
{{- fail (printf "seal.kmsKeyId (%s) and config.seal.kms_key_id (%s) differ; set only one of them" . $seal.kms_key_id) -}}
{{- end -}}
{{- if $seal.key_file -}}
{{- fail (printf "seal.kmsKeyId (%s) and config.seal.key_file (%s) are both set; keep the one that the auditor will verify with" . $seal.key_file) -}}
{{- end -}}
{{- $_ := set $config "seal" (set $seal "kms_key_id" .) -}}
{{- end -}}
{{- if and (or $values.secretName $values.kmsKeyId) (eq (toString $seal.enabled) "false") -}}
{{- fail "config.seal.enabled is false, so a key of the seals has no effect; remove seal.secretName and seal.kmsKeyId, or set config.seal.enabled to true" -}}
{{- end -}}
{{- end -}}
