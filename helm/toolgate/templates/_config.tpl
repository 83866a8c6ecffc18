{{/* The profiles, by name, as YAML: `default` is made of the keys at the top; a gateway of its own has no other. */}}
{{- define "toolgate.profiles" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- range $key := list "autoscaling" "persistence" "adminService" -}}
{{- if (index $.Values $key).enabled -}}
{{- fail (printf "%s.enabled: it is for mode: gateway; sidecars come and go with their pods" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $empty := dict "config" dict "existingConfigMap" "" "policies" dict "existingPoliciesConfigMap" "" "secrets" list "env" list "tokens" list "redirect" false -}}
{{- $default := dict "redirect" (and (eq .Values.mode "sidecar") .Values.sidecar.redirect) -}}
{{- range $key := list "config" "existingConfigMap" "policies" "existingPoliciesConfigMap" "secrets" "env" "tokens" -}}
{{- $_ := set $default $key (index $.Values $key) -}}
{{- end -}}
{{- $profiles := dict "default" $default -}}
{{- if eq .Values.mode "sidecar" -}}
{{- range $name, $profile := .Values.sidecar.profiles -}}
{{- if eq $name "default" -}}
{{- fail "sidecar.profiles.default: the profile `default` is made of the keys at the top (config, policies, ...); write it there" -}}
{{- end -}}
{{- $_ := set $profiles $name (merge (deepCopy $profile) $empty) -}}
{{- end -}}
{{- end -}}
{{- toYaml $profiles -}}
{{- end -}}

{{/* Names of a profile's ConfigMaps. */}}
{{- define "toolgate.configMap" -}}
{{- default (printf "%s%s-config" (include "toolgate.fullname" .root) (eq .name "default" | ternary "" (printf "-%s" .name))) .profile.existingConfigMap -}}
{{- end -}}
{{- define "toolgate.policiesConfigMap" -}}
{{- default (printf "%s%s-policies" (include "toolgate.fullname" .root) (eq .name "default" | ternary "" (printf "-%s" .name))) .profile.existingPoliciesConfigMap -}}
{{- end -}}

{{/* A profile's config.yaml: what is given, and what the chart knows. Takes root, name, profile. */}}
{{- define "toolgate.config" -}}
{{- $values := .root.Values -}}
{{- $where := eq .name "default" | ternary "config" (printf "sidecar.profiles.%s.config" .name) -}}
{{- $config := deepCopy .profile.config -}}
{{- include "toolgate.config.owned" (dict "config" $config "where" $where) -}}
{{- $sidecar := eq $values.mode "sidecar" -}}
{{- $all := contains ":" $values.bindAddress | ternary (printf "[%s]" $values.bindAddress) $values.bindAddress -}}
{{- $_ := set $config "listen" (printf "%s:%v" ($sidecar | ternary "127.0.0.1" $all) $values.ports.gateway) -}}
{{- if .profile.redirect -}}
{{- $_ := set $config "listen_transparent" (int $values.ports.transparent) -}}
{{- end -}}
{{- $_ := set $config "policies" "./policies" -}}
{{- $_ := set $config "wire" (merge (dict "drain" (printf "%vs" $values.shutdown.drainSeconds)) (default dict $config.wire)) -}}
{{- $admin := default dict $config.admin -}}
{{- $_ := set $admin "probes" (printf "%s:%v" $all $values.ports.probes) -}}
{{- if and $sidecar (not (or $admin.token $admin.users $admin.jwt $admin.oidc $admin.kubernetes)) -}}
{{- /* Agents share the loopback: without a login they could lift what stops them. Nobody has a token with this digest. */ -}}
{{- $_ := set $admin "users" (list (dict "name" "nobody" "sha256" (repeat 64 "0") "roles" (list "viewer"))) -}}
{{- end -}}
{{- $_ := set $config "admin" $admin -}}
{{- if not $config.identify -}}
{{- /* Whoever is in the pod is the pod's service account; elsewhere the cluster vouches for it. */ -}}
{{- $pod := "system:serviceaccount:${env:TOOLGATE_POD_NAMESPACE}:${env:TOOLGATE_SERVICE_ACCOUNT}" -}}
{{- $_ := set $config "identify" (list ($sidecar | ternary (dict "anonymous" $pod) (dict "kubernetes" dict))) -}}
{{- end -}}
{{- if hasKey (default dict $config.trace) "store" -}}
{{- $_ := set $config.trace "store" (merge (default dict $config.trace.store) (dict "path" "/var/lib/toolgate/traces.db")) -}}
{{- end -}}
{{- if hasKey $config "audit" -}}
{{- $_ := set $config "audit" (merge (default dict $config.audit) (dict "dir" "/var/lib/toolgate/audit")) -}}
{{- end -}}
{{- include "toolgate.config.kept" (dict "config" $config "where" $where "values" $values) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Refuses what the chart sets itself, and what cannot be. */}}
{{- define "toolgate.config.owned" -}}
{{- $where := .where -}}
{{- range $key, $instead := dict "listen" "ports.gateway and bindAddress" "listen_transparent" "ports.transparent and redirect" "policies" "policies, or existingPoliciesConfigMap" -}}
{{- if hasKey $.config $key -}}
{{- fail (printf "%s.%s is set by the chart; give %s" $where $key $instead) -}}
{{- end -}}
{{- end -}}
{{- if kindIs "string" .config.admin -}}
{{- fail (printf "%s.admin: write it as a mapping: {listen: %q}" $where .config.admin) -}}
{{- end -}}
{{- if hasKey (default dict .config.admin) "probes" -}}
{{- fail (printf "%s.admin.probes is set by the chart; give ports.probes and bindAddress" $where) -}}
{{- end -}}
{{- if hasKey (default dict .config.wire) "drain" -}}
{{- fail (printf "%s.wire.drain is set by the chart, in step with terminationGracePeriodSeconds; give shutdown.drainSeconds" $where) -}}
{{- end -}}
{{- if not .config.tools -}}
{{- fail (printf "%s.tools: name the tools that agents may be let through to, such as {github: {url: \"https://api.github.com\"}}; or give existingConfigMap" $where) -}}
{{- end -}}
{{- end -}}

{{/* Refuses a state that would be lost, or counted several times. */}}
{{- define "toolgate.config.kept" -}}
{{- $state := default "memory:" .config.state -}}
{{- $several := and (eq .values.mode "gateway") (or .values.autoscaling.enabled (gt (int .values.replicas) 1)) -}}
{{- if and (hasPrefix "sqlite:" $state) (not (hasPrefix "sqlite:////var/lib/toolgate/" $state)) -}}
{{- fail (printf "%s.state: the file system is read-only but for /var/lib/toolgate; write sqlite:////var/lib/toolgate/state.db" .where) -}}
{{- end -}}
{{- if and $several (not .values.allowUnsharedState) (or (hasPrefix "sqlite:" $state) (hasPrefix "memory:" $state)) -}}
{{- fail (printf "%s.state: several replicas would each give out whole budgets and limits of their own; share it by redis://... (or say allowUnsharedState: true)" .where) -}}
{{- end -}}
{{- end -}}

{{/* What a running gateway cannot take by a reload: pods begin anew where this changes, and nowhere else. */}}
{{- define "toolgate.config.fixed" -}}
{{- $config := include "toolgate.config" . | fromYaml -}}
{{- $admin := pick $config.admin "listen" "probes" -}}
{{- $fixed := pick $config "listen" "listen_transparent" "state" "trace" "audit" "log" -}}
{{- toJson (merge (dict "admin" $admin "tls" (hasKey $config "listen_tls") "admin_tls" (hasKey $config.admin "tls")) $fixed) | sha256sum -}}
{{- end -}}

{{/* Whether a profile's gateway may ask the API server about tokens: "api" it has a token, "review" also the role; else nothing. */}}
{{- define "toolgate.asks" -}}
{{- $wanted := .root.Values.tokenReview -}}
{{- $reviews := list -}}
{{- if kindIs "string" $wanted -}}
{{- $ways := default list .profile.config.identify -}}
{{- if and (not $ways) (not .profile.existingConfigMap) (eq .root.Values.mode "gateway") -}}
{{- $ways = list (dict "kubernetes" dict) -}}
{{- end -}}
{{- if kindIs "map" .profile.config.admin -}}
{{- $ways = append $ways .profile.config.admin -}}
{{- end -}}
{{- range $way := $ways -}}
{{- if hasKey $way "kubernetes" -}}
{{- $reviews = append $reviews (hasKey (default dict $way.kubernetes) "issuer" | ternary "api" "review") -}}
{{- end -}}
{{- end -}}
{{- else if $wanted -}}
{{- $reviews = list "review" -}}
{{- end -}}
{{- has "review" $reviews | ternary "review" (has "api" $reviews | ternary "api" "") -}}
{{- end -}}

{{/* The port of config.admin.listen, with a ConfigMap of one's own that of the Service. */}}
{{- define "toolgate.adminPort" -}}
{{- if .Values.existingConfigMap -}}
{{- .Values.adminService.port -}}
{{- else -}}
{{- regexFind "[0-9]+$" .Values.config.admin.listen -}}
{{- end -}}
{{- end -}}
