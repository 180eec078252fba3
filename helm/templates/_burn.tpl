{{- /*
Whether the error budget of 30 days burns too fast, both in a long and in a short window:
(dict "bad" … "all" … "budget" … "least" … "windows" (list (list factor long short) …)). `bad` and `all` are selectors
of counters; `good` can replace `bad`.
*/ -}}
{{- define "alga-tenants.burns" -}}
{{- $parts := list -}}
{{- range .windows -}}
{{- $limit := mulf (index . 0) $.budget -}}
{{- $long := include "alga-tenants.badShare" (dict "of" $ "window" (index . 1)) -}}
{{- $short := include "alga-tenants.badShare" (dict "of" $ "window" (index . 2)) -}}
{{- $enough := printf "sum by (namespace) (increase(%s[%s])) >= %v" $.all (index . 1) $.least -}}
{{- $parts = append $parts (printf "(%s > %v and %s > %v and %s)" $long $limit $short $limit $enough) -}}
{{- end -}}
{{- join "\n or " $parts -}}
{{- end -}}

{{- define "alga-tenants.badShare" -}}
{{- $rate := "sum by (namespace) (rate(%s[%s]))" -}}
{{- $all := printf $rate .of.all .window -}}
{{- if .of.good -}}
1 - {{ printf $rate .of.good .window }} / {{ $all }}
{{- else -}}
{{ printf $rate .of.bad .window }} / {{ $all }}
{{- end -}}
{{- end -}}

{{- /* Link to an alert's section of the runbook: (dict "base" … "alert" …). */ -}}
{{- define "alga-tenants.runbook" -}}
runbook_url: {{ printf "%s#%s" .base (lower .alert) | quote }}
{{- end -}}
