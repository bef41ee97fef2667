{{/* Where the API server is, for pods that run before services are translated. */}}
{{- define "apiserver" }}
{{- if .Values.global.k8sServiceHost }}
        - name: KUBERNETES_SERVICE_HOST
          value: {{ .Values.global.k8sServiceHost | quote }}
        - name: KUBERNETES_SERVICE_PORT
          value: {{ .Values.global.k8sServicePort | quote }}
{{- end }}
{{- end }}
