"""The doors to the world. The pipeline knows these shapes, never who stands behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.model import (
    Account,
    Agent,
    Answered,
    Approval,
    Balance,
    Call,
    Change,
    Claim,
    Draw,
    Drawn,
    Entry,
    Fields,
    Glance,
    Hold,
    Learnt,
    Lease,
    Lent,
    Outcome,
    Petition,
    PoolClaim,
    Quarantine,
    RateClaim,
    Ruling,
    Run,
    Seen,
    Touch,
    Trace,
    Want,
)
from gateway.model.shelf import Committed, Item, Mismatch, Page, Provenance, Put, ShelfLimits, ShelfUsage


class Ledger(Protocol):
    """Counters, places, circuits and budgets behind every guard that counts.

    ``reserve`` is all or nothing: either every claim is granted, or nothing moved and at least one hold says why.
    ``settle`` or ``release`` ends what ``reserve`` granted, exactly once for each call, whatever its exit.
    """

    def reserve(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...] | Awaitable[tuple[Hold, ...]]:
        """Later where something must be had from a shared store first, or is reserved by calls that will end."""

    def look(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        """What ``reserve`` would answer, without taking anything, by what is known here."""

    def answered(self, holds: Sequence[Hold], answer: Answered, now: float) -> None:
        """The head of the tool's answer is here: circuits learn now, not at the end of a long stream."""

    def settle(self, holds: Sequence[Hold], outcome: Outcome, now: float) -> None:
        """The call was made, and this came of it."""

    def release(self, holds: Sequence[Hold], now: float) -> None:
        """The call was not made after all: refused further on, or its agent has gone."""


class Pacer(Protocol):
    """Lines: limits that wait instead of refusing, and pools of places."""

    def pace(self, claim: RateClaim | PoolClaim) -> Hold | Awaitable[Hold]:
        """A granted hold, at once or later, when it is this call's turn; one that is not granted where that takes too
        long. A hold of a pool is given back through the ledger. An awaitable that is cancelled holds nothing; nor does
        one of a pool that is never awaited."""


class Recorder(Protocol):
    """Where traces go. Never blocks the caller."""

    @property
    def available(self) -> bool:
        """False where calls must be refused because they could not be recorded."""

    def record(self, trace: Trace) -> None: ...


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds, monotonic."""


class Runs(Protocol):
    """What is known of runs, by tree: agent and run at its root (``Call.tree``). Nothing is kept of calls without a run
    id. Costs are in US dollars."""

    def cost(self, tree: tuple[str, str]) -> float: ...

    def add(self, tree: tuple[str, str], usd: float) -> None: ...

    def labels(self, tree: tuple[str, str]) -> tuple[str, ...]:
        """In alphabetical order."""

    def mark(self, tree: tuple[str, str], labels: tuple[str, ...]) -> None: ...

    def tally(self, tree: tuple[str, str], now: float) -> tuple[int, int, float]:
        """Calls permitted before, calls that failed one after the other up to now, seconds since the first call."""

    def began(self, tree: tuple[str, str], now: float) -> None:
        """A call has been permitted."""

    def ended(self, tree: tuple[str, str], now: float, *, failed: bool) -> None:
        """A call has ended."""


class Lineage(Protocol):
    """Which run led to which: agents that are tools of other agents."""

    def place(self, lookup: Mapping[bytes, bytes], agent: Agent, run: Run) -> Run:
        """The run with its place in the tree of runs (``root``, ``led``, ``depth``), as far as these fields tell, by
        their lower-cased names."""

    def onward(self, call: Call) -> Fields:
        """The fields by which calls that the tool makes will be known to come from this one (W3C traceparent and
        baggage)."""


class Quarantines(Protocol):
    """Who may make no calls now."""

    def standing(self, call: Call) -> Quarantine | None:
        """What keeps this call from being made, if anything."""

    def impose(self, call: Call, scope: str, reason: str, by: str, seconds: float) -> None:
        """Quarantine the call's agent, run or tool (``scope``) for so long; 0 is until somebody lifts it."""


