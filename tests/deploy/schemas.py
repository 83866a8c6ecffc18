"""Kubernetes objects against the OpenAPI schemas of its versions: unknown keys and wrong types, all of them at once.

What it does not know: values of enumerations, and objects of other APIs (the Prometheus operator's, cert-manager's).
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

OTHERS = ("monitoring.coreos.com/", "cert-manager.io/")
FOLDER = "kubernetes_validate/kubernetes-json-schema"


class UnknownKind(Exception):
    """This version of Kubernetes has no such kind."""


class Schemas:
    """The strict schemas in the wheel of kubernetes-validate."""

    def __init__(self, wheel: Path) -> None:
        self._files = zipfile.ZipFile(wheel)
        self._validator = cache(self._made)

    def versions(self) -> list[str]:
        """Such as 1.29, the oldest first."""
        found = {match[1] for name in self._files.namelist() if (match := re.match(rf"{FOLDER}/v(1\.\d+)\.", name))}
        return sorted(found, key=lambda version: int(version.split(".")[1]))

    def faults(self, thing: dict[str, Any], version: str) -> Iterator[str]:
        """What is wrong with an object; nothing where it can be used, or is of another API.

        Raises:
            UnknownKind: there is no such kind in this version.
        """
        if thing["apiVersion"].startswith(OTHERS):
            return
        group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", thing["apiVersion"])
        for error in self._validator(f"{thing['kind'].lower()}-{group}", version).iter_errors(thing):
            yield f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}"

    def _made(self, kind: str, version: str) -> jsonschema_rs.Draft202012Validator:
        folder = f"{FOLDER}/v{version}.0-local-strict"
        try:
            schema = json.loads(self._files.read(f"{folder}/{kind}.json"))
        except KeyError:
            raise UnknownKind(f"{kind} in {version}") from None
        return jsonschema_rs.Draft202012Validator(schema, registry=self._definitions(folder))

    @cache
    def _definitions(self, folder: str) -> jsonschema_rs.Registry:
        return jsonschema_rs.Registry(
            [
                (
                    "https://kubernetes.io/api/_definitions.json",
                    json.loads(self._files.read(f"{folder}/_definitions.json")),
                )
            ]
        )
