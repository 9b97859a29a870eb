// Many prompts that begin alike, as the paths of a tree; all leaves are answered at once. The
// workload `prefix_tree`.
//
//   --prompt, --text      tokens of an edge, and the number of the first (unit.h)
//   --depth, --fan-out    of the tree
//   --tokens              to write at each leaf
#include "unit.h"

using namespace bench;

namespace {

struct Tree {
  Beginning beginning;
  int64_t depth = 3, fan_out = 4, tokens = 32;
  Output output;
  std::vector<Context> leaves;

  /// Adds what is below node `index`, whose children are `index * fan_out + 1` and so on.
  Result<void> grow(Context context, int64_t index, int64_t level) {
    if (level == depth) {
      leaves.push_back(std::move(context));
      return {};
    }
    if (auto flushed = context.flush(); !flushed) return fail(flushed.error());
    for (int64_t child = index * fan_out + 1; child <= (index + 1) * fan_out; ++child) {
      Context below = context.fork();
      below.fill_tokens(beginning.text_of(child, beginning.prompt));
      if (auto grown = grow(std::move(below), child, level + 1); !grown) return grown;
    }
    return {};
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Tree tree;
  inferlet::ArgumentParser parser;
  tree.beginning.add_options(parser);
  parser.option("depth", 0, &tree.depth).option("fan-out", 0, &tree.fan_out);
  parser.option("tokens", 0, &tree.tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto root = Context::create();
  if (!root) co_return fail(root.error());
  if (auto grown = tree.grow(std::move(*root), 0, 0); !grown) co_return fail(grown.error());
  std::vector<Task<Result<Tokens>>> answers;
  for (Context& leaf : tree.leaves) {
    const auto seed = tree.beginning.number(static_cast<int64_t>(answers.size()));
    answers.push_back(write(leaf, tree.tokens, drawn(seed), tree.output));
  }
  for (const auto& answer : co_await when_all(std::move(answers)))
    if (!answer) co_return fail(answer.error());
  co_return tree.output.json();
}
