{{- /*
The paths that Ingress and HTTPRoute publish. A test compares them with the gateway's routes. What is not here stays in
the cluster: probes, metrics, and the documentation unless it is asked for. `streams` marks paths with responses that
last: events, live parts of the console, downloads.
*/ -}}
{{- define "alga-tenants.published" -}}
- {path: /, exact: true}
- {path: /api-keys}
- {path: /audit-events}
- {path: /codec}
- {path: /console, streams: true}
- {path: /exports, streams: true}
- {path: /operations, streams: true}
- {path: /options}
- {path: /problems}
- {path: /restores}
- {path: /tenants}
- {path: /webhooks}
{{- if .Values.publish.documentation }}
- {path: /docs}
- {path: /openapi.json, exact: true}
{{- end }}
{{- end -}}

{{- /* The published paths with or without streams, as a list in `paths`: (dict "root" $ "streams" true). */ -}}
{{- define "alga-tenants.publishedPaths" -}}
{{- $paths := list -}}
{{- range include "alga-tenants.published" .root | fromYamlArray -}}
{{- if eq $.streams (.streams | default false) -}}
{{- $paths = append $paths . -}}
{{- end -}}
{{- end -}}
{{- dict "paths" $paths | toYaml -}}
{{- end -}}
