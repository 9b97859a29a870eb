// Thinks in several directions, and follows the promising ones: each thought is a fork of the one
// before it, the model itself judges it, and the best few of a level go on.
//
//   --prompt, -p        the question (required)
//   --depth, -d         thoughts one after the other (default 3)
//   --branch, -b        thoughts that follow each one (default 3)
//   --keep, -k          thoughts of a level that go on (default 2)
//   --max-tokens, -n    tokens of one thought at most (default 24)
//   --seed, -s          the same tree again (default 1)
//
// A level's thoughts are written in one batch, and judged in one. Returns JSON: every thought of
// the tree (`id`, `parent`, `text`, `score`: the probability of "yes"), and the `best` of the last
// level with its whole `path`.
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>

using namespace inferlet;

namespace {

struct Thought {
  Context context;
  std::string text;
  int64_t parent = -1;
  double score = 0.0;
};

/// How likely the model says yes rather than no.
Task<Result<double>> judged(Context context) {
  context.fill_user("Is that a good next step? Answer yes or no.");
  co_await ok(context.open_answer());
  const std::vector<float> logits = co_await ok(context.next_logits());
  const auto of = [&](const char* word) {
    return static_cast<double>(logits[context.tokenizer().tokenize(word).front()]);
  };
  co_return 1.0 / (1.0 + std::exp(of("No") - of("Yes")));
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t depth = 3, branch = 3, keep = 2, max_tokens = 24, seed = 1;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("depth", 'd', &depth, 1, 16)
      .number("branch", 'b', &branch, 1, 16)
      .number("keep", 'k', &keep, 1, 16)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context root = co_await ok(Context::create());
  root.fill_user(prompt + "\nThink step by step, one short sentence at a time.");
  co_await ok(root.flush());
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(root.model());
  std::vector<Thought> all;
  std::vector<int64_t> level = {-1};  // by their places in `all`; -1: the root
  for (int64_t i = 0; i < depth; ++i) {
    std::vector<Thought> next;
    for (const int64_t parent : level) {
      for (int64_t j = 0; j < branch; ++j) {
        Context& from = parent < 0 ? root : all[static_cast<size_t>(parent)].context;
        next.push_back({from.fork(), "", parent});
        if (parent >= 0) next.back().context.fill_user("Go on with the next step.");
      }
    }
    std::vector<Task<Result<std::string>>> writing;
    for (Thought& thought : next)
      writing.push_back(thought.context.generate(
          Sampler::top_p(1.0F, 0.95F).with_seed(static_cast<uint64_t>(seed++)), stop));
    const auto texts = co_await ok(co_await when_all(std::move(writing)));
    std::vector<Task<Result<double>>> judging;
    for (Thought& thought : next) {
      co_await ok(thought.context.flush());  // for the judge, and for who follows
      judging.push_back(judged(thought.context.fork()));
    }
    const auto scores = co_await ok(co_await when_all(std::move(judging)));
    level.clear();
    for (size_t k = 0; k < next.size(); ++k) {
      next[k].text = texts[k];
      next[k].score = scores[k];
      level.push_back(static_cast<int64_t>(all.size()));
      all.push_back(std::move(next[k]));
    }
    const auto score = [&](int64_t id) { return all[static_cast<size_t>(id)].score; };
    std::ranges::stable_sort(level, std::greater(), score);
    level.resize(std::min(level.size(), static_cast<size_t>(keep)));
  }

  Json::Array thoughts, path;
  for (const Thought& one : all)
    thoughts.emplace_back(Json::Object{{"id", static_cast<int64_t>(thoughts.size())},
                                       {"parent", one.parent},
                                       {"text", one.text},
                                       {"score", one.score}});
  for (int64_t id = level.front(); id >= 0; id = all[static_cast<size_t>(id)].parent)
    path.insert(path.begin(), Json(all[static_cast<size_t>(id)].text));
  co_return Json(Json::Object{{"thoughts", std::move(thoughts)},
                              {"best", level.front()},
                              {"path", std::move(path)}})
      .text();
}
