"""Channels: that those which policies name are there, and the certificates that their mail servers are trusted by."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.config.authorities import believing
from gateway.config.files import Files
from gateway.config.model_errors import Mistake
from gateway.config.policies import Policies
from gateway.config.schema import Config
from gateway.errors import Problem
from gateway.policy.hints import nearest
from gateway.policy.schema_approvals import Approval

_FOLDER = "correct the path; it begins at the configuration's folder"


def unknown_channels(policies: Policies, channels: Mapping[str, object]) -> Iterator[Problem]:
    """What is named by documents of kind Approval, and is no channel of the configuration: nobody would be told."""
    for number, source in enumerate(policies.sourced):
        if not isinstance(source.model, Approval):
            continue
        spec = source.model.spec
        named: list[tuple[tuple[str | int, ...], str]] = [
            (("spec", "notify", at), name) for at, name in enumerate(spec.notify)
        ]
        for step, escalation in enumerate(spec.escalate):
            named += [(("spec", "escalate", step, "notify", at), name) for at, name in enumerate(escalation.notify)]
        for path, name in named:
            if name not in channels:
                near = nearest(name, channels)
                hint = f"did you mean {near}?" if near else f"write it under approvals.channels: {name}: ..."
                message = f"there is no channel {name} in the configuration"
                yield Problem(*policies.place(number, path), message, hint, kind="unknown-channel")


def authorities_of(config: Config, base: Path, files: Files) -> tuple[dict[str, str], list[Mistake]]:
    """The certificates by channel, read here so that a new file is noticed, and what is wrong with them."""
    found: dict[str, str] = {}
    wrong: list[Mistake] = []
    for name, channel in config.approvals.channels.items():
        if channel.email is None or channel.email.ca_file is None:
            continue
        path, file = ("approvals", "channels", name, "email", "ca_file"), base / channel.email.ca_file
        try:
            found[name] = files.read(file).decode("ascii", "ignore")
            believing(pem=found[name])
        except OSError as error:
            wrong.append(Mistake(path, _why(file, error), _FOLDER))
        except ValueError:
            wrong.append(Mistake(path, f"{file} holds no certificate that can be read", "give a PEM file"))
    return found, wrong


def _why(file: Path, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{file} holds no certificate that can be read"
    return f"cannot read {file}: {error.strerror or error}"
