"""Changes of a JSON value that say only what is to be otherwise: JSON Merge Patch (RFC 7396), JSON Patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

import jsonpatch
import orjson
from jsonpointer import JsonPointerException

from gateway.memory.wrong import Wrong

MOST_STEPS = 100
"""Steps of one JSON Patch."""


def merged(target: Any, patch: Any) -> Any:
    """What a merge patch makes of a value: members of null are gone, lists are replaced. Neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def patched(target: Any, steps: Any, largest: int) -> Any:
    """What the steps of a JSON Patch make of a value of at most ``largest`` bytes, which is changed itself.

    Raises:
        Wrong: 422, a step cannot be made, or a ``test`` fails; 413, it copies more than a value may have.
    """
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        raise Wrong(400, "unusable", f"a JSON Patch is a list of at most {MOST_STEPS} steps", "send fewer")
    copied = 0
    for number, step in enumerate(steps):
        if isinstance(step, dict) and step.get("op") == "copy":  # copies of copies grow without end
            copied += len(orjson.dumps(target))
            if copied > 2 * largest:
                raise Wrong(413, "too_large", f"step {number} of the patch copies too much", "send the value instead")
        try:
            target = jsonpatch.JsonPatch([step]).apply(target, in_place=True)
        except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, RecursionError) as error:
            detail = f"step {number} of the patch cannot be made: {str(error)[:200]}"
            raise Wrong(422, "patch_failed", detail, "read the value, and send a patch that fits it") from None
    return target