class Vault(Protocol):
    """Accounts of budgets and shared buckets: durable, and the same for all replicas. ``now`` is in seconds since the
    epoch; ``holder`` names the replica. Raises StoreUnavailable where the store cannot be reached.

    What is leased counts as spent until it is given back: a replica that dies forgets nothing, at most it forfeits its
    leases. An account may be spent beyond its limit by ``settle``, never by ``lease``.
    """

    async def lease(self, holder: str, wants: Sequence[Want], now: float) -> Sequence[Lease]:
        """Set aside for each want, in one step, what is left of its account; see Lease."""

    async def settle(self, holder: str, entries: Sequence[Entry], now: float) -> None:
        """Write down what calls came to, out of what the replica has leased. Of each call and account only once: again
        is without effect. It counts in the window that ``now`` lies in, so say it again with the same ``now``."""

    async def give_back(self, holder: str, amounts: Sequence[tuple[Account, int]], now: float) -> None:
        """What was leased and will not be spent, in the window that ``now`` lies in: of no use once the lease has
        ended. Where it fails, leave it: it may have been done, and twice would let the account be overspent."""

    async def balances(self, now: float) -> Sequence[Balance]:
        """Every account with something spent or leased in its present window."""

    async def draw(self, wants: Sequence[Draw], now: float) -> Sequence[Drawn]:
        """Take tokens out of shared buckets; a negative ``wish`` puts so many back."""


class Board(Protocol):
    """Small facts that all replicas share: quarantines, open circuits. A replica reads its own copy, which follows the
    others' within a second. Durable where the store is."""

    def entries(self, kind: str) -> Mapping[str, bytes]:
        """What is known here, by key."""

    async def post(self, kind: str, key: str, value: bytes, seconds: float = 0.0) -> None:
        """Let it stand for all, for so long; 0 is for ever. It is stored when this returns. Raises StoreUnavailable."""

    async def remove(self, kind: str, key: str) -> bool:
        """Whether there was one. Raises StoreUnavailable."""

    def watch(self, kind: str, told: Callable[[str, bytes | None], None]) -> None:
        """Be told of each change from now on, one's own too: the key, and its value or None where it is gone."""

    async def seize(self, key: str, seconds: float) -> bool:
        """Be the only one of all replicas who has this for so long (a probe of a circuit). Raises StoreUnavailable."""


class Paper(Struct, frozen=True):
    """One document in a cabinet. ``version`` grows with each change of it; ``value`` is None where it is gone."""

    key: str
    version: int
    value: bytes | None


class Cabinet(Protocol):
    """Documents that all replicas share, changed only by who has seen what stands (compare and set). Durable where the
    store is: what is written is stored when ``swap`` returns. Raises StoreUnavailable where it cannot be reached."""

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        """Put ``value`` in the place of what stands (None: of which nothing is left), for so long; 0 is for ever.

        Only where its version is still ``seen`` (0: there is none, or it has ended). Gives the new version; 0 where
        somebody else was faster, and nothing has changed."""

    async def read(self, kind: str, key: str) -> Paper | None:
        """What stands; None for nothing."""

    async def changes(self, kind: str, after: int) -> tuple[int, Sequence[Paper]]:
        """What has changed since revision ``after`` (0: all that stands), the newest state of each document once, and
        the revision to ask from next. Where the store has lost what it had (its revision is behind), all that stands,
        and a revision below ``after``."""


class Desk(Protocol):
    """Where people decide on calls."""

    def ask(self, call: Call, petition: Petition) -> Awaitable[Ruling]:
        """A ruling: at once, or when somebody has decided, or when the agent has been held for long enough."""

    async def attach(self, call: Call, binding: str, version: str) -> Ruling | None:
        """A ruling, as ``ask``, on the result that stands for this binding, by the policies of this version; None:
        there is none. Where that cannot be known, a ruling that says so."""

    async def claim(self, ruling: Ruling, call: str) -> bool:
        """Take what the ruling approved for the call with this id, which is about to be made: once. False: it is not
        there any more. Raises StoreUnavailable."""

    def settle(self, ruling: Ruling, call: str, outcome: Outcome) -> None:
        """The call that had claimed it has ended."""

    def release(self, ruling: Ruling, call: str) -> None:
        """The call that had claimed it has not been made, for certain: it may be claimed again."""


