{{- define "loam.labels" -}}
app.kubernetes.io/name: loam
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What never changes of a pod's labels. Controllers find agents by them. */}}
{{- define "loam.agentLabels" -}}
app.kubernetes.io/name: loam
app.kubernetes.io/component: agent
{{- end }}
{{- define "loam.controllerLabels" -}}
app.kubernetes.io/name: loam
app.kubernetes.io/component: controller
{{- end }}
{{- define "loam.extenderLabels" -}}
app.kubernetes.io/name: loam
app.kubernetes.io/component: scheduler-extender
{{- end }}

{{- define "loam.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Non-empty if snapshots are wanted and possible. */}}
{{- define "loam.snapshots" -}}
{{- if kindIs "bool" .Values.snapshots.enabled }}{{ if .Values.snapshots.enabled }}true{{ end }}
{{- else if .Capabilities.APIVersions.Has "snapshot.storage.k8s.io/v1" }}true{{ end }}
{{- end }}

{{- /* Non-empty if kube-scheduler shall wait for an agent. Kubernetes before 1.37 refuses to know the field. */}}
{{- define "loam.preventScheduling" -}}
{{- $wanted := .Values.csiDriver.preventPodSchedulingIfMissing }}
{{- if kindIs "bool" $wanted }}{{ if $wanted }}true{{ end }}
{{- else if semverCompare ">=1.37.0-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}

{{- /* For containers that need nothing of the node. */}}
{{- define "loam.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* A sidecar's liveness: a leader that cannot renew its lease must go. Takes the name of the port. */}}
{{- define "loam.sidecarProbe" -}}
livenessProbe:
  httpGet: {path: /healthz/leader-election, port: {{ . }}}
  initialDelaySeconds: 10
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{- /* The configuration of the kube-scheduler beside the extender. */}}
{{- define "loam.schedulerConfig" -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
profiles: [{schedulerName: {{ .Values.schedulerExtender.scheduler.name }}}]
extenders:
- urlPrefix: http://127.0.0.1:9756
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 1
  httpTimeout: 2s
  nodeCacheCapable: true
  ignorable: true
{{- end }}
