{{/* Whether the values are those of a chart of one piece. */}}
{{- define "whole" }}{{ if semverCompare ">=1.9.0" .Chart.Version }}true{{ end }}{{ end }}

{{- define "agent" }}{{ if include "whole" . }}{{ if .Values.agent }}true{{ end }}{{ else if .Values.agent.enabled }}true{{ end }}{{ end }}

{{- define "config" }}{{ if include "whole" . }}{{ if .Values.agent }}true{{ end }}{{ else if .Values.config.enabled }}true{{ end }}{{ end }}

{{- define "image" }}
{{- if include "whole" . }}{{ .Values.image.repository }}{{ else }}{{ .Values.global.registry }}/cilium{{ end }}:v{{ .Chart.Version }}
{{- end }}

{{- define "labels" }}
{{- $keep := false }}
{{- if include "whole" . }}{{ $keep = .Values.keepDeprecatedLabels }}{{ else }}{{ $keep = .Values.agent.keepDeprecatedLabels }}{{ end -}}
k8s-app: cilium
{{- if or $keep (semverCompare "<1.7.0" .Chart.Version) }}
kubernetes.io/cluster-service: "true"
{{- end }}
{{- end }}

{{- define "probe" }}
{{- $keep := false }}
{{- if include "whole" . }}{{ $keep = .Values.keepDeprecatedProbes }}{{ else }}{{ $keep = .Values.agent.keepDeprecatedProbes }}{{ end -}}
{{- if or $keep (semverCompare "<1.8.0" .Chart.Version) -}}
exec: {command: [cilium, status, --brief]}
{{- else -}}
httpGet: {host: 127.0.0.1, path: /healthz, port: 9876}
{{- end }}
{{- end }}

{{- define "apiserver" }}
{{- $values := .Values }}
{{- if not (include "whole" .) }}{{ $values = .Values.global }}{{ end }}
{{- if $values.k8sServiceHost }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ $values.k8sServiceHost | quote }}}
- {name: KUBERNETES_SERVICE_PORT, value: {{ $values.k8sServicePort | quote }}}
{{- end }}
{{- end }}

{{/* Its etcd, as YAML. */}}
{{- define "etcd" }}{{ if include "whole" . }}{{ .Values.etcd | toYaml }}{{ else }}{{ .Values.global.etcd | toYaml }}{{ end }}{{ end }}