class Flow(Protocol):
    """Where values come from, in one run. Quiet and bounded; what has been forgotten was seen nowhere."""

    def origin(self, value: Any) -> Mapping[str, Any]:
        """Where the value, or each text and number in it, was first seen, in whatever form: ``sources`` (user, system,
        operator, person, ``tool/operation``), ``labels`` of those tools, ``trusted`` (whether what is trusted told it),
        ``seen`` (whether anything did), ``linked`` (it is
        a whole field of a record that people named by another), ``verbatim`` (as it is), ``why`` (what stood there)."""

    def unproven(self, call: Call) -> Sequence[str]:
        """Paths of the arguments that direct what the call does and that nothing trusted told."""

    def planted(self, call: Call) -> Sequence[str]:
        """What in the call's arguments leads elsewhere (URLs, addresses, accounts) and only the untrusted told."""

    def say(self, args: Any) -> None:
        """What the agent wrote into a call that is being answered: who only repeats that tells nothing."""

    def foreign(self, call: Call) -> Sequence[str]:
        """Paths of the arguments that direct it, or say what it is about, in which there is something that only texts
        of the untrusted told, be it one word; what is a whole field of a record is not meant."""

    def delegated(self, call: Call) -> Sequence[str]:
        """Those of ``unproven`` that stand in a document which the user named, where something else that directs the
        call is proven."""

    def asked(self, call: Call) -> bool:
        """Whether people have used one of the words with which one asks for what the call does; true where its labels
        name none."""

    def hear(self, source: str, labels: Sequence[str], data: bytes, content_type: str, args: Any = None) -> None:
        """A whole result, asked for with these arguments, or what somebody said, as it came."""

    labels: tuple[str, ...]
    """Of all that tools answered in the run so far."""

    def mark(self, labels: Sequence[str]) -> None:
        """A tool is answering what has these labels: said before the agent has a byte of it."""


class Flows(Protocol):
    """The flows of all runs, by tree; of calls without a run id, by agent."""

    def enter(self, call: Call) -> Flow:
        """The flow of the call's run, which first hears what the call itself tells: what the platform hands over, and
        on its way to a model what user and system said."""


class Lender(Protocol):
    """Credentials of one tool that are made, fetched or signed for each call."""

    def lend(self, call: Call, body: bytes | None) -> Lent | Awaitable[Lent]:
        """What the call gets. Raises UpstreamError (CREDENTIAL_UNAVAILABLE, ``unsent``) where it cannot be had."""

    def rejected(self, call: Call) -> None:
        """The tool said that it is not good any more (401)."""


class Guards(Protocol):
    """Classifiers of others, asked over HTTP."""

    def ask(self, names: Mapping[str, bool], about: Mapping[str, Any]) -> Awaitable[Mapping[str, Mapping[str, Any]]]:
        """What each of these guardrails says of it: ``flagged``, ``score``, ``labels``, ``detail``, and whether it
        ``answered``. Raises Refused (GUARDRAIL_UNAVAILABLE) where one did not and must: where its name stands for true,
        and the operator has not said otherwise."""


class Tasks(Protocol):
    """Which run is in which task."""

    def enter(self, call: Call) -> tuple[str, float, tuple[str, ...]]:
        """The task of the call's run (empty for none), seconds since it is in it, and the labels that it then has.
        Raises Refused (OUTSIDE_TASK) where the call names another, or one that the run cannot be put in."""


class Coherence(Protocol):
    """What is known of memories that tools keep: how keys stand, and which run has seen what (``coherence/steps.py``).
    The ``async`` ones raise StoreUnavailable where that is shared and cannot be reached."""

    async def glance(self, call: Call, touches: Sequence[Touch]) -> tuple[int, tuple[Glance, ...]]:
        """The edition of the book, for ``Call.edition``, and what the call finds at these keys; all that its run has
        learnt or written before is known by then."""

    async def drift(self, call: Call) -> tuple[tuple[str, str], ...]:
        """Memory and key of all that the call's run has seen, and that does not stand so any more; bounded."""

    async def held(self, call: Call, memories: Collection[str]) -> tuple[tuple[tuple[str, str], Seen], ...]:
        """Memory and key of all in these memories that the call's run has seen, and that still stands so as far as is
        known, with what it has seen of it; bounded."""

    async def claim(self, call: Call, glances: Sequence[Glance], seconds: float) -> None:
        """The call is about to write these keys, all or none; after so long without a word it counts as gone.

        Raises:
            BusyError, MovedError: see ``claimed``. Nothing is claimed then.
        """

    def settle(self, call: Call, glances: Sequence[Glance], change: Change, made: Sequence[Learnt] = ()) -> None:
        """A write has ended: ``change`` has come to stand at all these keys, and at those that its answer names; what
        that tells of each is in ``made``."""

    def release(self, call: Call, glances: Sequence[Glance]) -> None:
        """A write that was claimed has not been made, for certain."""

    def learn(
        self,
        call: Call,
        glances: Sequence[Glance],
        learnt: Sequence[Learnt],
        change: Change,
        mark: Callable[[tuple[str, ...]], object] | None = None,
    ) -> None:
        """The answer of a call tells this; keys that no glance is of were named only by the answer, and count as seen
        where they have not changed since ``Call.edition``. ``mark`` is told the labels of what stands there, as soon as
        they are known."""


class Errand(Struct, frozen=True):
    """A GET of the gateway's own, for what a run has read before: a call that no agent makes and no rule judges."""

    call: Call
    lender: Lender | None = None
    """Credentials of its tool."""


