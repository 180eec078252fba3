{{- /*
The settings of a process as YAML: common settings, its own, and those that the chart sets.
(dict "root" $ "process" "gateway")
*/ -}}
{{- define "alga-tenants.settings" -}}
{{- $own := get .root.Values .process | default dict -}}
{{- $settings := merge dict ($own.config | default dict) .root.Values.config -}}
{{- $settings = merge dict $settings (dict "GATEWAY_PORT" 8000 "WORKER_PROBE_PORT" 8001) -}}
{{- $settings = merge dict $settings (dict "SHUTDOWN_GRACE_PERIOD" 30 "SHUTDOWN_DELAY" (ternary 5 0 (eq .process "gateway"))) -}}
{{- $settings = merge (dict "SECRETS_DIR" "/etc/alga-tenants/secrets") $settings -}}
{{- if and (eq .process "worker") .root.Values.worker.versioning.enabled -}}
{{- $build := .root.Values.image.digest | default (.root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- $version := printf "%s:%s" (include "alga-tenants.fullname" .root) ($build | trimPrefix "sha256:" | trunc 40) -}}
{{- $settings = merge (dict "TEMPORAL_WORKER_VERSION" $version) $settings -}}
{{- end -}}
{{- if .root.Values.blueprintsConfigMap -}}
{{- $settings = merge (dict "BLUEPRINTS_DIR" "/etc/alga-tenants/blueprints") $settings -}}
{{- end -}}
{{- if .root.Values.mailTemplatesConfigMap -}}
{{- $settings = merge (dict "MAIL_TEMPLATES_DIR" "/etc/alga-tenants/mail-templates") $settings -}}
{{- end -}}
{{- range $name, $value := $settings }}
{{ $name }}: {{ include "alga-tenants.text" $value }}
{{- end }}
{{- end -}}

{{- /* A value as quoted text; `quote` alone would write large numbers as 1e+06. */ -}}
{{- define "alga-tenants.text" -}}
{{- if kindIs "string" . -}}{{ quote . }}{{- else -}}{{ toJson . | quote }}{{- end -}}
{{- end -}}

{{- /* The port of a process. */ -}}
{{- define "alga-tenants.port" -}}
{{- $settings := include "alga-tenants.settings" . | fromYaml -}}
{{- get $settings (ternary "GATEWAY_PORT" "WORKER_PROBE_PORT" (eq .process "gateway")) -}}
{{- end -}}

{{- /* The port of what sends the worker's mails; empty if nothing does. */ -}}
{{- define "alga-tenants.mailPort" -}}
{{- $settings := include "alga-tenants.settings" (dict "root" . "process" "worker") | fromYaml -}}
{{- $provider := get $settings "MAIL_PROVIDER" | default "none" -}}
{{- if eq $provider "resend" -}}
443
{{- else if eq $provider "smtp" -}}
{{- $ports := dict "starttls" "587" "implicit" "465" "none" "25" -}}
{{- get $settings "SMTP_PORT" | default (get $ports (get $settings "SMTP_TLS" | default "starttls")) -}}
{{- end -}}
{{- end -}}

{{- define "alga-tenants.portName" -}}
{{- ternary "http" "probes" (eq .process "gateway") -}}
{{- end -}}

{{- /* Seconds until SIGKILL: the shutdown delay, the drain, and time to close connections. */ -}}
{{- define "alga-tenants.terminationGracePeriod" -}}
{{- $settings := include "alga-tenants.settings" . | fromYaml -}}
{{- add (get $settings "SHUTDOWN_GRACE_PERIOD" | float64 | ceil | int64) (get $settings "SHUTDOWN_DELAY" | float64 | ceil | int64) 10 -}}
{{- end -}}

{{- define "alga-tenants.temporalAddress" -}}
{{- $settings := include "alga-tenants.settings" (dict "root" . "process" "worker") | fromYaml -}}
{{- get $settings "TEMPORAL_ADDRESS" | default "temporal-frontend.temporal.svc.cluster.local:7233" -}}
{{- end -}}
