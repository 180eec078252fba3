{{- define "alga-tenants.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "alga-tenants.fullname" -}}
{{- $name := include "alga-tenants.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "alga-tenants.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "alga-tenants.serviceAccountName" -}}
{{- $made := ternary (include "alga-tenants.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end -}}

{{- /* Immutable labels that select pods. */ -}}
{{- define "alga-tenants.releaseSelector" -}}
app.kubernetes.io/name: {{ include "alga-tenants.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* The same for one process: (dict "root" $ "process" "gateway"). */ -}}
{{- define "alga-tenants.selector" -}}
{{ include "alga-tenants.releaseSelector" .root }}
app.kubernetes.io/component: {{ .process }}
{{- end -}}

{{- define "alga-tenants.labels" -}}
{{ include "alga-tenants.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: alga-psa
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
