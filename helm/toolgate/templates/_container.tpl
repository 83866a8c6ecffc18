{{/* The parts of a gateway's container, the same in a Deployment and in a pod of agents. */}}
{{- define "toolgate.securityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "toolgate.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The kubelet's questions go to the listener that has nothing else; liveness is asked late, since a busy gateway is no dead one. */}}
{{- define "toolgate.probes" -}}
startupProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Volumes of a profile. Takes root, name, profile, prefix (of the volumes' names), api (whether the API server is asked). ConfigMaps and Secrets
are mounted as folders, since what is mounted by subPath never changes. */}}
{{- define "toolgate.volumes" -}}
- name: {{ .prefix }}config
  configMap: {name: {{ include "toolgate.configMap" . }}}
- name: {{ .prefix }}policies
  configMap: {name: {{ include "toolgate.policiesConfigMap" . }}}
- name: {{ .prefix }}tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range .profile.secrets }}
- name: {{ $.prefix }}secret-{{ . | replace "." "-" | trunc 40 | trimSuffix "-" }}-{{ sha256sum . | trunc 6 }}
  secret:
    secretName: {{ . }}
    {{- if not $.prefix }}
    defaultMode: 0440
    {{- /* In agents' pods no group owns volumes; there it is enough that nobody else mounts them. */}}
    {{- end }}
{{- end }}
{{- with .profile.tokens }}
- name: {{ $.prefix }}tokens
  projected:
    sources:
      {{- range . }}
      - serviceAccountToken:
          audience: {{ .audience | quote }}
          path: {{ .path | quote }}
          expirationSeconds: {{ default 3600 .expirationSeconds | int }}
      {{- end }}
{{- end }}
{{- if .api }}
- name: {{ .prefix }}api
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end -}}

{{- define "toolgate.mounts" -}}
- {name: {{ .prefix }}config, mountPath: /etc/toolgate, readOnly: true}
- {name: {{ .prefix }}policies, mountPath: /etc/toolgate/policies, readOnly: true}
- {name: {{ .prefix }}tmp, mountPath: /tmp}
{{- range .profile.secrets }}
- name: {{ $.prefix }}secret-{{ . | replace "." "-" | trunc 40 | trimSuffix "-" }}-{{ sha256sum . | trunc 6 }}
  mountPath: /var/run/secrets/toolgate/{{ . }}
  readOnly: true
{{- end }}
{{- if .profile.tokens }}
- {name: {{ .prefix }}tokens, mountPath: /var/run/secrets/tokens, readOnly: true}
{{- end }}
{{- if .api }}
- {name: {{ .prefix }}api, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
{{- end -}}

{{/* Waits before SIGTERM, while whoever has the old list of endpoints still sends calls. The image has no shell and no sleep. */}}
{{- define "toolgate.preStop" -}}
{{- if gt (int .Values.shutdown.delaySeconds) 0 }}
lifecycle:
  preStop:
    {{- if include "toolgate.since" (dict "root" . "version" "1.30") }}
    sleep: {seconds: {{ .Values.shutdown.delaySeconds }}}
    {{- else }}
    exec: {command: [python, -c, "import time; time.sleep({{ .Values.shutdown.delaySeconds }})"]}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Where a pod may go, as its values say. */}}
{{- define "toolgate.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "toolgate.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "toolgate.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}
