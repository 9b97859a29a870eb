// A drafter of one's own: guesses what comes by what followed the same two tokens in texts that are
// at hand, as a tree of alternatives, and the model checks the whole tree in one pass. What was
// guessed right costs nothing; the answer is as without.
//
//   --prompt, -p        the user turn (required)
//   --source, -s        a text to guess from, besides the prompt and the answer
//   --nodes             tokens of a draft at most (default 12)
//   --max-tokens, -n    tokens of the answer at most (default 64)
//   --plain             token by token, to compare
//
// Returns the answer; says on stderr in how many passes it came.
#include <pie/inferlet.h>

#include <algorithm>
#include <deque>
#include <map>

using namespace inferlet;

namespace {

/// What followed each pair of tokens, and how often.
class PairDrafter : public Drafter {
 public:
  explicit PairDrafter(size_t nodes_max) : nodes_max_(nodes_max) {}

  void read(std::span<const uint32_t> tokens) {
    for (size_t i = 2; i < tokens.size(); ++i) ++after_[{tokens[i - 2], tokens[i - 1]}][tokens[i]];
  }

  Task<Draft> draft(std::span<const uint32_t> tokens) override {
    ++passes_;
    Draft draft;
    if (tokens.size() < 2) co_return draft;
    read(tokens.subspan(tokens.size() - std::min(tokens.size(), tokens.size() - read_ + 2)));
    read_ = tokens.size();
    // A path through the tree is followed by its two last tokens; the likeliest ones go first.
    struct End {
      int32_t node;
      uint32_t before, last;
    };
    std::deque<End> ends = {{-1, tokens[tokens.size() - 2], tokens.back()}};
    while (!ends.empty() && draft.tokens.size() < nodes_max_) {
      const End end = ends.front();
      ends.pop_front();
      for (const uint32_t next : likeliest(end.before, end.last)) {
        if (draft.tokens.size() == nodes_max_) break;
        ends.push_back({static_cast<int32_t>(draft.tokens.size()), end.last, next});
        draft.parents.push_back(end.node);
        draft.tokens.push_back(next);
      }
    }
    co_return draft;
  }
  size_t passes() const { return passes_; }

 private:
  /// At most two.
  std::vector<uint32_t> likeliest(uint32_t before, uint32_t last) const {
    std::vector<uint32_t> best;
    const auto found = after_.find({before, last});
    if (found == after_.end()) return best;
    for (const auto& [token, count] : found->second) best.push_back(token);
    std::ranges::sort(best, std::greater(),
                      [&](uint32_t token) { return found->second.at(token); });
    best.resize(std::min<size_t>(best.size(), 2));
    return best;
  }

  size_t nodes_max_, read_ = 2, passes_ = 0;
  std::map<std::pair<uint32_t, uint32_t>, std::map<uint32_t, int>> after_;
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt, source;
  int64_t nodes = 12, max_tokens = 64;
  bool is_plain = false;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .option("source", 's', &source)
      .number("nodes", 0, &nodes, 1, 64)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("plain", 0, &is_plain);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  context.fill_user(prompt);
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(context.model());
  PairDrafter drafter(is_plain ? 0 : static_cast<size_t>(nodes));
  drafter.read(context.tokenizer().tokenize(source));
  const size_t before = (co_await ok(context.open_answer()), context.size());
  const std::string text = co_await ok(context.generate(Sampler::greedy(), stop, drafter));
  print_error("[tokens] " + std::to_string(context.size() - before) + " in " +
              std::to_string(drafter.passes()) + " passes\n");
  co_return text;
}
