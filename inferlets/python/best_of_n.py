"""The best of several answers, by the mean log-probability that the model gives them.

The prompt is computed once: each answer is drawn on a fork, all at once. The answers are printed as
JSON lines; the best one is returned.
"""

import argparse
import asyncio
import json
import statistics

from inferlet import Context, Sampler


async def draw(context: Context, sampler: Sampler, max_tokens: int) -> tuple[float, str]:
    """One answer and its score."""
    answer = context.generate(sampler, max_tokens=max_tokens, log_probabilities=True)
    text = await answer
    return statistics.fmean(answer.log_probabilities), text


async def main(args: list[str]) -> str:
    """Draws `--count` answers to `--prompt`."""
    parser = argparse.ArgumentParser("best_of_n")
    parser.add_argument("-p", "--prompt", required=True)
    parser.add_argument("-c", "--count", type=int, default=8)
    parser.add_argument("-n", "--max-tokens", type=int, default=64)
    parser.add_argument("-t", "--temperature", type=float, default=0.8)
    parser.add_argument("-s", "--seed", type=int, default=1)
    options = parser.parse_args(args)

    context = Context()
    context.fill_user(options.prompt)
    await context.flush()
    samplers = [Sampler.multinomial(options.temperature).with_seed(options.seed + i) for i in range(options.count)]
    answers = await asyncio.gather(*(draw(context.fork(), one, options.max_tokens) for one in samplers))
    for score, text in answers:
        print(json.dumps({"mean_log_probability": score, "text": text}))
    return max(answers)[1]
