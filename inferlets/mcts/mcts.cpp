// Monte Carlo tree search over texts: looks for the steps after which a goal is most probable. A
// node is a fork of its parent with some tokens more; where the search goes is decided by what it
// has found so far (UCT).
//
//   --prompt, -p        how the text begins (required)
//   --goal, -g          the text that is to follow in the end (required)
//   --iterations, -i    nodes to try (default 24)
//   --depth, -d         steps at most (default 4)
//   --branch, -b        ways to go on from a node (default 3)
//   --step, -n          tokens of a step (default 8)
//   --explore, -c       how much is tried out beside the best way (default 0.5)
//   --seed, -s          the same search again (default 1)
//
// A node's reward is the mean probability of the goal's tokens behind it. Returns JSON: the `text`
// of the best node, its `reward`, and the `visits` and `reward` of the first steps.
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>
#include <memory>

using namespace inferlet;

namespace {

struct Node {
  Context context;
  Node* parent = nullptr;
  int64_t depth = 0;
  double reward = 0.0;  ///< of the node itself
  double total = 0.0;   ///< of all that is below it, itself included
  int64_t visits = 0;
  std::vector<std::unique_ptr<Node>> children;
};

struct Search {
  int64_t depth = 4, branch = 3, step = 8, seed = 1;
  double explore = 0.5;
  std::vector<uint32_t> goal;
  Node* best = nullptr;

  /// From the root down by UCT, to a node that has room for a child.
  Node& selected(Node& root) const {
    Node* at = &root;
    while (std::cmp_equal(at->children.size(), branch)) {
      const double log = std::log(static_cast<double>(at->visits));
      const auto bound = [&](const std::unique_ptr<Node>& child) {
        const auto visits = static_cast<double>(child->visits);
        return child->total / visits + explore * std::sqrt(log / visits);
      };
      at = std::ranges::max_element(at->children, {}, bound)->get();
    }
    return *at;
  }

  /// Adds a child, or tries the node itself again where it may have none.
  Task<Result<void>> visited(Node& from) {
    Node* node = &from;
    if (from.depth < depth) {
      from.children.push_back(
          std::make_unique<Node>(Node{.context = from.context.fork(), .parent = &from}));
      node = from.children.back().get();
      node->depth = from.depth + 1;
      co_await ok(node->context.generate(
          Sampler::top_p(1.0F, 0.95F).with_seed(static_cast<uint64_t>(seed++)),
          Stop::max_len(static_cast<size_t>(step))));
      const auto logs = co_await ok(node->context.log_probabilities(goal));
      for (const float one : logs)
        node->reward += std::exp(static_cast<double>(one)) / static_cast<double>(logs.size());
      if (best == nullptr || node->reward > best->reward) best = node;
    }
    const double reward = node->reward;
    for (; node != nullptr; node = node->parent) {
      ++node->visits;
      node->total += reward;
    }
    co_return Result<void>();
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt, goal;
  int64_t iterations = 24;
  Search search;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .text("goal", 'g', &goal)
      .number("iterations", 'i', &iterations, 1, 10'000)
      .number("depth", 'd', &search.depth, 1, 64)
      .number("branch", 'b', &search.branch, 1, 64)
      .number("step", 'n', &search.step, 1, 256)
      .option("explore", 'c', &search.explore)
      .option("seed", 's', &search.seed);
  co_await ok(parser.parse(arguments));

  Node root{.context = co_await ok(Context::create())};
  co_await ok(root.context.fill(prompt));
  co_await ok(root.context.flush());
  search.goal = root.context.tokenizer().tokenize(goal);
  for (int64_t i = 0; i < iterations; ++i) co_await ok(search.visited(search.selected(root)));

  std::vector<uint32_t> tokens = search.best->context.tokens();
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(root.context.size()));
  Json::Array first;
  for (const auto& child : root.children)
    first.emplace_back(Json::Object{{"visits", child->visits},
                                    {"reward", child->total / static_cast<double>(child->visits)}});
  co_return Json(Json::Object{{"text", root.context.tokenizer().detokenize(tokens)},
                              {"reward", search.best->reward},
                              {"first", std::move(first)}})
      .text();
}
