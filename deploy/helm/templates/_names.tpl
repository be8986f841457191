{{/* An image by its digest, or else by its version. */}}
{{- define "regauth.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{/* What selects the pods of one part of one release: (list $ "token-server") */}}
{{- define "regauth.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{/* Where the pods of one part may run: (list .Values.tokenServer LABELS) */}}
{{- define "regauth.scheduling" -}}
{{- $part := index . 0 -}}
{{- with $part.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ $part.spread.topologyKey | quote }}
    whenUnsatisfiable: {{ $part.spread.whenUnsatisfiable }}
    labelSelector:
      matchLabels: {{- index . 1 | nindent 8 }}
{{- end }}

{{- define "regauth.labels" -}}
{{ include "regauth.selector" . }}
app.kubernetes.io/part-of: jwt-registry-auth
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}
