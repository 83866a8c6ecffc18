{{/* What an injected pod gets of a profile, for the policy and for the guard; the webhook makes the same. Takes root, name, profile. */}}
{{- define "toolgate.sidecar" -}}
{{- $parts := merge (dict "prefix" "toolgate-" "api" (include "toolgate.asks" .)) . -}}
{{- $values := .root.Values -}}
name: toolgate
image: {{ include "toolgate.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
restartPolicy: Always
args: [run, -c, /etc/toolgate/config.yaml]
env:
  - name: TOOLGATE_POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  - name: TOOLGATE_SERVICE_ACCOUNT
    valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}
  {{- with .profile.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: toolgate-probes, containerPort: {{ $values.ports.probes }}}
securityContext:
  {{- include "toolgate.securityContext" (dict "uid" $values.sidecar.runAsUser) | nindent 2 }}
{{- include "toolgate.probes" (dict "port" $values.ports.probes) | nindent 0 }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
volumeMounts:
  {{- include "toolgate.mounts" $parts | nindent 2 }}
  - {name: toolgate-state, mountPath: /var/lib/toolgate}
{{- end -}}

{{- define "toolgate.sidecar.volumes" -}}
{{- include "toolgate.volumes" (merge (dict "prefix" "toolgate-" "api" (include "toolgate.asks" .)) .) }}
- name: toolgate-state
  emptyDir: {sizeLimit: {{ .root.Values.stateSizeLimit }}}
{{- end -}}

{{/* Installs the rules and ends. The only container with a capability, in pods whose profile asks for it. */}}
{{- define "toolgate.redirect" -}}
{{- $values := .root.Values -}}
name: toolgate-redirect
image: {{ include "toolgate.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args: [redirect, apply, --uid, {{ $values.sidecar.runAsUser | quote }}, --port, {{ $values.ports.transparent | quote }}]
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL], add: [NET_ADMIN]}
  readOnlyRootFilesystem: true
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  seccompProfile: {type: RuntimeDefault}
resources:
  requests: {cpu: 10m, memory: 32Mi}
  limits: {memory: 128Mi}
{{- end -}}

{{/* Which namespaces: those with the label, and not those that a cluster needs to come up. */}}
{{- define "toolgate.namespaces" -}}
matchLabels: {toolgate.dev/inject: enabled}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.injector.excludedNamespaces | uniq | toYaml | nindent 6 }}
{{- end -}}

{{/* A value of YAML as an expression of CEL. Lists and maps of several types have to say so (dyn). */}}
{{- define "toolgate.cel" -}}
{{- if kindIs "map" . -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s: dyn(%s)" (toJson $key) (include "toolgate.cel" $value)) -}}
{{- end -}}
{ {{- join ", " $pairs -}} }
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- $items = append $items (printf "dyn(%s)" (include "toolgate.cel" .)) -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else if kindIs "float64" . -}}
{{- int64 . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* Which environment variables lead SDKs and programs to the gateway, as a list of YAML. Of several tools with a protocol, the first by name. */}}
{{- define "toolgate.agentEnv" -}}
{{- $values := .root.Values -}}
{{- $gateway := printf "http://127.0.0.1:%v" $values.ports.gateway -}}
{{- $variables := list (dict "name" "TOOLGATE_URL" "value" $gateway) -}}
{{- if $values.injector.baseUrls -}}
{{- $known := dict "openai" (list "OPENAI_BASE_URL" "/v1") "anthropic" (list "ANTHROPIC_BASE_URL" "") "gemini" (list "GOOGLE_GEMINI_BASE_URL" "") -}}
{{- range $tool, $config := .profile.config.tools -}}
{{- with index $known (default "" $config.protocol) -}}
{{- $name := index . 0 -}}
{{- /* A url that has the version already is not given it twice. */ -}}
{{- $version := regexMatch "/v1/?$" (default "" $config.url) | ternary "" (index . 1) -}}
{{- $variables = append $variables (dict "name" $name "value" (printf "%s/%s%s" $gateway $tool $version)) -}}
{{- $_ := unset $known $config.protocol -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.injector.proxyEnv -}}
{{- range $name := list "HTTP_PROXY" "HTTPS_PROXY" "http_proxy" "https_proxy" -}}
{{- $variables = append $variables (dict "name" $name "value" $gateway) -}}
{{- end -}}
{{- range $name := list "NO_PROXY" "no_proxy" -}}
{{- $variables = append $variables (dict "name" $name "value" "localhost,127.0.0.1,::1") -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{- define "toolgate.injectorSecret" -}}
{{- default (printf "%s-injector-tls" (include "toolgate.fullname" .)) .Values.injector.tls.secretName -}}
{{- end -}}

{{/* Of the cluster, so with the namespace. */}}
{{- define "toolgate.webhookName" -}}
{{- printf "%s-%s" .Release.Namespace (include "toolgate.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The file that `toolgate inject` reads (docs/injection.md). */}}
{{- define "toolgate.inject" -}}
listen: {{ printf "%s:8443" (contains ":" .Values.bindAddress | ternary (printf "[%s]" .Values.bindAddress) .Values.bindAddress) | quote }}
probes: {{ printf "%s:%v" (contains ":" .Values.bindAddress | ternary (printf "[%s]" .Values.bindAddress) .Values.bindAddress) .Values.ports.probes | quote }}
tls:
  {{- if eq .Values.injector.tls.from "self" }}
  self:
    secret: {{ include "toolgate.injectorSecret" . }}
    service: {{ include "toolgate.fullname" . }}-injector
    webhook: {{ include "toolgate.webhookName" . }}
  {{- else }}
  files: {cert_file: /etc/toolgate-inject-tls/tls.crt, key_file: /etc/toolgate-inject-tls/tls.key}
  {{- end }}
image: {{ include "toolgate.image" . }}
pull_policy: {{ .Values.image.pullPolicy }}
uid: {{ int64 .Values.sidecar.runAsUser }}
ports: {gateway: {{ .Values.ports.gateway }}, probes: {{ .Values.ports.probes }}, transparent: {{ .Values.ports.transparent }}}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
state_limit: {{ .Values.stateSizeLimit }}
allow_opt_out: {{ .Values.injector.allowOptOut }}
excluded_namespaces:
  {{- concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.injector.excludedNamespaces | uniq | toYaml | nindent 2 }}
profiles:
  {{- range $name, $profile := include "toolgate.profiles" . | fromYaml }}
  {{- $parts := dict "root" $ "name" $name "profile" $profile }}
  {{ $name }}:
    config: {{ include "toolgate.configMap" $parts }}
    policies: {{ include "toolgate.policiesConfigMap" $parts }}
    redirect: {{ $profile.redirect }}
    api: {{ not (empty (include "toolgate.asks" $parts)) }}
    {{- with $profile.secrets }}
    secrets: {{ toJson . }}
    {{- end }}
    {{- with $profile.tokens }}
    tokens:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $profile.env }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    agent_env:
      {{- include "toolgate.agentEnv" $parts | nindent 6 }}
  {{- end }}
{{- end -}}
