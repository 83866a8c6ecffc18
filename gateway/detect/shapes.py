"""What credentials look like: tokens that begin in a way that nothing else does, and texts that say what follows.

The formats are those that the issuers document; what well-kept detectors look for (detect-secrets 1.5, gitleaks 8) is
found too (a test holds the table to detect-secrets' own patterns). Names of fields, which say more than shapes where
there are any, are the matter of ``trace.redact``.

Patterns are RE2 over bytes. They fit a text, and the same text within a line of JSON, where a line feed is ``\\n``: so
no pattern begins with ``\\b``, and none reaches over a quote. With a group, the group is the secret.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """``name`` stands in the mask; ``sure`` is False where a word in the secret's place is none (``is_word``)."""

    name: str
    pattern: str
    sure: bool = True


_START = r"(?:^|[^A-Za-z0-9_]|\\[bfnrt]|\\u00[0-9a-f][0-9a-f])"
"""Nothing of a word before it; in JSON, the letter of an escape is none."""
_BLANK = r"(?:\s|\\[nrt])"

SHAPES = (
    Shape("aws", r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    Shape("github", r"gh[pousr]_[A-Za-z0-9_]{36}\w*|github_pat_[A-Za-z0-9_]{22,}"),
    Shape("gitlab", r"gl(?:pat|dt|ft|soat|rt|cbt|ptt|imt|agent|oas|ffct)-[A-Za-z0-9_-]{20,}"),
    Shape("gitlab", r"GR1348941[A-Za-z0-9_-]{20,}"),
    Shape("slack", r"(?i:xox[abceoprs])-[A-Za-z0-9-]{10,}|(?i:xapp)-\d-[A-Za-z0-9-]{10,}"),
    Shape("slack", r"/services/(T[A-Z0-9]{7,}/B[A-Z0-9]{7,}/[A-Za-z0-9]{16,})"),
    Shape("stripe", r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{32,}"),
    Shape("openai", r"sk-[A-Za-z0-9_-]*T3BlbkFJ[A-Za-z0-9_-]{20,}|sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}"),
    Shape("key", _START + r"(sk-[A-Za-z0-9]{32,})"),
    Shape("anthropic", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    Shape("openrouter", r"sk-or-[A-Za-z0-9_-]{20,}"),
    Shape("google", r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_.-]{20,}|GOCSPX-[A-Za-z0-9_-]{28}"),
    Shape("huggingface", r"hf_[A-Za-z0-9]{34,}|api_org_[A-Za-z0-9]{34}"),
    Shape("groq", r"gsk_[A-Za-z0-9]{40,}"),
    Shape("xai", r"xai-[A-Za-z0-9]{70,}"),
    Shape("replicate", r"r8_[A-Za-z0-9]{37,}"),
    Shape("npm", r"npm_[A-Za-z0-9]{36}|_authToken=[\s\v]*([A-Za-z0-9_+/=-]{8,})"),
    Shape("pypi", r"pypi-A[A-Za-z0-9_-]{50,}"),
    Shape("sendgrid", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    Shape("mailchimp", r"[0-9a-z]{32}-us[0-9]{1,2}"),
    Shape("twilio", r"SK[0-9a-z]{32}"),
    Shape("telegram", r"[0-9]{8,10}:[0-9A-Za-z_-]{35}"),
    Shape("discord", _START + r"([MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38})"),
    Shape("shopify", r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    Shape("square", r"sq0(?:csp|atp|idp)-[0-9A-Za-z_\\-]{22,}|EAAA[A-Za-z0-9_-]{60}"),
    Shape("digitalocean", r"do[oprt]_v1_[a-f0-9]{64}"),
    Shape("databricks", r"dapi[a-f0-9]{32}"),
    Shape("grafana", r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,}"),
    Shape("hashicorp", r"hv[sbr]\.[A-Za-z0-9_-]{24,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
    Shape("linear", r"lin_api_[A-Za-z0-9]{40}"),
    Shape("notion", r"ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}"),
    Shape("atlassian", r"ATATT3[A-Za-z0-9_=-]{60,}|ATCTT3[A-Za-z0-9_=-]{60,}"),
    Shape("postman", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    Shape("newrelic", r"NRAK-[A-Z0-9]{27}"),
    Shape("doppler", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}"),
    Shape("artifactory", _START + r"(AKC[A-Za-z0-9]{40,}|cmVmd[A-Za-z0-9]{59})"),
    Shape("age", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    Shape("azure", r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/=]{43,88})|[?&;]sig=([A-Za-z0-9%+/=]{30,})"),
    Shape("jwt", r"eyJ[A-Za-z0-9_=-]{8,}\.[A-Za-z0-9_=-]{8,}(?:\.[A-Za-z0-9_.+/=-]*)?"),
    # The body of a key, its headers and its end; a line feed may be an escape.
    Shape("private-key", r"-----BEGIN[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.@_-]*"),
    Shape("private-key", r"PuTTY-User-Key-File-[23]:[A-Za-z0-9+/=\s\\:,.@_()-]*"),
    Shape("password", r"://[^\s/:@\"'\\{}<>]{0,64}:([^\s/@\"'\\{}<>\[\]]{1,256})@"),
    Shape("bearer", r"(?i)(?:bearer|basic)" + _BLANK + r"+([A-Za-z0-9._~+/-]{12,}=*)", sure=False),
    Shape(
        "secret",
        r"(?i)(?:(?:api|access|auth|private|secret)[_-]?key|(?:api|access|auth|refresh|id|session)[_-]?token|client[_-]?secret"
        r"|passwd|password|passphrase)[\"'\\]{0,4}\s{0,4}(?:=>|=|:)\s{0,4}[\"'\\]{0,4}([^\s\"'\\&,;<>\[\](){}]{8,256})",
        sure=False,
    ),
)


def is_word(text: bytes) -> bool:
    """Whether what stands in a secret's place is a word of a sentence (``bearer authentication``), not a secret."""
    return len(text) < 16 and text.rstrip(b".").isalpha() and (text.islower() or text.istitle())
