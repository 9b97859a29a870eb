// Questions about a long text that is computed once for all times: its keys and values are kept on
// disk, and the next launch, today or after a restart of the server, goes on from there.
//
//   --prefix, -p        the long text (required); @ takes the first message of the client instead
//   --max-tokens, -n    tokens of one answer at most (default 32)
//   --days, -d          how long it is kept (default 7)
//
// What is given without an option are the questions, raw text that goes on from the prefix; all are
// answered at once. Returns the answers as a JSON array, and says on stderr whether the prefix was
// loaded or computed.
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

/// Of a text, so that another text has another name (FNV-1a).
std::string name_of(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char one : text) hash = (hash ^ static_cast<uint8_t>(one)) * 0x100000001B3U;
  return "prefix-" + std::to_string(hash);
}

Task<Result<Context>> computed(const std::string& prefix, const std::string& name, int64_t days) {
  Context context = co_await ok(Context::create());
  co_await ok(context.fill(prefix));
  co_await ok(context.save(name, {.ttl = std::chrono::days(days)}));
  co_return context;
}

Task<Result<std::string>> answered(Context context, std::string question, Stop stop) {
  co_await ok(context.fill(question));
  co_return co_await ok(context.generate(Sampler::greedy(), stop));
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prefix;
  int64_t max_tokens = 32, days = 7;
  ArgumentParser parser;
  parser.text("prefix", 'p', &prefix)
      .number("max-tokens", 'n', &max_tokens, 1)
      .number("days", 'd', &days, 1, 3650);
  co_await ok(parser.parse(arguments));
  if (prefix == "@") prefix = co_await receive();

  const std::string name = name_of(prefix);
  auto loaded = Context::load(name);
  const bool was_there = loaded.has_value();
  if (!was_there) loaded = co_await computed(prefix, name, days);
  const Context root = co_await ok(std::move(loaded));
  print_error("[prefix] " + std::to_string(root.size()) + " tokens " +
              (was_there ? "loaded" : "computed") + "\n");

  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(root.model());
  std::vector<Task<Result<std::string>>> tasks;
  for (const std::string& question : parser.positional())
    tasks.push_back(answered(root.fork(), question, stop));
  Json::Array answers;
  for (std::string& text : co_await ok(co_await when_all(std::move(tasks))))
    answers.emplace_back(std::move(text));
  co_return Json(std::move(answers)).text();
}
