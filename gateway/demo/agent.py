"""The scripted agent: short scenes, each with what must come of it, so that the demo checks itself."""

from __future__ import annotations

from gateway.demo import scenes_governed as governed
from gateway.demo import scenes_http as http
from gateway.demo import scenes_llm as llm
from gateway.demo import scenes_mcp as mcp
from gateway.demo import scenes_people as people
from gateway.demo.scene import Scene, Stage

SCENES: tuple[Scene, ...] = (
    http.granted, http.not_granted, http.talked_into, http.two_ways, people.approved, people.planted,
    http.too_fast, http.held_back, http.failing,
    http.streaming, mcp.listed, mcp.told, mcp.corrected, mcp.poisoned, llm.proposed, llm.too_dear,
    governed.spent, governed.circling, governed.stopped, http.edited,
)  # fmt: skip


async def play(stage: Stage) -> None:
    """All scenes in order. A scene's docstring is its title, a full stop, and what it is about.

    Raises:
        Surprise: a call came out otherwise than it must.
    """
    for number, scene in enumerate(SCENES, 1):
        title, _, about = (scene.__doc__ or "").partition(". ")
        stage.client.table.scene(f"{number}. {title}", about)
        await scene(stage)
