"""Fields that are masked (``then: redact``), held against what is known of the arguments: a typo would mask nothing."""

from __future__ import annotations

from gateway.policy.argument_operators import Finding, told
from gateway.policy.argument_shapes import Shape
from gateway.policy.hints import nearest


def masked(field: str, arguments: Shape) -> Finding | None:
    """What is wrong with a path such as ``args.items.*.ssn``; None where nothing is, or nothing can be told."""
    shape, at, shown = arguments, 0, "args"
    for step in field.split(".")[1:]:
        at += len(shown.rpartition(".")[2]) + 1
        every = step == "*"
        while shape.kinds == {"list"} and shape.items is not None:
            # A name that meets a list is looked for in each of its entries, and * stands for the entries once.
            shape = shape.items.shape
            if every:
                break
        else:
            if every or not shape.kinds:
                return None
            if "map" not in shape.kinds:
                message = f"{shown} is {told(shape)}, so there is nothing to mask below it"
                return Finding("type", "", at, shown, message, f"write {shown}")
            known = shape.fields.get(step)
            if known is None:
                near = nearest(step, shape.fields)
                if shape.open and not near:
                    return None
                names = tuple(sorted(shape.fields))
                return Finding("near" if shape.open else "unknown", "", at, f"{shown}.{step}", "tested", near, names)
            shape = known.shape
        shown = f"{shown}.{step}"
    return None
