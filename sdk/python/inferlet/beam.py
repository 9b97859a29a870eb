"""Beam search: the most probable text instead of the most probable next token."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from inferlet import _host as host
from inferlet.context import Context
from inferlet.sampler import Distribution
from inferlet.stop import Stop


@dataclass(frozen=True)
class BeamAnswer:
    """The best text that was found."""

    text: str
    tokens: list[int]
    """Without the sequence that ends it."""
    log_probability: float
    """Of all generated tokens, the end included."""


@dataclass
class _Beam:
    context: Context
    tokens: list[int]
    score: float


@dataclass(frozen=True)
class _Candidate:
    beam: _Beam
    token: int
    score: float


async def beam_search(start: Context, width: int, stop: Stop) -> BeamAnswer:
    """The most probable of the `width` continuations of `start` that were kept at every length, until `stop`.

    The beams of one length run in one batch and share their full pages. `start` stays as it is.
    """
    count = host.whole("width", width, 1, 1024)
    if not isinstance(stop, Stop):
        raise TypeError(f"[stop] got {type(stop).__name__}, expected Stop")
    beams = [_Beam(start.fork(), [], 0.0)]
    best = BeamAnswer("", [], 0.0) if stop.check([]).stop else None
    try:
        while best is None or (beams and beams[0].score > best.log_probability):
            next_ones = await asyncio.gather(*(beam.context.next_distribution(1.0, count) for beam in beams))
            candidates = _candidates(beams, next_ones)
            best, chosen = _choose(candidates, count, stop, best)
            if not chosen and best is None:
                raise host.InferletError("[beam search] the model gave no token to go on with")
            beams = _grow(beams, chosen)
    finally:
        for beam in beams:
            beam.context.close()
    return BeamAnswer(start.model.tokenizer.detokenize(best.tokens), best.tokens, best.log_probability)


def _candidates(beams: list[_Beam], next_ones: list[Distribution]) -> list[_Candidate]:
    """The continuations of all beams by one token, the best first."""
    found = [
        _Candidate(beam, token, beam.score + math.log(probability))
        for beam, (ids, probabilities) in zip(beams, next_ones, strict=True)
        for token, probability in zip(ids, probabilities, strict=True)
        if probability > 0
    ]
    return sorted(found, key=lambda one: -one.score)


def _choose(
    candidates: list[_Candidate], width: int, stop: Stop, best: BeamAnswer | None
) -> tuple[BeamAnswer | None, list[_Candidate]]:
    """The `width` best that go on; one that ends is the best answer if it is better."""
    chosen: list[_Candidate] = []
    for candidate in candidates:
        if len(chosen) == width:
            break
        tokens = [*candidate.beam.tokens, candidate.token]
        verdict = stop.check(tokens)
        if not verdict.stop:
            chosen.append(candidate)
        elif best is None or best.log_probability < candidate.score:
            best = BeamAnswer("", tokens[: len(tokens) - verdict.withheld], candidate.score)
    return best, chosen


def _grow(beams: list[_Beam], chosen: list[_Candidate]) -> list[_Beam]:
    """The beams of the next length; those that nobody goes on with are closed."""
    kept = []
    for index, one in enumerate(chosen):
        # The last child takes the parent's context over; a fork would compute its last page again.
        is_last = all(later.beam is not one.beam for later in chosen[index + 1 :])
        context = one.beam.context if is_last else one.beam.context.fork()
        context.fill_tokens([one.token])
        kept.append(_Beam(context, [*one.beam.tokens, one.token], one.score))
    for beam in beams:
        if all(one.beam is not beam for one in chosen):
            beam.context.close()
    return kept
