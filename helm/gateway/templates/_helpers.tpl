{{- define "gateway.name" -}}
{{- $chosen := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $chosen) (contains $chosen .Release.Name) }}
{{- $full | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: querygate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "gateway.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}{{ end }}
{{- end }}

{{- define "gateway.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "gateway.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "gateway.databaseSecrets" -}}
{{- range .Values.databaseSecrets }}
- name: {{ .variable }}
  valueFrom: {secretKeyRef: {name: {{ .secretName }}, key: {{ .key }}}}
{{- end }}
{{- end }}

{{- define "gateway.controlUrl" -}}
{{- if .Values.gateway.control.url }}{{ .Values.gateway.control.url }}
{{- else if .Values.controlPlane.enabled }}https://{{ include "gateway.name" . }}-control-plane.{{ .Release.Namespace }}.svc:{{ .Values.controlPlane.service.port }}
{{- else }}{{ fail "gateway.control.url: say where the control plane is, or enable the chart's own (controlPlane.enabled)" }}
{{- end }}
{{- end }}

{{- define "gateway.gatewayConfig" -}}
{{- $listeners := dict -}}
{{- range $protocol, $listener := .Values.gateway.listeners -}}
{{- if $listener.enabled }}{{ $_ := set $listeners $protocol (printf "0.0.0.0:%d" (int $listener.port)) }}{{ end -}}
{{- end -}}
{{- $control := dict "url" (include "gateway.controlUrl" .) "credential" (dict "file" "/etc/querygate/credential") -}}
{{- if .Values.gateway.control.caSecret }}{{ $_ := set $control "ca" "/etc/querygate/control-ca/ca.crt" }}{{ end -}}
{{- with .Values.gateway.control.trust }}{{ $_ := set $control "trust" . }}{{ end -}}
{{- $limits := merge (dict "drain_timeout" (printf "%ds" (int .Values.gateway.drainSeconds))) .Values.gateway.limits -}}
{{- $config := dict "listeners" $listeners "admin_api" "0.0.0.0:8080" "control" $control "data_dir" "/var/lib/querygate/data" "limits" $limits -}}
{{- if .Values.gateway.tls.secretName }}{{ $_ := set $config "tls" (dict "certificate" "/etc/querygate/tls/tls.crt" "key" "/etc/querygate/tls/tls.key") }}{{ end -}}
{{- range $name := list "audit" "approvals" "identity" "plugins" -}}
{{- with index $.Values.gateway $name }}{{ $_ := set $config $name . }}{{ end -}}
{{- end -}}
{{ toYaml $config }}
{{- end }}

{{- define "gateway.controlPlaneConfig" -}}
{{- $store := dict "database" (dict "env" "QUERYGATE_STORE_URL") "key" (dict "env" "QUERYGATE_STORE_KEY") -}}
{{- with .Values.controlPlane.oidc }}{{ $_ := set $store "oidc" . }}{{ end -}}
{{- with .Values.controlPlane.proxies }}{{ $_ := set $store "proxies" . }}{{ end -}}
{{- $tls := dict "certificate" "/etc/querygate/tls/tls.crt" "key" "/etc/querygate/tls/tls.key" -}}
{{- $config := dict "admin_api" "0.0.0.0:8080" "control_plane" $store "data_dir" "/var/lib/querygate/data" "tls" $tls -}}
{{- range $name := list "audit" "approvals" "limits" -}}
{{- with index $.Values.controlPlane $name }}{{ $_ := set $config $name . }}{{ end -}}
{{- end -}}
{{ toYaml $config }}
{{- end }}

{{- define "gateway.controlPlaneContainer" }}
image: {{ include "gateway.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: QUERYGATE_STORE_URL
    valueFrom: {secretKeyRef: {name: {{ .Values.controlPlane.database.secretName }}, key: {{ .Values.controlPlane.database.key }}}}
  - name: QUERYGATE_STORE_KEY
    valueFrom: {secretKeyRef: {name: {{ .Values.controlPlane.sealingKey.secretName }}, key: {{ .Values.controlPlane.sealingKey.key }}}}
  {{- include "gateway.databaseSecrets" . | nindent 2 }}
securityContext: {{- include "gateway.securityContext" . | nindent 2 }}
resources: {{- toYaml .Values.controlPlane.resources | nindent 2 }}
volumeMounts:
  - {name: config, mountPath: /etc/querygate/config, readOnly: true}
  - {name: data, mountPath: /var/lib/querygate}
  - {name: tmp, mountPath: /tmp}
  - {name: tls, mountPath: /etc/querygate/tls, readOnly: true}
  {{- if .Values.authoritiesSecret }}
  - {name: authorities, mountPath: /etc/querygate/ca, readOnly: true}
  {{- end }}
{{- end }}
