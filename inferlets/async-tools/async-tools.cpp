// Tool calls that overlap decoding: a call begins as soon as the model has written it, and runs
// while the model goes on with its answer. What the tools say is read when the answer is there.
//
//   --prompt, -p        the user turn (required)
//   --calls, -c         calls in the answer (default 2)
//   --max-tokens, -n    tokens of the answer at most (default 256)
//   --seed, -s          the same answer again (default 1)
//
// The answer is text with lines `CALL lookup(word)`, which a regular expression holds it to. The
// tool is the client: a call is sent to it as `lookup word`, and its message is the result, calls
// answered in order. Prints what happens, in order, a line each: `text ...`, `begin word`,
// `end word: result`. Returns the model's summary of the results.
#include <pie/inferlet.h>

#include <vector>

using namespace inferlet;

namespace {

constexpr std::string_view kCall = "CALL lookup(";

/// Text and calls in turn, and text behind the last call.
std::string form_of(int64_t calls) {
  return "(?:[A-Z][a-z ,]{20,60}\\.\\nCALL lookup\\([a-z]{3,10}\\)\\n){" + std::to_string(calls) +
         "}[A-Z][a-z ,]{40,100}\\.\\n";
}

/// Asks the client, who answers when it likes.
Task<std::string> looked_up(std::string word) {
  print("begin " + word + "\n");
  send("lookup " + word);
  std::string result = co_await receive();
  print("end " + word + ": " + result + "\n");
  co_return result;
}

/// Finds calls in the answer while it comes, and begins them.
class Caller {
 public:
  void take(std::string_view piece) {
    line_ += piece;
    for (size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n')) {
      const std::string whole = line_.substr(0, end);
      line_.erase(0, end + 1);
      if (whole.starts_with(kCall)) {
        calls_.push_back(
            spawn(looked_up(whole.substr(kCall.size(), whole.find(')') - kCall.size()))));
      } else {
        print("text " + whole + "\n");
      }
    }
  }
  Task<std::string> results() {
    std::string all;
    for (auto& call : calls_) all += (co_await call) + "\n";
    co_return all;
  }

 private:
  std::string line_;
  std::vector<Running<std::string>> calls_;
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t calls = 2, max_tokens = 256, seed = 1;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("calls", 'c', &calls, 1, 16)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  context.fill_user(prompt);
  Matcher matcher(co_await ok(Grammar::regex(context.model(), form_of(calls))));
  Caller caller;
  co_await ok(context.generate(
      Sampler::multinomial(0.8F).with_seed(static_cast<uint64_t>(seed)),
      Stop::max_len(static_cast<size_t>(max_tokens)),
      {.on_text = [&](std::string_view piece) { caller.take(piece); }, .matcher = &matcher}));
  const std::string results = co_await caller.results();
  co_return co_await ok(context.ask("The lookups gave:\n" + results + "Put it in one sentence.",
                                    Sampler::greedy(),
                                    Stop::max_len(48) | Stop::end_of_turn(context.model())));
}
