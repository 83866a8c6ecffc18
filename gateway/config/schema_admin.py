"""The operators' side, as it stands in the configuration file: where it listens, who may look and who may change."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.fields import (
    Address,
    AdminToken,
    Listed,
    ListenAddress,
    Model,
    Sha256,
    SigningKey,
    Url,
    address,
    origin_of,
)
from gateway.policy.schema_parts import Duration

RESERVED = frozenset({"admin", "operator"})
"""Names of principals that no user may have: whoever shows ``admin.token``, and whoever is on this machine."""
KUBERNETES = "kubernetes:"
"""How names begin that an API server vouches for."""


def is_trusted(url: str) -> bool:
    """Whether nobody on the way can answer in its place."""
    origin, _ = origin_of(url)
    return origin.scheme == "https" or is_loopback(origin.host)


def _trusted(value: str) -> str:
    if not is_trusted(value):
        raise ValueError("whoever is on the way could answer in its place; write https")
    return value


def is_loopback(host: str) -> bool:
    """Whether this names the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


TrustedUrl = Annotated[Url, AfterValidator(_trusted)]


def _person(value: str) -> str:
    if value in RESERVED or value.startswith(KUBERNETES):
        raise ValueError(f"{value!r} is a name that the gateway itself gives; choose another")
    if "/" in value or not value.isprintable() or value != value.strip():
        raise ValueError('a name has no "/" (names of rules have one), no hidden characters and no spaces around it')
    return value


Person = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_person)]
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=64)]
Roles = Annotated[dict[Role, Listed[Annotated[str, Field(min_length=1)]]], Field(min_length=1)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class AdminUser(Model):
    """Somebody with a token of their own, known only by its SHA-256."""

    name: Person = Field(description="Who it is, in the audit and on approvals.")
    sha256: Sha256 = Field(description="SHA-256 of the token, in hex; toolgate hash-key makes one.")
    roles: Listed[Role] = Field(
        min_length=1, description="viewer looks, approver decides on approvals, admin changes; others are for terms."
    )


class Claims(Model):
    """Which claims of a token say who somebody is."""

    name: str = Field(
        default="sub", min_length=1, description="The claim with the name: sub, or email (which must be verified)."
    )
    roles: str = Field(
        default="groups", min_length=1, description="The claim that roles are mapped from; a.b is b within a."
    )


class IssuerConfig(Model):
    """Whose signatures on bearer tokens count."""

    issuer: Url = Field(description="The issuer, exactly as tokens name it (iss).")
    audience: Listed[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="Tokens are for one of these (aud)."
    )
    jwks_url: TrustedUrl | None = Field(
        default=None, description="Where the issuer's keys are; by default as its discovery document says."
    )
    jwks_file: str | None = Field(default=None, min_length=1, description="The issuer's keys in a file instead.")
    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities to trust instead of the system's."
    )
    algorithms: Listed[Algorithm] = Field(
        default=("RS256", "ES256"), min_length=1, description="How tokens may be signed; with public keys only."
    )
    leeway: Duration = Field(default=60.0, le=300, description="By how much clocks may differ.")


class JwtConfig(IssuerConfig):
    """Bearer tokens that an issuer has signed."""

    claims: Claims = Claims()
    roles: Roles = Field(description='Roles, and the values of the claim that give them: {admin: [sre], viewer: ["*"]}')


class OidcConfig(Model):
    """People log in to the console with an identity provider (OpenID Connect, code flow with PKCE)."""

    issuer: TrustedUrl = Field(description="The provider, exactly as its discovery document names itself.")
    client_id: str = Field(min_length=1, description="What this gateway is called there; tokens must be for it.")
    client_secret: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description='Its secret: "${file:/run/secrets/oidc}"; none for a public client.'
    )
    redirect_uri: TrustedUrl = Field(description="The console's address, and /login/callback.")
    scopes: Listed[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]] = Field(
        default=("openid", "profile", "email"), description="What is asked for; openid always is."
    )
    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities to trust instead of the system's."
    )
    algorithms: Listed[Algorithm] = Field(
        default=("RS256", "ES256"), min_length=1, description="How ID tokens may be signed; with public keys only."
    )
    claims: Claims = Claims()
    roles: Roles = Field(description="As of jwt.")


class ApiServer(Model):
    """A Kubernetes API server."""

    url: TrustedUrl = Field(default="https://kubernetes.default.svc", description="The API server.")
    ca_file: str = Field(
        default="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", min_length=1, description="Its authority."
    )
    token_file: str = Field(
        default="/var/run/secrets/kubernetes.io/serviceaccount/token",
        min_length=1,
        description="The gateway's own token, which may create tokenreviews (system:auth-delegator).",
    )
    audiences: Listed[Annotated[str, Field(min_length=1)]] = Field(
        default=("toolgate",), min_length=1, description="Tokens must be for one of these."
    )


class KubernetesConfig(ApiServer):
    """Bearer tokens that a Kubernetes API server vouches for (TokenReview)."""

    roles: Roles = Field(description="Roles, and the users and groups that have them: {admin: [platform-team]}.")


class AdminTls(Model):
    """TLS of the admin address; new files are taken without a restart."""

    cert_file: str = Field(min_length=1, description="PEM file of the certificate and those between it and the root.")
    key_file: str = Field(min_length=1, description="PEM file of its key, without a passphrase.")


class Admin(Model):
    """The operators' side."""

    listen: ListenAddress = Field(
        default=Address("127.0.0.1", 9090), description="Health, metrics and the admin API; keep it from agents."
    )
    token: AdminToken | None = Field(
        default=None,
        description="What the admin API asks for, as a bearer token; without any login it is for this machine only.",
    )
    users: Listed[AdminUser] = Field(default=(), description="People and programs with tokens of their own.")
    jwt: JwtConfig | None = Field(default=None, description="Bearer tokens that an issuer has signed.")
    oidc: OidcConfig | None = Field(default=None, description="Login to the console with an identity provider.")
    kubernetes: KubernetesConfig | None = Field(
        default=None, description="Bearer tokens that a Kubernetes API server vouches for."
    )
    session_key: SigningKey | None = Field(
        default=None,
        description="Signs sessions; replicas share it. By default made from token; without that, at each start.",
    )
    session_life: Duration = Field(
        default=4 * 3600.0, gt=0, le=7 * 86400, description="A login to the console is good for so long."
    )
    tls: AdminTls | None = Field(default=None, description="Certificate and key of the admin address.")
    plaintext: bool = Field(
        default=False,
        description="Listen without TLS beyond this machine, behind a proxy or mesh that has it: who is on the way"
        " between reads tokens.",
    )
    probes: ListenAddress | None = Field(
        default=None, description="A second address with only /livez, /readyz, /healthz and /metrics, open to all."
    )

    @property
    def asks(self) -> bool:
        """Whether people have to say who they are."""
        return self.token is not None or bool(self.users) or any((self.jwt, self.oidc, self.kubernetes))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody should read."""
        held = (self.token, self.session_key, None if self.oidc is None else self.oidc.client_secret)
        return tuple(secret for secret in held if secret is not None)


def _admin(value: object) -> object:
    if not isinstance(value, str):
        return value
    address(value)  # a mistake in it is one of admin's, where there is no listen
    return {"listen": value}


AdminField = Annotated[Admin, BeforeValidator(_admin)]


class AdminOnly(Model):
    """What is read of a configuration file to find the gateway that runs by it."""

    admin: AdminField = Admin()
