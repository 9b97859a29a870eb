// What the tests of src/host have programs do: the first argument names a scenario, the rest are
// its parameters. What the program saw goes out as messages.
#include <pie/inferlet.h>
#include <pie/lift.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>

// Imports that the SDK does not wrap.
#define FROM(module, name) __attribute__((import_module(module), import_name(name)))
FROM("inferlet:actor/common", "[constructor]global-context")
int32_t new_global_context(const char* uid, uint32_t size);
FROM("inferlet:adapter/common", "set-adapter") void set_adapter(int32_t pass, uint32_t pointer);
FROM("inferlet:zo/evolve", "set-adapter-seed") void set_seed(int32_t pass, int64_t seed);
FROM("inferlet:image/image", "calculate-embed-size")
uint32_t embed_size(int32_t queue, uint32_t width, uint32_t height);

namespace {

namespace abi = inferlet::abi;
namespace lift = inferlet::lift;
using Arguments = std::vector<std::string>;
using Outcome = inferlet::Result<std::string>;

inferlet::Model model() { return *inferlet::default_model(); }

std::string join(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (uint32_t n : numbers) out += (out.empty() ? "" : ",") + std::to_string(n);
  return out;
}

/// A pass over one page with `count` tokens and one greedy token slot at the last.
void fill(inferlet::ForwardPass& pass, uint32_t count) {
  std::vector<uint32_t> tokens(count, 5), positions;
  for (uint32_t i = 0; i < count; ++i) positions.push_back(i);
  pass.kv_cache(std::vector<uint32_t>{0}, count);
  pass.input_tokens(tokens, positions);
  const uint32_t last = count - 1;
  abi::output_tokens(pass.handle(), &last, 1, 0.0F);
}

void report(std::string_view what, const std::optional<std::vector<uint32_t>>& tokens) {
  inferlet::send(std::string(what) + ": " + (tokens ? "[" + join(*tokens) + "]" : "none"));
}

Outcome forward(const Arguments&) {
  auto queue = model().create_queue();
  queue.allocate(inferlet::ResourceType::kKvPage, 1);
  inferlet::ForwardPass pass(queue);
  fill(pass, 3);
  const uint32_t index = 2;
  abi::output_distributions(pass.handle(), &index, 1, 1.0F, 1, 2);
  auto first = pass.execute();
  report("before", first->tokens());
  first->wait();
  report("tokens", first->tokens());
  report("again", first->tokens());
  auto distributions = first->distributions();
  inferlet::send("ids: " + join(distributions->at(0).ids));
  inferlet::send("left: " + std::to_string(first->distributions()->size()));
  fill(pass, 2);  // the same object, filled again
  auto second = pass.execute();
  second->wait();
  report("second", second->tokens());
  inferlet::send("distributions: " + std::to_string(second->distributions()->size()));
  const std::vector<uint32_t> tokens{5}, positions{0};
  pass.input_tokens(tokens, positions);
  inferlet::send(pass.execute() ? "some" : "nothing asked for");
  queue.synchronize();
  return "done";
}

/// Everything of pie:grammar: two passes under one matcher, and what is refused.
Outcome grammar(const Arguments&) {
  const auto model = inferlet::default_model();
  const inferlet::Queue queue = model->create_queue();
  const inferlet::Tokenizer tokenizer = model->tokenizer();
  const auto tell = [](std::string text) { inferlet::send(std::move(text)); };
  const auto refused = inferlet::Grammar::json_schema(*model, R"({"not":{}})");
  tell("refused: " + (refused ? "no" : refused.error()));
  tell("bomb: " +
       std::to_string(inferlet::Grammar::regex(*model, std::string(2 << 20, 'a')).has_value()));
  const auto compiled = inferlet::Grammar::json_schema(
      *model, R"({"type":"object","properties":{"is":{"type":"boolean"}},"required":["is"],)"
              R"("additionalProperties":false})");
  if (!compiled) return inferlet::fail(compiled.error());
  inferlet::Matcher matcher(*compiled);
  const auto sentence = inferlet::Grammar::regex(*model, "The answer is [0-9]+[.]");
  if (!sentence) return inferlet::fail(sentence.error());
  const auto forced = inferlet::Matcher(*sentence).forced_tokens();
  tell("forced: " + tokenizer.detokenize(*forced));

  inferlet::ForwardPass pass(queue);
  const std::vector<uint32_t> tokens = {1, 2}, positions = {0, 1};
  pass.input_tokens(tokens, positions);
  const std::vector<uint32_t> last = {1};
  if (auto done = inferlet::logits::forbid(pass, last, std::vector<uint32_t>{0}); !done)
    return inferlet::fail(done.error());
  if (auto done = matcher.constrain(pass, 1); !done) return inferlet::fail(done.error());
  pass.execute();

  const auto text = tokenizer.tokenize(R"({"is": true})");
  if (auto done = matcher.accept(text); !done) return inferlet::fail(done.error());
  tell("complete: " + std::to_string(matcher.is_complete()) + std::to_string(matcher.can_stop()));
  const auto beyond = matcher.accept(text.front());
  tell("beyond: " + (beyond ? std::string("no") : beyond.error()));
  inferlet::Matcher other = matcher.fork();
  if (auto done = other.rollback(2); !done) return inferlet::fail(done.error());
  tell("back: " + std::to_string(other.is_complete()) + std::to_string(matcher.is_complete()));
  tell("too far: " + (other.rollback(1000) ? std::string("no") : std::string("refused")));
  const auto valid = other.validate(std::span(text).last(2));
  tell("valid: " + std::to_string(*valid));
  inferlet::ForwardPass end(queue);
  end.input_tokens(tokens, positions);
  if (auto done = matcher.constrain(end, 0); !done) return inferlet::fail(done.error());
  end.execute();
  tell("mask: " + std::to_string(matcher.mask()->size()));
  return "done";
}

/// Everything of pie:logits, in one pass.
Outcome logits(const Arguments&) {
  namespace of = inferlet::logits;
  auto queue = model().create_queue();
  inferlet::ForwardPass pass(queue);
  fill(pass, 3);
  const std::vector<uint32_t> two{2, 0}, one{1}, tokens{4, 4, 9};
  const auto set = inferlet::TokenSet::of(tokens);
  const auto done = [](const inferlet::Result<void>& result) {
    if (!result) inferlet::send("refused: " + result.error());
  };
  done(of::allow(pass, two, set));
  done(of::forbid(pass, one, tokens));
  done(of::bias(pass, two, tokens, std::vector<float>{0.5F, 1, -2}));
  done(of::penalize(pass, two, tokens, {.repetition = 2, .presence = 1, .frequency = 0.5F}));
  done(of::output_tokens(pass, two,
                         {.temperature = 0.5F,
                          .top_k = 3,
                          .typical_p = 0.9F,
                          .xtc_probability = 0.25F,
                          .surprise_max = 8,
                          .draw = inferlet::SeededDraw{.seed = 77, .position = 5},
                          .details = true}));
  done(of::output_logits(pass, two, 2));
  done(of::output_logits(pass, one, 0));
  done(of::output_log_probabilities(pass, 1, tokens));
  done(of::output_entropies(pass, two));
  done(of::forbid(pass, one, std::vector<uint32_t>{4'000'000'000}));
  auto executed = of::execute(pass);
  const inferlet::PassResult& result = **executed;
  inferlet::send(of::rows(result) ? "early" : "none yet");
  result.wait();
  for (const auto& row : *of::rows(result))
    inferlet::send("row [" + join(row.ids) + "] " + std::to_string(row.values.at(0)));
  const auto scores = *of::log_probabilities(result);
  inferlet::send("scores [" + join(scores[0].ids) + "] " + std::to_string(scores[0].values[2]));
  inferlet::send("entropy " + std::to_string(of::entropies(result)->at(1)));
  inferlet::send("surprise " + std::to_string(of::token_details(result)->at(0).surprise));
  inferlet::send("left " + std::to_string(of::entropies(result)->size()));
  done(of::output_entropies(pass, one));
  inferlet::send(pass.execute() ? "a result for an entropy alone" : "no result");
  return "done";
}

/// Decode steps, one after the other.
Outcome steps(const Arguments& arguments) {
  auto queue = model().create_queue();
  inferlet::ForwardPass pass(queue);
  uint32_t sum = 0;
  for (int i = std::atoi(arguments[1].c_str()); i > 0; --i) {
    fill(pass, 1);
    auto result = pass.execute();
    result->wait();
    sum += result->tokens()->at(0);
  }
  return std::to_string(sum);
}

/// Waits for a result that the test decides about.
Outcome pending(const Arguments&) {
  auto queue = model().create_queue();
  inferlet::ForwardPass pass(queue);
  fill(pass, 1);
  auto result = pass.execute();
  inferlet::send("submitted");
  result->wait();
  return "woke";
}

Outcome receive(const Arguments& arguments) {
  auto dropped = std::make_unique<inferlet::MessageInbox>();
  auto kept = std::make_unique<inferlet::MessageInbox>();
  dropped = nullptr;
  inferlet::send("ready");
  kept->pollable().block();
  inferlet::send("got " + *kept->try_take());
  kept = nullptr;  // it waits for the next one already
  for (int i = 1; i < std::atoi(arguments[1].c_str()); ++i)
    inferlet::send("got " + inferlet::receive().wait());
  return "";
}

Outcome receive_blob(const Arguments&) {
  inferlet::send("ready");
  inferlet::Blob blob = inferlet::receive_blob();
  auto middle = blob.read(1, 2), end = blob.read(blob.size() - 1, 100), none = blob.read(99, 1);
  inferlet::send(std::to_string(blob.size()) + " " + std::string(middle.begin(), middle.end()) +
                 " " + std::string(end.begin(), end.end()) + " " + std::to_string(none.size()));
  inferlet::send_blob(std::move(blob));
  return "";
}

Outcome send_sizes(const Arguments& arguments) {
  for (size_t i = 1; i < arguments.size(); ++i)
    inferlet::send(std::string(std::strtoul(arguments[i].c_str(), nullptr, 10), 'x'));
  return "";
}

Outcome topics(const Arguments& arguments) {
  std::optional<inferlet::Subscription> subscription(std::in_place, "news");
  for (int i = 0; i < std::atoi(arguments[1].c_str()); ++i)
    inferlet::broadcast("news", std::to_string(i));
  inferlet::broadcast("other", "not for us");
  while (auto message = subscription->try_next()) inferlet::send(*message);
  subscription.reset();
  inferlet::broadcast("news", "unheard");
  return "";
}

Outcome store(const Arguments&) {
  inferlet::kvs::set("b", "2");
  inferlet::kvs::set("a", "1");
  inferlet::send(inferlet::kvs::get("a").value_or("none"));
  inferlet::send(inferlet::kvs::get("c").value_or("none"));
  inferlet::kvs::remove("b");
  inferlet::kvs::remove("never there");
  inferlet::send(inferlet::kvs::exists("b") ? "there" : "gone");
  for (const auto& key : inferlet::kvs::list_keys()) inferlet::send("key " + key);
  return "";
}

Outcome about(const Arguments&) {
  auto one = model();
  inferlet::send(inferlet::server_version());
  inferlet::send(inferlet::instance_id());
  inferlet::send(one.name());
  inferlet::send(std::to_string(inferlet::all_models().size()));
  inferlet::send(inferlet::find_model("nobody") ? "found" : "unknown model");
  inferlet::send(std::to_string(one.kv_page_size()));
  inferlet::send(one.prompt_template().empty() ? "no template" : "template");
  for (const auto& argument : inferlet::arguments()) inferlet::send("argument " + argument);
  return "";
}

Outcome tokenize(const Arguments& arguments) {
  auto tokenizer = model().tokenizer();
  auto tokens = tokenizer.tokenize(arguments[1]);
  inferlet::send(tokenizer.detokenize(tokens));
  inferlet::send(std::to_string(tokenizer.vocabulary().size()));
  bool found = false;
  for (const auto& entry : tokenizer.special_tokens())
    found |= std::string(entry.bytes.begin(), entry.bytes.end()) == "<|im_end|>";
  inferlet::send(found ? "special" : "missing");
  // Half of a character: the first token of its three bytes.
  auto half = tokenizer.tokenize("\xe9\xbe\x98");
  half.resize(1);
  inferlet::send(tokenizer.detokenize(half));
  return "";
}

/// Tokenizes the unit (2nd) repeated to so many bytes (3rd), again and again when told (4th).
Outcome tokenize_long(const Arguments& arguments) {
  auto tokenizer = model().tokenizer();
  std::string text;
  while (text.size() < std::strtoul(arguments[2].c_str(), nullptr, 10)) text += arguments[1];
  inferlet::send("begun");
  do {
    inferlet::send(std::to_string(tokenizer.tokenize(text).size()));
  } while (arguments.size() > 3);
  return "";
}

Outcome detokenize(const Arguments& arguments) {
  const std::vector<uint32_t> tokens(std::strtoul(arguments[1].c_str(), nullptr, 10), 20'000);
  inferlet::send(std::to_string(model().tokenizer().detokenize(tokens).size()));
  return "";
}

Outcome chat(const Arguments&) {
  auto one = model();
  const abi::ChatMessage messages[] = {{lift::lend("user"), lift::lend("Hello")}};
  abi::TextResult result;
  abi::chat_render(one.handle(), messages, 1, 1, &result);
  inferlet::send((result.is_error ? "error " : "ok ") + lift::text(result.text));
  return "";
}

/// A program's mistakes and what is not served yet, by name.
Outcome mistake(const Arguments& arguments) {
  const std::string& what = arguments[1];
  auto queue = model().create_queue();
  inferlet::ForwardPass pass(queue);
  const std::vector<uint32_t> two{1, 2}, one{0};
  const uint32_t index = 0;
  if (what == "lengths") pass.input_tokens(two, one);
  if (what == "temperature") abi::output_tokens(pass.handle(), &index, 1, std::nanf(""));
  if (what == "top-p") abi::output_tokens_top_p(pass.handle(), &index, 1, 1.0F, 1.5F);
  if (what == "exhausted") queue.allocate(inferlet::ResourceType::kKvPage, 1'000'000);
  if (what == "value") inferlet::kvs::set("k", std::string(2 << 20, 'x'));
  if (what == "export") abi::export_resources(queue.handle(), 0, one.data(), 1, "n", 1);
  if (what == "adapter") set_adapter(pass.handle(), 0);
  if (what == "zo") {
    set_seed(pass.handle(), 1);
    pass.execute();
  }
  if (what == "image") embed_size(queue.handle(), 1, 1);
  if (what == "actor") new_global_context("uid", 3);
  if (what == "store") inferlet::kvs::set("k", "refuse");
  if (what == "traits") {
    const std::vector<abi::Text> traits(20'000);
    abi::Slice<abi::Text> found;
    abi::runtime_get_all_models_with_traits(traits.data(), traits.size(), &found);
  }
  if (what == "outputs") {
    pass.input_tokens(one, one);
    const std::vector<uint32_t> indices(2'000);
    abi::output_tokens(pass.handle(), indices.data(), indices.size(), 0.0F);
    pass.execute();
  }
  if (what == "rankings") {
    pass.input_tokens(one, one);
    const std::vector<uint32_t> indices(500);
    abi::output_distributions(pass.handle(), indices.data(), indices.size(), 1.0F, 1, 0);
    pass.execute();
  }
  if (what == "queries") {
    const std::string query(1 << 19, 'x');
    for (int i = 0; i < 3; ++i) abi::runtime_debug_query(query.data(), query.size());
  }
  if (what == "returns") inferlet::set_return(std::string(2 << 20, 'x'));
  if (what == "subscriptions") {
    std::vector<std::unique_ptr<inferlet::Subscription>> kept;
    for (int i = 0; i < 256; ++i) kept.push_back(std::make_unique<inferlet::Subscription>("topic"));
  }
  if (what == "passes") {
    std::vector<std::unique_ptr<inferlet::ForwardPass>> kept;
    for (int i = 0; i < 1'100; ++i) kept.push_back(std::make_unique<inferlet::ForwardPass>(queue));
  }
  if (what == "blobs") {
    std::vector<inferlet::Blob> kept;
    const std::vector<uint8_t> bytes(1 << 16);
    for (int i = 0; i < 100; ++i) kept.emplace_back(bytes);
  }
  return "survived";
}

Outcome end(const Arguments& arguments) {
  const std::string& how = arguments[1];
  if (how == "return") inferlet::set_return("by set-return");
  if (how == "value") return "by value";
  if (how == "error") return inferlet::fail("no luck");
  if (how == "exit0") std::exit(0);
  if (how == "exit3") std::exit(3);
  if (how == "trap") __builtin_trap();
  if (how == "print")
    for (;;) inferlet::print("print without end\n");
  if (how == "spin")
    for (volatile int i = 0;; i = i + 1) {
    }
  return "";
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  const std::map<std::string, Outcome (*)(const Arguments&)> scenarios = {
      {"forward", forward},
      {"logits", logits},
      {"grammar", grammar},
      {"pending", pending},
      {"steps", steps},
      {"receive", receive},
      {"blob", receive_blob},
      {"send", send_sizes},
      {"topics", topics},
      {"kvs", store},
      {"about", about},
      {"tokenize", tokenize},
      {"tokenize-long", tokenize_long},
      {"detokenize", detokenize},
      {"chat", chat},
      {"mistake", mistake},
      {"end", end}};
  const auto scenario = scenarios.find(arguments.empty() ? "" : arguments[0]);
  if (scenario == scenarios.end()) return inferlet::fail("unknown scenario");
  return scenario->second(arguments);
}
