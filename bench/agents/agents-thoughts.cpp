// Tree of thought: every thought is judged, and thought on from in several ways. The workload
// `tree_of_thought`.
//
//   --shared, --shared-text, --prompt, --text   the problem (unit.h)
//   --depth, --branch                           of the tree
//   --ask                                       tokens of what is asked before a thought or
//   judgement
//   --tokens, --judge                           of a thought, of a judgement
#include "unit.h"

using namespace bench;

namespace {

struct Tree {
  Beginning beginning;
  int64_t depth = 3, branch = 3, ask = 8, tokens = 32, judge = 8;
  Output output;

  /// A number that the judgement gives.
  Task<Result<int64_t>> judged(Context context, int64_t index) {
    context.fill_tokens(beginning.text_of(0, ask));
    const auto seed = beginning.number(500 + index);
    const auto judgement = co_await write(context, judge, drawn(seed), output);
    if (!judgement) co_return fail(judgement.error());
    co_return static_cast<int64_t>(judgement->front() % 10);
  }

  /// The best sum of judgements on a path from thought `index` on.
  Task<Result<int64_t>> think(Context context, int64_t index, int64_t level) {
    context.fill_tokens(beginning.text_of(level, ask));
    const auto seed = beginning.number(index);
    if (const auto thought = co_await write(context, tokens, drawn(seed), output); !thought)
      co_return fail(thought.error());
    std::vector<Task<Result<int64_t>>> tasks;
    tasks.push_back(judged(context.fork(), index));
    if (level < depth) add_thoughts(tasks, context, index, level + 1);
    const auto scores = co_await when_all(std::move(tasks));
    int64_t best = 0;
    for (const auto& score : scores) {
      if (!score) co_return fail(score.error());
      if (&score != scores.data()) best = std::max(best, *score);
    }
    co_return *scores.front() + best;
  }

  void add_thoughts(std::vector<Task<Result<int64_t>>>& tasks, const Context& context,
                    int64_t index, int64_t level) {
    for (int64_t child = index * branch + 1; child <= (index + 1) * branch; ++child)
      tasks.push_back(think(context.fork(), child, level));
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Tree tree;
  inferlet::ArgumentParser parser;
  tree.beginning.add_options(parser);
  parser.option("depth", 0, &tree.depth).option("branch", 0, &tree.branch);
  parser.option("ask", 0, &tree.ask).option("tokens", 0, &tree.tokens);
  parser.option("judge", 0, &tree.judge);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto root = tree.beginning.read();
  if (!root) co_return fail(root.error());
  co_await root->flush();
  std::vector<Task<Result<int64_t>>> thoughts;
  tree.add_thoughts(thoughts, *root, 0, 1);
  for (const auto& score : co_await when_all(std::move(thoughts)))
    if (!score) co_return fail(score.error());
  co_return tree.output.json();
}
