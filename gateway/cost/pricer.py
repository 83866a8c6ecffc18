"""What the pipeline asks of prices: may this model be called, and what did this call cost."""

from __future__ import annotations

from math import ceil
from typing import Literal

from gateway.cost.bounds import MICRO, dearest
from gateway.cost.calls import ANSWER, CallPrice, Priced
from gateway.cost.rates import NAME_CAP, PriceBook, Rates, Terms
from gateway.model import Call, Outcome, Reason, Refusal, Request, Usage

Unknown = Literal["allow", "refuse"] | Rates
"""What becomes of calls to models without a price: they go through unpriced, they are refused, or these rates count."""

TERM_CAP = 32
"""Characters of a service tier's name; no longer one is looked up."""

_UNANSWERED = Outcome(200)
"""Stands for an outcome where a price does not look at it."""

_UNREACHED = 502
"""What an agent gets where the tool cannot be reached, or breaks off before the head of its answer."""


class Pricer:
    """Prices of one tool.

    ``provider`` is the provider of an LLM API (openai, anthropic, google, as in genai-prices), or empty for tools that
    are no models; ``book`` then has its rates. ``call_price`` is what each call costs besides.
    """

    def __init__(
        self,
        provider: str = "",
        book: PriceBook | None = None,
        unknown: Unknown = "allow",
        call_price: CallPrice | None = None,
    ) -> None:
        self._provider, self._book, self._unknown, self._call_price = provider, book, unknown, call_price
        self.references = call_price.references if call_price is not None else frozenset[str]()
        """The variables that prices read, as in CallPrice."""
        self._foreseen = self.references.isdisjoint(ANSWER)

    @property
    def refuses(self) -> bool:
        """Whether ``admits`` may refuse a call."""
        return self._unknown == "refuse" and self._book is not None

    def admits(self, call: Call) -> Refusal | None:
        """A refusal where the call asks a model without a price, and such models are to be refused."""
        if self._unknown != "refuse" or self._book is None or "llm.model" not in call.facts:
            return None
        model = _asked(call)
        if self._book.rates(self._provider, model) is not None:
            return None
        return Refusal(
            Reason.UNPRICED,
            403,
            f"no price is known for model {_shown(model)} of provider {self._provider}; add it under prices.models",
            "prices",
            advice="ask for a model that has a price, or have the platform's operators add one for this model",
        )

    def bound(self, call: Call) -> int | None:
        """Micro-dollars that a call can cost at most, rounded up; None where it asks a model that has no price, or the
        price of calls fails. A price of calls that depends on their results counts as one, since it is not known."""
        total = 0
        if call.extent is not None:
            rates = self.rates(call)
            if not rates:
                return None
            total = dearest(call.extent, rates)
        elif self._book is not None and not asks_nothing(call.request):
            return None
        if self._call_price is None or call.implied:
            return total
        if not self._foreseen:
            return total + 1
        usd = self._call_price.price(call, _UNANSWERED).usd
        return None if usd is None else total + ceil(round(usd * MICRO, 6))

    def rates(self, call: Call) -> tuple[Rates, ...]:
        """The rates of every model that may answer the call; none where one of them has no price."""
        if self._book is None:
            return ()
        found: list[Rates] = []
        for model in dict.fromkeys((_asked(call), *(call.extent.models if call.extent is not None else ()))):
            rates = self._book.rates(self._provider, model, "", _terms(call))
            if rates is None and not isinstance(self._unknown, Rates):
                return ()
            found.append(rates or self._unknown)  # type: ignore[arg-type]
        return tuple(found)

    def cost(self, call: Call, outcome: Outcome) -> float | None:
        """US dollars for a permitted call that has ended, or None where nothing has a price."""
        return self.price(call, outcome).usd

    def price(self, call: Call, outcome: Outcome) -> Priced:
        """What a permitted call that has ended cost, by tokens and by the price of calls; notes for the record."""
        usage = outcome.found.usage
        if usage is None and self._call_price is not None and not call.parts and _charged(call, outcome):
            return self._call_price.price(call, outcome)
        by_tokens = self.tokens(call, usage) if usage is not None else Priced()
        if self._call_price is None:
            return by_tokens
        return _sum([by_tokens, *[self._call_price.price(each, outcome) for each in _charged(call, outcome)]])

    def tokens(self, call: Call, usage: Usage) -> Priced:
        """What the tokens of a call to a model cost: also while its answer is still on its way."""
        if self._book is None:
            return Priced()
        asked = _asked(call)
        rates = self._book.rates(self._provider, usage.model, asked, _terms(call))
        if rates is not None:
            return Priced(rates.cost(usage))
        model = _shown(usage.model or asked)
        if isinstance(self._unknown, Rates):
            return Priced(self._unknown.cost(usage), (f"cost estimated: no price is known for model {model}",))
        return Priced(None, (f"no cost: no price is known for model {model}",))


def asks_nothing(request: Request) -> bool:
    """Whether a request to the API of models is one of those that only look, or delete: whatever it is about, no model
    is asked. An upgrade may be for a WebSocket, by which models are asked too."""
    return request.method in _LOOKING and b"upgrade" not in request.lookup


_LOOKING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


def _charged(call: Call, outcome: Outcome) -> tuple[Call, ...]:
    """The calls to charge for: each of a batch; none that only keep a session going, nor where the tool was not there.

    An agent that leaves early, and a tool that answers too late, are charged: the work may have been done.
    """
    if outcome.upstream == 0 and outcome.status == _UNREACHED:
        return ()
    if not call.parts:
        return () if call.implied else (call,)
    return tuple([each for each in call.parts if not each.implied])


def _sum(prices: list[Priced]) -> Priced:
    known = [price.usd for price in prices if price.usd is not None]
    return Priced(sum(known) if known else None, tuple(note for price in prices for note in price.notes))


def _asked(call: Call) -> str:
    model = call.facts.get("llm.model", "")
    return model if isinstance(model, str) else ""


_TERMS = {"service_tier": "service_tier", "serviceTier": "service_tier", "speed": "speed"}
"""Members of a request's body by which a faster or slower, dearer or cheaper service is asked for (OpenAI, Gemini,
Anthropic)."""


def _terms(call: Call) -> Terms:
    asked = [(term, call.args.get(member)) for member, term in _TERMS.items()]
    return tuple([(term, value.lower()) for term, value in asked if isinstance(value, str) and len(value) <= TERM_CAP])


def _shown(model: str) -> str:
    return repr(model if len(model) <= NAME_CAP else model[:NAME_CAP] + "...")
