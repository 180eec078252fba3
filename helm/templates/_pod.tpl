{{- /* The common part of all pods: (dict "root" $ "process" "gateway" "account" true). */ -}}
{{- define "alga-tenants.podBase" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .account }}
serviceAccountName: {{ include "alga-tenants.serviceAccountName" .root }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- define "alga-tenants.containerBase" -}}
image: {{ include "alga-tenants.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "alga-tenants.volumeMounts" -}}
- name: secrets
  mountPath: /etc/alga-tenants/secrets
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .root.Values.blueprintsConfigMap }}
- name: blueprints
  mountPath: /etc/alga-tenants/blueprints
  readOnly: true
{{- end }}
{{- if .root.Values.mailTemplatesConfigMap }}
- name: mail-templates
  mountPath: /etc/alga-tenants/mail-templates
  readOnly: true
{{- end }}
{{- end -}}

{{- define "alga-tenants.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- $process := .process }}
      {{- range .root.Values.secrets }}
      {{- if or (not .processes) (has $process .processes) }}
      - secret:
          name: {{ .name }}
          {{- with .items }}
          items:
            {{- toYaml . | nindent 12 }}
          {{- end }}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .root.Values.blueprintsConfigMap }}
- name: blueprints
  configMap:
    name: {{ . }}
{{- end }}
{{- with .root.Values.mailTemplatesConfigMap }}
- name: mail-templates
  configMap:
    name: {{ . }}
{{- end }}
{{- end -}}

{{- define "alga-tenants.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .port }}
periodSeconds: {{ .period }}
timeoutSeconds: {{ .timeout }}
failureThreshold: {{ .failures }}
{{- end -}}

{{- /*
The number of pods of a live Deployment that an autoscaler takes over; empty if the chart may leave it out. A number that
the previous revision has set would otherwise be reset to 1. That is so while Helm owns the field, and always if Helm
compares manifests itself (operation Update). If the autoscaler alone owns it, a number would be a conflict in a
rollback.
*/ -}}
{{- define "alga-tenants.keptReplicas" -}}
{{- if hasKey (.spec | default dict) "replicas" -}}
{{- $isApplied := false -}}
{{- $isOwned := false -}}
{{- range .metadata.managedFields -}}
{{- if contains "helm" .manager -}}
{{- $isApplied = true -}}
{{- if or (eq .operation "Update") (hasKey (get (.fieldsV1 | default dict) "f:spec" | default dict) "f:replicas") -}}
{{- $isOwned = true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or $isOwned (not $isApplied) -}}
{{- .spec.replicas | int -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /*
A process's Deployment: (dict "root" $ "process" "gateway"). Liveness concerns only the process. Readiness also checks
the database and Temporal, for at most two seconds each, and reports an outage without failing. A pod that can't start
for ten minutes is restarted, so that it reads corrected Secrets.
*/ -}}
{{- define "alga-tenants.deployment" -}}
{{- $own := get .root.Values .process -}}
{{- $port := include "alga-tenants.portName" . -}}
{{- $name := printf "%s-%s" (include "alga-tenants.fullname" .root) .process -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "alga-tenants.labels" . | nindent 4 }}
spec:
  {{- if not (or $own.autoscaling.enabled (and $own.keda $own.keda.enabled)) }}
  replicas: {{ $own.replicas }}
  {{- else }}
  {{- with include "alga-tenants.keptReplicas" (lookup "apps/v1" "Deployment" .root.Release.Namespace $name) }}
  replicas: {{ . }}
  {{- end }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "alga-tenants.selector" . | nindent 6 }}
  template:
    metadata:
      annotations:
        # Changed settings replace the pods.
        checksum/settings: {{ include "alga-tenants.settings" . | sha256sum }}
        {{- with $own.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      labels:
        {{- include "alga-tenants.labels" . | nindent 8 }}
        {{- with $own.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "alga-tenants.podBase" (merge (dict "account" true) .) | trim | nindent 6 }}
      terminationGracePeriodSeconds: {{ include "alga-tenants.terminationGracePeriod" . }}
      {{- with $own.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $own.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $own.topologySpreadConstraints }}
        {{- toYaml $own.topologySpreadConstraints | nindent 8 }}
        {{- else }}
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "alga-tenants.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
        {{- end }}
      containers:
        - name: {{ .process }}
          {{- include "alga-tenants.containerBase" .root | nindent 10 }}
          args: [{{ .process }}]
          envFrom:
            - configMapRef:
                name: {{ $name }}
          ports:
            - name: {{ $port }}
              containerPort: {{ include "alga-tenants.port" . }}
              protocol: TCP
          startupProbe:
            {{- include "alga-tenants.probe" (dict "path" "/startupz" "port" $port "period" 2 "timeout" 4 "failures" 300) | nindent 12 }}
          livenessProbe:
            {{- include "alga-tenants.probe" (dict "path" "/livez" "port" $port "period" 10 "timeout" 5 "failures" 3) | nindent 12 }}
          readinessProbe:
            {{- include "alga-tenants.probe" (dict "path" "/readyz" "port" $port "period" 5 "timeout" 4 "failures" 2) | nindent 12 }}
          resources:
            {{- toYaml $own.resources | nindent 12 }}
          volumeMounts:
            {{- include "alga-tenants.volumeMounts" . | nindent 12 }}
            {{- with $own.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- include "alga-tenants.volumes" . | nindent 8 }}
        {{- with $own.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
