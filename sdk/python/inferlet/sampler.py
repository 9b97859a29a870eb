"""How the next token is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from inferlet import _host as host

_U64_MAX = (1 << 64) - 1
_ENGINE_WINDOW_MAX = 4096
_BIAS_MAX = 1e6


class Distribution(NamedTuple):
    """The most probable next tokens, the best first."""

    ids: list[int]
    probabilities: list[float]


Choose = Callable[[Distribution], int]
ChooseByLogits = Callable[[list[float]], int]


@dataclass(frozen=True)
class Penalties:
    """What tokens have to bear that are among the last `window` ones of the text."""

    repetition: float = 1.0
    """Positive logits are divided by it, negative ones multiplied; 1: none."""
    presence: float = 0.0
    """Taken from the logit of each token that was there."""
    frequency: float = 0.0
    """Taken once for each time that it was there."""
    window: int = 64


@dataclass(frozen=True)
class Filters:
    """Which tokens are left to draw from, in this order."""

    temperature: float = 0.0
    """Below 1e-5 the most probable token is taken."""
    top_k: int = 0
    """Keep so many of the most probable ones; 0: all."""
    top_p: float = 1.0
    """Keep the fewest of the most probable ones that together reach it; 1: all."""
    min_p: float = 0.0
    """Keep those that have at least this share of the best one's probability; 0: all."""
    typical_p: float = 1.0
    """Keep the fewest that reach it, those first whose surprise is closest to the entropy; 1: all."""
    xtc_probability: float = 0.0
    """With this probability all go that have `xtc_threshold`, but the least probable of them; 0: never."""
    xtc_threshold: float = 0.1

    def __post_init__(self) -> None:
        checked = {
            "temperature": host.real("temperature", self.temperature, 0, 1e6),
            "top_k": host.whole("top_k", self.top_k),
        }
        for name in ("top_p", "min_p", "typical_p", "xtc_probability", "xtc_threshold"):
            checked[name] = host.real(name, getattr(self, name), 0, 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __and__(self, other: Filters) -> Filters:
        """What both leave, by the temperature of the first."""
        xtc = self if self.xtc_probability > 0 else other
        return Filters(
            self.temperature,
            min((k for k in (self.top_k, other.top_k) if k), default=0),
            min(self.top_p, other.top_p),
            max(self.min_p, other.min_p),
            min(self.typical_p, other.typical_p),
            xtc.xtc_probability,
            xtc.xtc_threshold,
        )


@dataclass(frozen=True)
class Sampler:
    """How the next token is chosen; `Sampler.greedy()` and so on make one.

    What begins with `with_` gives a sampler that does that as well, and `a & b` one that filters as
    both do: `Sampler.top_p(0.7, 0.9).with_penalties(repetition=1.1).with_seed(7)`.
    """

    filters: Filters = Filters()
    seed: int | None = None
    penalties: Penalties | None = None
    bias: tuple[tuple[int, float], ...] = ()
    allowed: frozenset[int] | None = None
    forbidden: frozenset[int] = frozenset()
    surprise: tuple[float, float] | None = None
    choose: Choose | None = None
    choose_by_logits: ChooseByLogits | None = None

    @staticmethod
    def greedy() -> Sampler:
        """The most probable token."""
        return Sampler()

    @staticmethod
    def multinomial(temperature: float) -> Sampler:
        """Any token, by its probability."""
        return Sampler(Filters(temperature))

    @staticmethod
    def top_p(temperature: float, top_p: float) -> Sampler:
        """Of the fewest tokens that together have this probability."""
        return Sampler(Filters(temperature, top_p=top_p))

    @staticmethod
    def top_k(temperature: float, top_k: int) -> Sampler:
        """Of so many of the most probable tokens."""
        return Sampler(Filters(temperature, top_k=top_k))

    @staticmethod
    def min_p(temperature: float, min_p: float) -> Sampler:
        """Of those that have at least this share of the best one's probability."""
        return Sampler(Filters(temperature, min_p=min_p))

    @staticmethod
    def top_k_top_p(temperature: float, top_k: int, top_p: float) -> Sampler:
        """By both."""
        return Sampler(Filters(temperature, top_k=top_k, top_p=top_p))

    @staticmethod
    def typical(temperature: float, typical_p: float) -> Sampler:
        """Of those whose surprise is closest to the entropy."""
        return Sampler(Filters(temperature, typical_p=typical_p))

    @staticmethod
    def mirostat(temperature: float, surprise: float = 5.0, rate: float = 0.1) -> Sampler:
        """Keeps the surprise of the text near so many bits a token (mirostat 2), in the engine's own loop."""
        pair = host.real("surprise", surprise, 0, 100), host.real("rate", rate, 0, 1)
        return Sampler(Filters(temperature), surprise=pair)

    @staticmethod
    def custom(choose: Choose, temperature: float = 1.0, top_k: int = 32) -> Sampler:
        """`choose` gets the `top_k` best tokens of softmax(logits / temperature) and returns an id."""
        _check_function("custom", choose)
        return Sampler(Filters(temperature, top_k=top_k), choose=choose)

    @staticmethod
    def over_logits(choose: ChooseByLogits) -> Sampler:
        """`choose` gets the logits by token, as the model gave them, and returns an id."""
        _check_function("over_logits", choose)
        return Sampler(choose_by_logits=choose)

    def __and__(self, other: Sampler) -> Sampler:
        if not isinstance(other, Sampler):
            return NotImplemented
        for one in (self, other):
            if one.choose or one.choose_by_logits or one.surprise:
                return one
        allowed = [one.allowed for one in (self, other) if one.allowed is not None]
        return Sampler(
            self.filters & other.filters,
            self.seed if self.seed is not None else other.seed,
            self.penalties or other.penalties,
            self.with_bias(dict(other.bias)).bias,
            frozenset.intersection(*allowed) if allowed else None,
            self.forbidden | other.forbidden,
        )

    def with_seed(self, seed: int) -> Sampler:
        """The same text for the same seed, whatever else runs."""
        return replace(self, seed=host.whole("seed", seed, 0, _U64_MAX))

    def with_penalties(
        self, *, repetition: float = 1.0, presence: float = 0.0, frequency: float = 0.0, window: int = 64
    ) -> Sampler:
        """Penalises the last `window` tokens of the context."""
        penalties = Penalties(
            host.real("repetition", repetition, 1e-3, 1e3),
            host.real("presence", presence, -_BIAS_MAX, _BIAS_MAX),
            host.real("frequency", frequency, -_BIAS_MAX, _BIAS_MAX),
            host.whole("window", window, 1, 1 << 20),
        )
        return replace(self, penalties=penalties)

    def with_bias(self, bias: Mapping[int, float]) -> Sampler:
        """Adds to the logits of tokens."""
        if not isinstance(bias, Mapping):
            raise TypeError(f"[bias] got {type(bias).__name__}, expected a dict of token ids and values")
        sums = dict(self.bias)
        for token, value in bias.items():
            index = host.whole("bias token", token)
            sums[index] = sums.get(index, 0.0) + host.real("bias", value, -_BIAS_MAX, _BIAS_MAX)
        return replace(self, bias=tuple(sums.items()))

    def with_allowed(self, tokens: Iterable[int]) -> Sampler:
        """Only these tokens are chosen; of several calls what all of them leave."""
        given = frozenset(host.tokens("allowed", tokens))
        return replace(self, allowed=given if self.allowed is None else self.allowed & given)

    def with_forbidden(self, tokens: Iterable[int]) -> Sampler:
        """None of these is chosen."""
        return replace(self, forbidden=self.forbidden | frozenset(host.tokens("forbidden", tokens)))

    def with_xtc(self, probability: float, threshold: float = 0.1) -> Sampler:
        """With this probability all tokens but the least probable of those that have `threshold` go."""
        return replace(self, filters=replace(self.filters, xtc_probability=probability, xtc_threshold=threshold))

    def for_engine(self, surprise_max: float | None = None) -> host.decode.Sampling | None:
        """The same in the words of the engine's own loop; none where a function of the program chooses.

        `surprise_max`: what mirostat came to in an earlier run of the same text.
        """
        if self.choose or self.choose_by_logits or self.allowed is not None or self.forbidden:
            return None
        penalties = None
        if (by := self.penalties) is not None:
            if by.window > _ENGINE_WINDOW_MAX:
                return None
            counted = host.decode.Counted.WINDOW
            penalties = host.decode.Penalties(by.repetition, by.window, by.presence, by.frequency, counted)
        mirostat = None if self.surprise is None else host.decode.Mirostat(*self.surprise, surprise_max)
        how = self.filters
        return host.decode.Sampling(
            how.temperature, how.top_k, how.top_p, how.min_p, how.typical_p, how.xtc_probability,
            how.xtc_threshold, penalties, None, mirostat, list(self.bias), self.seed,
        )  # fmt: skip

    def request(
        self,
        forward_pass: host.forward.ForwardPass,
        index: int,
        before: list[int],
        position: int,
        *,
        details: bool = False,
    ) -> None:
        """Asks a pass for what this sampler needs at an input token; `before` is all the text,
        `details` the log-probability of what is drawn."""
        where, logits, how = [index], host.logits, self.filters
        if self.surprise is not None:
            raise host.InferletError("[sampler] got mirostat in a step of its own, expected it in generate()")
        if self.choose_by_logits is not None:
            host.call(logits.output_logits, forward_pass, where, 0)
            return
        if (by := self.penalties) is not None:
            penalty = logits.Penalty(by.repetition, by.presence, by.frequency)
            host.call(logits.penalize, forward_pass, where, before[-by.window :], penalty)
        if self.bias:
            ids, values = [one for one, _ in self.bias], [value for _, value in self.bias]
            host.call(logits.bias, forward_pass, where, ids, values)
        if self.allowed is not None:
            host.call(logits.allow, forward_pass, where, sorted(self.allowed))
        if self.forbidden:
            host.call(logits.forbid, forward_pass, where, sorted(self.forbidden))
        if self.choose is not None:
            host.forward.output_distributions(forward_pass, where, how.temperature, how.top_k or None)
            return
        draw = None if self.seed is None else logits.SeededDraw(self.seed, position)
        sampling = logits.Sampling(
            how.temperature, how.top_k, how.top_p, how.min_p, how.typical_p, how.xtc_probability,
            how.xtc_threshold, 0.0, draw, details,
        )  # fmt: skip
        host.call(logits.output_tokens, forward_pass, where, sampling)

    def take(self, result: host.forward.ForwardPassResult) -> tuple[int, float | None]:
        """The token of a result that is ready, and its log-probability where the model chose."""
        if self.choose_by_logits is not None:
            rows = host.logits.get_logits(result) or []
            return host.whole("over_logits", self.choose_by_logits(rows[0][1])), None
        if self.choose is not None:
            found = result.get_distributions() or []
            return host.whole("custom", self.choose(Distribution(*found[0]))), None
        drawn = result.get_tokens() or []
        details = host.logits.get_token_details(result) or []
        if not drawn:
            raise host.InferletError("[sampler] the pass gave no token")
        return drawn[0], details[0].log_probability if details else None

    def take_all(self, result: host.forward.ForwardPassResult) -> list[int]:
        """The tokens of all rows that were asked for, of a result that is ready."""
        if self.choose or self.choose_by_logits:
            return [self.take(result)[0]]
        drawn = result.get_tokens() or []
        if not drawn:
            raise host.InferletError("[sampler] the pass gave no token")
        return list(drawn)


def _check_function(what: str, value: object) -> None:
    if not callable(value):
        raise TypeError(f"[{what}] got {type(value).__name__}, expected a function")