class Revalidation(Protocol):
    """Asks stores again whether what runs have seen still stands."""

    def fresh(self, agent: str, place: tuple[str, str], change: str) -> bool:
        """Whether it was found to stand so, for this agent, just now."""

    def verified(self, agent: str, place: tuple[str, str], change: str) -> None:
        """It has been found to stand so."""

    async def ask(self, errands: Sequence[Errand]) -> Sequence[tuple[Answered, bytes] | None]:
        """What is answered to each, all at once; None where that takes too long, fails, or is too long. Nothing is
        raised."""


class Shelf(Protocol):
    """The embedded shared memory. Each namespace has revisions, one for each change, never used twice, and an
    ``epoch`` that names its present life: another one after it was removed or loaded, and where the store has lost
    what it had. Every read shows one revision as a whole. What has expired is gone exactly at its time, by a revision
    of its own. Durable where the store is: what is written is stored when it is answered.

    All raise StoreUnavailable where the store cannot be reached; a ``commit`` may have been done then. Keys are texts
    that can be encoded as UTF-8, in the order of its bytes; of a namespace that does not exist, a page is empty and
    its epoch "".
    """

    async def commit(
        self,
        namespace: str,
        puts: Sequence[Put],
        by: Provenance,
        limits: ShelfLimits,
        *,
        epoch: str | None = None,
        compares: Sequence[tuple[str, int]] = (),
    ) -> Committed | Mismatch:
        """All of it or nothing, as one revision. Written where each ``Put.expect`` and each of ``compares`` (key,
        revision; 0: no value stands) holds, and, unless all of these are 0, ``epoch`` is the present one (None:
        whichever). Forgets of the past what ``limits`` say. Without ``puts`` it only compares and forgets.

        Raises:
            OverQuota: it would be more than ``limits`` allow.
            ValueError: see ``check_puts``.
        """

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        """What stands under a key, or stood at revision ``at``: one item or none. Raises Forgotten."""

    async def scan(
        self, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: int | None = None
    ) -> Page:
        """What stands under keys that begin so and come after ``after``, or stood at revision ``at``, in order; fewer
        than ``limit`` where values are large. To go on, ask for what comes after the last, at the page's revision.
        Raises Forgotten."""

    async def history(self, namespace: str, key: str, limit: int = 100) -> Page:
        """The versions of a key that are kept, the newest first, removals included."""

    async def changes(self, namespace: str, after: int, limit: int = 100) -> Page:
        """What was written after this revision, in order, removals and expiries included. What was written over since
        may be left out; the newest version of each key never is. A revision is given whole, even beyond ``limit``.
        To go on, ask from the last item's revision where there is ``more``, else from the page's. Raises Forgotten
        where removals since then are not known any more, and from the future; then begin anew from 0, which gives all
        that stands."""

    async def usage(self, namespace: str) -> ShelfUsage:
        """How much it holds."""

    async def namespaces(self) -> Sequence[str]:
        """Those that exist, in order."""

    async def load(self, namespace: str, items: AsyncIterator[Item]) -> Committed:
        """Put these items, by their own times and provenance, in the place of all that the namespace holds, as the
        first revision of a new epoch; at once, when all of them are there. Raises OverQuota: too many namespaces."""

    async def drop(self, namespace: str) -> bool:
        """Remove it with its past. Whether there was one."""


class Standings(Protocol):
    """How approvals stand, for the agents that asked for them."""

    def find(self, ident: str, agent: str) -> Approval | None:
        """The approval with this id, where this agent asked for it."""

    def moved(self, standing: Approval, seconds: float) -> Awaitable[Approval | None]:
        """The approval as soon as it stands otherwise, or after so long."""


class State(Protocol):
    """Where all that outlives a process is kept. One of ``memory:``, ``sqlite:///PATH``, ``redis://...``."""

    vault: Vault | None
    """None: budgets live in this process only."""
    board: Board
    cabinet: Cabinet
    shelf: Shelf
    coherence: Coherence
    """Shared where ``shared``, but for a file: what a process knows of memories it then knows alone."""
    holder: str
    """This replica's name, unlike any other's, and of any earlier process."""
    shared: bool
    """Whether other replicas may use the same store."""
    replicas: int
    """How many live, this one included, as far as is known."""

    async def start(self) -> None:
        """Open it, and read what stands. Raises ConfigError where it cannot be used at all."""

    async def close(self) -> None: ...

    def status(self) -> Mapping[str, object]:
        """For /readyz: where state is kept, and whether it can be reached."""
