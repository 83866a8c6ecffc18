"""What the memory says where it cannot do as asked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Forgotten, OverQuota, StoreUnavailable
from gateway.model.shelf import Item


class Wrong(Exception):  # noqa: N818 - becomes an answer
    """``reason`` is for machines, ``detail`` says what is wrong, ``advice`` what to do instead.

    ``standing`` is what stands where something else was expected, named by ``epoch``; ``diff`` how it differs from what
    had been seen, where that is known. ``read`` is what was looked at to find it, with labels for whoever is told."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        advice: str = "",
        *,
        epoch: str = "",
        standing: Sequence[Item] = (),
        diff: str = "",
    ) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.advice = status, reason, detail, advice
        self.epoch, self.standing, self.diff = epoch, standing, diff
        self.read: Sequence[Item] = ()

    @property
    def retryable(self) -> bool:
        """Whether the very same call may do later."""
        return self.status == 503


def wrong_of(error: Exception) -> Wrong | None:
    """What is told of an error of the store; None where it is none of its kinds."""
    if isinstance(error, Wrong):
        return error
    if isinstance(error, OverQuota):
        if error.what == "value":
            return Wrong(413, "too_large", error.detail, "split the value over several keys, or say less")
        # Neither 429 nor 507: SDKs repeat these by themselves, and breakers count a 507 as the tool's fault.
        return Wrong(403, "over_quota", error.detail, "remove what nobody needs any more, then write again")
    if isinstance(error, Forgotten):
        advice = "read what stands now, without at; or follow from the beginning, with after=0"
        return Wrong(410, "forgotten", str(error), advice)
    if isinstance(error, StoreUnavailable):
        detail = f"the memory cannot be reached now, and whether it was written is not known: {error}"
        return Wrong(503, "unavailable", detail, "read it again in a moment, before writing anything twice")
    if isinstance(error, ValueError):
        return Wrong(400, "unusable", str(error), "correct that, and send it again")
    return None
