"""What the configuration says of the flow of information: labels of tools, and whose word counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.fields import Listed, Model, SigningKey
from gateway.model import FlowLabels
from gateway.policy.redaction import check_field
from gateway.policy.schema_parts import Glob, GlobList


def _argument(value: str) -> str:
    root, _, rest = value.partition(".")
    if root not in ("args", "params"):
        raise ValueError(f"{value!r} names no argument; write args.NAME, or params.NAME of a template of `operations`")
    check_field(f"args.{rest}" if rest else "args")
    return value


Argument = Annotated[str, AfterValidator(_argument)]
Word = Annotated[str, Field(min_length=2, max_length=60, pattern=r"^\w[\w -]*$")]


class FlowSpec(Model):
    """What some operations of a tool do to the flow of information. The first whose operations match counts."""

    operations: GlobList = Field(default=("*",), description="Operations that it is about.")
    returns: Listed[Literal["trusted", "untrusted", "private", "public"]] = Field(
        default=(),
        description="What their results are: untrusted is what strangers can write (mails, web pages, tickets), trusted"
        " what only your own people or systems can; private must not get out. A run has the labels of all it reads.",
    )
    sends: Literal["external", "internal", "request"] | None = Field(
        default=None,
        description="Where their arguments go: external leaves the house, internal stays in it; request only asks"
        " somebody outside (a page is fetched, the web is searched), who is told no more than the arguments.",
    )
    directs: Listed[Argument] = Field(
        default=(),
        description="Arguments that direct what happens, such as args.recipient, args.amount, args.path or args.url;"
        " params.id is what stands for {id} in a template of `operations`.",
    )
    about: Listed[Argument] = Field(
        default=(),
        description="Arguments that say what it is about, such as args.title: the model may word them, but not take"
        " them from strangers alone.",
    )
    asked: Listed[Word] = Field(
        default=(),
        description="Beginnings of words with which people ask for it: `delet` for delete and deletion. Where people"
        " have said none of them in the run, nobody has asked for it. Without it, that is not looked at.",
    )

    def labels(self) -> FlowLabels:
        """The same for the gateway's use."""
        return FlowLabels(self.operations, self.returns, self.sends or "", self.directs, self.about, self.asked)


class Flow(Model):
    """Whose word counts, and what is remembered of it."""

    trusted_sources: Listed[Glob] = Field(
        default=(), description="Tools or TOOL/OPERATION whose results count as trusted, beside those labelled so."
    )
    prompt_key: SigningKey | None = Field(
        default=None, description="Proves which prompts the platform hands over (X-Toolgate-Prompt-Signature)."
    )
    values: Listed[str] = Field(
        default=(), description="Values that the operator vouches for: your own domains, accounts and addresses."
    )
