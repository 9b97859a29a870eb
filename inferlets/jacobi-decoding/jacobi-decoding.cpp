// Jacobi decoding: no drafter, no second model. All of the next tokens are guessed at once, and
// each pass corrects all of them at once by what the model says behind each guess; those at the
// beginning that no pass changes any more are the answer.
//
//   --prompt, -p        raw text to go on with (required)
//   --block, -k         tokens that are guessed at once (default 8)
//   --max-tokens, -n    tokens at most (default 64)
//
// Returns the text: that of greedy decoding, token for token. Says on stderr in how many passes it
// came. Where a text is easy to foresee, tokens settle before those in front of them are known.
#include <pie/inferlet.h>

#include <algorithm>

using namespace inferlet;

namespace {

class Jacobi : public Drafter {
 public:
  explicit Jacobi(size_t block) : block_(block) {}

  Task<Draft> draft(std::span<const uint32_t> tokens) override {
    ++passes_;
    // What is not guessed yet begins as the last token.
    while (guess_.size() < block_) guess_.push_back(guess_.empty() ? tokens.back() : guess_.back());
    co_return Draft{.tokens = guess_, .parents = {}};
  }
  /// drawn[i] comes behind the i-th guess: one correction of all of them.
  void see(std::span<const uint32_t> drawn) override { drawn_.assign(drawn.begin(), drawn.end()); }
  /// The right ones and one more are part of the text now; the others are guessed by what was
  /// drawn.
  void learn(size_t /*proposed*/, size_t accepted) override {
    guess_.assign(drawn_.begin() + static_cast<ptrdiff_t>(accepted) + 1, drawn_.end());
  }
  size_t passes() const { return passes_; }

 private:
  size_t block_, passes_ = 0;
  std::vector<uint32_t> guess_, drawn_;
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t block = 8, max_tokens = 64;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("block", 'k', &block, 1, 64)
      .number("max-tokens", 'n', &max_tokens, 1);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  co_await ok(context.fill(prompt));
  const size_t before = context.size();
  Jacobi jacobi(static_cast<size_t>(block));
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(context.model());
  const std::string text = co_await ok(context.generate(Sampler::greedy(), stop, jacobi));
  print_error("[tokens] " + std::to_string(context.size() - before) + " in " +
              std::to_string(jacobi.passes()) + " passes\n");
  co_return text;
}
