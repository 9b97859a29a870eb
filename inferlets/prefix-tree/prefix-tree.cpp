// Answers many prompts that begin alike. The prompts are the paths of a tree from its root to its
// leaves; what several have in common is computed once, and all leaves are answered at once.
//
//   --tree              JSON (required): a node is {"text": "...", "children": [nodes]}, a leaf
//                       has no children; --tree @ takes the first message of the client instead
//   --max-tokens, -n    tokens of one answer at most (default 32)
//
// Answers are greedy continuations of the paths' raw text. Returns a JSON array of them, in the
// order of the leaves, and says on stderr how many tokens were computed for the prompts, and how
// many there would be without the tree. A node's text is tokenized for itself.
// Whole pages are shared: a fork computes again what its parent has in the last one.
#include <pie/inferlet.h>

#include <algorithm>

namespace {

using inferlet::Context;
using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
using inferlet::Task;

/// What the tree becomes: contexts that wait for their answers.
struct Leaves {
  std::vector<Context> contexts;
  size_t computed = 0;  ///< tokens, those included that wait for the first step of an answer
  size_t apart = 0;     ///< tokens, if every leaf computed its path
};

/// Adds `node` and what is below it to a context that is at the node's beginning. `pending`: tokens
/// of the context that are not computed.
Result<void> grow(Context context, size_t pending, const Json& node, Leaves& leaves) {
  const Json* text = node.find("text");
  if (text == nullptr || text->string() == nullptr)
    return fail("[--tree] got a node " + node.text() + ", expected one with a string \"text\"");
  const size_t before = context.size();
  if (!text->string()->empty()) {
    if (auto filled = context.fill(*text->string()); !filled) return filled;
  }
  pending += context.size() - before;
  const Json* children = node.find("children");
  if (children != nullptr && children->array() == nullptr)
    return fail("[--tree] got " + children->text() + " as children, expected an array");
  if (children == nullptr || children->array()->empty()) {
    if (context.size() == 0) return fail("[--tree] got a path without text");
    leaves.computed += std::max<size_t>(pending, 1);  // an answer needs the last token's row
    leaves.apart += context.size();
    leaves.contexts.push_back(std::move(context));
    return {};
  }

  // Does not wait: what forks ask for comes behind it.
  if (auto flushed = context.flush(); !flushed) return fail(flushed.error());
  leaves.computed += pending;
  const Json::Array& all = *children->array();
  const size_t length = context.size();
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    // A fork shares the full pages before the last token, and computes what is behind them again.
    const size_t again = length == 0 ? 0 : (length - 1) % context.model().kv_page_size() + 1;
    if (auto grown = grow(context.fork(), again, all[i], leaves); !grown) return grown;
  }
  return grow(std::move(context), 0, all.back(), leaves);  // the last child needs no fork
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string tree;
  int64_t max_tokens = 32;
  inferlet::ArgumentParser parser;
  parser.option("tree", 0, &tree).option("max-tokens", 'n', &max_tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());
  if (tree == "@") tree = co_await inferlet::receive();
  const auto root = Json::parse(tree);
  if (!root) co_return fail("[--tree] " + root.error());
  if (max_tokens < 1)
    co_return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");

  auto context = Context::create();
  if (!context) co_return fail(context.error());
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(max_tokens)) |
                    inferlet::Stop::end_of_turn(context->model());
  Leaves leaves;
  if (auto grown = grow(std::move(*context), 0, *root, leaves); !grown)
    co_return fail(grown.error());
  std::vector<Task<Result<std::string>>> tasks;
  for (Context& leaf : leaves.contexts)
    tasks.push_back(leaf.generate(inferlet::Sampler::greedy(), stop));
  const auto answers = co_await when_all(std::move(tasks));

  Json::Array texts;
  for (const auto& answer : answers) {
    if (!answer) co_return fail(answer.error());
    texts.emplace_back(*answer);
  }
  inferlet::print_error("[tokens] " + std::to_string(leaves.computed) + " computed, " +
                        std::to_string(leaves.apart) + " without the tree\n");
  co_return Json(std::move(texts)).text();
}
