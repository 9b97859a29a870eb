// What the SDK promises about tasks, drafts, exports and tools, shown on the server's model. The
// first argument names a scenario; it returns "NAME: passed", or fails with what was different.
#include <pie/inferlet.h>
#include <pie/lift.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>

#include "scenario.h"

namespace {

using inferlet::Context;
using inferlet::Draft;
using inferlet::Result;
using inferlet::Sampler;
using inferlet::Stop;
using inferlet::Task;
using namespace std::chrono_literals;

constexpr std::string_view kStory =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the "
    "lamp, counted the ships and wrote their names into a book. One evening a ship came that had "
    "no name";

Context filled(std::string_view text) {
  Context context = must(Context::create());
  must(context.fill(text));
  return context;
}

std::string nth(size_t i) { return " and the " + std::to_string(i) + "th ship was called"; }

Task<std::string> go_on(Context context, std::string text, size_t tokens) {
  must(context.fill(text));
  co_return must(co_await context.generate(Sampler::greedy(), Stop::max_len(tokens)));
}

/// How many steps the engine has computed, by its answer to a debug query.
size_t steps(const inferlet::Queue& queue) {
  namespace abi = inferlet::abi;
  const abi::Handle query = abi::queue_debug_query(queue.handle(), "", 0);
  inferlet::Pollable(abi::debug_query_pollable(query)).block();
  abi::Option<abi::Text> out;
  abi::debug_query_get(query, &out);
  const std::string text = inferlet::lift::text(out.value);
  abi::debug_query_drop(query);
  constexpr std::string_view kName = "\nsteps: ";
  return std::strtoul(text.c_str() + text.find(kName) + kName.size(), nullptr, 10);
}

// ---- tasks

Task<void> forks_together_say_what_they_say_one_after_the_other() {
  Context root = filled(kStory);
  co_await root.flush();
  std::vector<std::string> alone;
  const size_t began = steps(root.queue());
  for (size_t i = 0; i < 8; ++i) alone.push_back(co_await go_on(root.fork(), nth(i), 12));
  const size_t turned = steps(root.queue());
  std::vector<Task<std::string>> tasks;
  for (size_t i = 0; i < 8; ++i) tasks.push_back(go_on(root.fork(), nth(i), 12));
  const std::vector<std::string> together = co_await inferlet::when_all(std::move(tasks));
  const size_t ended = steps(root.queue());
  expect(together == alone, "another text");
  expect(alone[0] != alone[7], "all forks say the same");
  expect((ended - turned) * 2 < turned - began,
         "they do not share steps: " + std::to_string(ended - turned) + " of " +
             std::to_string(turned - began));

  auto [one, two, three] =
      co_await inferlet::when_all(go_on(root.fork(), nth(1), 3),
                                  root.decode_step(Sampler::greedy()), inferlet::loop::after(1ms));
  expect(one == must(co_await inferlet::spawn([](Context fork) -> Task<Result<std::string>> {
           co_return co_await go_on(std::move(fork), nth(1), 3);
         }(filled(kStory)))),
         "the variadic form: " + one);
  expect(two.has_value(), "the step");
  co_await inferlet::when_all(std::vector<Task<void>>());
}

Task<void> a_timeout_fires_and_leaves_the_context_usable() {
  Context context = filled(kStory);
  const auto began = inferlet::now();
  const auto none = co_await inferlet::with_timeout(
      context.generate(Sampler::greedy(), Stop::max_len(100'000)), 100ms);
  const auto took = inferlet::now() - began;
  expect(!none.has_value(), "the timeout did not fire");
  expect(took >= 100ms && took < 5s, "it took " + std::to_string(took / 1ms) + " ms");
  const size_t generated = context.size() - filled(kStory).size();
  expect(generated > 0, "no token came within 100 ms");
  // What was generated is a greedy answer, and goes on as one.
  const std::string rest = must(co_await context.generate(Sampler::greedy(), Stop::max_len(4)));
  Context plain = filled(kStory);
  const std::string whole =
      must(co_await plain.generate(Sampler::greedy(), Stop::max_len(generated + 4)));
  expect(context.tokens() == plain.tokens(), "tokens were lost or doubled: " + rest);
  const auto some = co_await inferlet::with_timeout(context.decode_step(Sampler::greedy()), 60s);
  expect(some.has_value() && some->has_value(), "a step in time");
}

Task<void> the_loser_of_a_race_is_dropped_and_its_context_usable() {
  Context slow = filled(kStory), fast = filled("One, two,");
  const size_t before = slow.size();
  auto first = co_await inferlet::when_any(slow.generate(Sampler::greedy(), Stop::max_len(100'000)),
                                           fast.generate(Sampler::greedy(), Stop::max_len(5)));
  expect(first.index() == 1, "the longer one won");
  const size_t generated = slow.size() - before;
  must(co_await slow.generate(Sampler::greedy(), Stop::max_len(3)));
  Context plain = filled(kStory);
  must(co_await plain.generate(Sampler::greedy(), Stop::max_len(generated + 3)));
  expect(slow.tokens() == plain.tokens(), "the loser goes on in another way");
  std::vector<Task<std::string>> tasks;
  tasks.push_back(inferlet::receive());
  tasks.push_back(go_on(fast.fork(), " three,", 2));
  const auto second = co_await inferlet::when_any(std::move(tasks));
  expect(second.index == 1, "a message that nobody sent");
}

Task<void> dropped_steps_at_every_place_of_a_page() {
  for (size_t tokens = 1; tokens <= 33; tokens += 4) {
    Context context = filled(kStory), plain = filled(kStory);
    must(co_await context.generate(Sampler::greedy(), Stop::max_len(tokens)));
    must(co_await plain.generate(Sampler::greedy(), Stop::max_len(tokens)));
    {
      auto step = inferlet::spawn(context.decode_step(Sampler::greedy()));
    }
    must(context.begin_step(Sampler::greedy()));
    expect(!context.fill("x"), "a step is under way, and the context takes text");
    context.drop_step();
    {
      auto step = inferlet::spawn(context.decode_step(Sampler::greedy(), Draft{{1, 2, 3}, {}}));
    }
    expect(context.size() == plain.size(), "the length changed");
    must(co_await context.generate(Sampler::greedy(), Stop::max_len(3)));
    must(co_await plain.generate(Sampler::greedy(), Stop::max_len(3)));
    expect(context.tokens() == plain.tokens(), std::to_string(tokens) + " tokens: another text");
  }
}

Task<void> work_goes_on_beside() {
  Context context = filled(kStory);
  size_t ticks = 0;
  auto ticking = inferlet::spawn([](size_t& count) -> Task<void> {
    for (;; ++count) co_await inferlet::sleep(1ms);
  }(ticks));
  must(co_await context.generate(Sampler::greedy(), Stop::max_len(16)));
  expect(ticks > 2, "the clock stood still while the model answered");
  expect(!ticking.is_done(), "it never ends");
  {
    const auto dropped = std::move(ticking);
  }
  const size_t before = ticks;
  co_await inferlet::sleep(10ms);
  expect(ticks == before, "a dropped task went on");
  auto value = inferlet::spawn(go_on(context.fork(), " then", 2));
  expect(!(co_await value).empty(), "its value");
  inferlet::spawn(go_on(context.fork(), " then", 200)).detach();
  // Deep and long chains of tasks that never wait: neither nests the stack.
  static constexpr auto kDown = [](auto self, size_t depth) -> Task<size_t> {
    co_return depth == 0 ? 0 : 1 + co_await self(self, depth - 1);
  };
  expect(co_await kDown(kDown, 200) == 200, "depth");
  size_t sum = 0;
  for (size_t i = 0; i < 100'000; ++i) sum += co_await kDown(kDown, 1);
  expect(sum == 100'000, "length");
}

/// More than the host takes in one poll.
Task<void> the_last_of_many_is_not_forgotten() {
  constexpr size_t kMany = 33'000;
  std::vector<Task<void>> tasks;
  for (size_t i = 0; i < kMany; ++i) tasks.push_back(inferlet::loop::after(1h));
  tasks.push_back(inferlet::loop::after(50ms));
  const auto first = co_await inferlet::when_any(std::move(tasks));
  expect(first.index == kMany, "another one ended");
}

/// The test sends "one", then "two" to this instance.
Task<void> messages_and_topics_are_awaited() {
  inferlet::Subscription topic("task-scenarios");
  inferlet::broadcast("task-scenarios", "hello");
  expect(co_await topic.next() == "hello", "the topic");
  const auto none = co_await inferlet::with_timeout(inferlet::receive(), 20ms);
  expect(!none, "a message before it was sent");
  inferlet::send("ready");
  // The receive that was dropped has taken nothing.
  auto [one, beside] = co_await inferlet::when_all(inferlet::receive(), inferlet::loop::after(1ms));
  expect(one == "one", "got " + one);
  expect(co_await inferlet::receive() == "two", "the second");
}

// ---- drafts

/// Drafts that are right, wrong, or both, of an answer that is known.
class Known : public inferlet::Drafter {
 public:
  Known(std::vector<uint32_t> answer, size_t begin) : answer_(std::move(answer)), begin_(begin) {}
  Task<Draft> draft(std::span<const uint32_t> tokens) override {
    Draft draft;
    const size_t done = tokens.size() - begin_;
    const auto ahead = [&](size_t i) {
      return done + i < answer_.size() ? answer_[done + i] : uint32_t{7};
    };
    switch (round_++ % 4) {
      case 0: draft.tokens = {ahead(0), ahead(1), ahead(2)}; break;
      case 1: draft.tokens = {ahead(0), 5, ahead(2)}; break;
      case 2:  // the right branch is the second
        draft.tokens = {5, 6, ahead(0), ahead(1), 9};
        draft.parents = {-1, 0, -1, 2, 2};
        break;
      default:  // the right branch is the first, and leaves it late
        draft.tokens = {ahead(0), ahead(1), 5, ahead(2)};
        draft.parents = {-1, 0, 1, 1};
    }
    co_return draft;
  }
  void learn(size_t /*proposed*/, size_t accepted) override { accepted_ += accepted; }
  size_t accepted() const { return accepted_; }

 private:
  std::vector<uint32_t> answer_;
  size_t begin_, round_ = 0, accepted_ = 0;
};

/// Through chains and trees, over the edge of a chunk of attention (128 slots).
Task<void> compare_with_drafts(const Sampler& sampler, std::optional<size_t> window) {
  Context plain = filled(kStory), drafted = filled(kStory), looked = filled(kStory);
  for (Context* one : {&plain, &drafted, &looked}) {
    if (window) one->attend_to_window(4, *window);
  }
  const size_t begin = plain.size();
  const Stop stop = Stop::max_len(window ? 60 : 110);
  const auto said = must(co_await plain.generate(sampler, stop, Context::AnswerOptions{}));
  Known known(said.tokens, begin);
  std::string streamed;
  const std::string same = must(co_await drafted.generate(
      sampler, stop, known, [&](std::string_view piece) { streamed += piece; }));
  expect(same == said.text, "with drafts: " + same + "\nwithout: " + said.text);
  expect(streamed == said.text, "streamed: " + streamed);
  expect(drafted.position() == plain.position(), "other positions");
  expect(window || drafted.tokens() == plain.tokens(), "other tokens");
  expect(known.accepted() >= 20, std::to_string(known.accepted()) + " drafted tokens were taken");
  inferlet::PromptLookup lookup;
  expect(must(co_await looked.generate(sampler, stop, lookup)) == said.text, "prompt lookup");
  // And the contexts go on as one another, to the last bit.
  const auto wanted = must(co_await plain.next_logits());
  expect(must(co_await drafted.next_logits()) == wanted, "the logits behind it");
}

Task<void> a_text_with_drafts_is_the_text_without() {
  co_await compare_with_drafts(Sampler::greedy(), {});
  co_await compare_with_drafts(Sampler::top_p(1.0F, 0.95F).with_seed(11), {});
  co_await compare_with_drafts(Sampler::greedy(), 20);
}

Task<void> drafts_in_a_conversation() {
  Context plain = must(Context::create()), drafted = must(Context::create());
  for (Context* one : {&plain, &drafted}) one->fill_user("Say: red green blue red green blue.");
  const Stop stop = Stop::max_len(24) | Stop::end_of_turn(plain.model());
  inferlet::PromptLookup lookup(4, 1);
  const std::string text = must(co_await plain.generate(Sampler::greedy(), stop));
  const std::string same = must(co_await drafted.generate(Sampler::greedy(), stop, lookup));
  expect(text == same, text + " / " + same);
  for (Context* one : {&plain, &drafted}) {
    one->fill_user("Thanks.");
    must(one->open_answer());
  }
  expect(plain.tokens() == drafted.tokens(), "the conversation");
  const auto wrong = co_await plain.decode_step(Sampler::greedy(), Draft{{1, 2}, {-1, 1}});
  expect(!wrong && wrong.error().contains("[draft] got the parent 1 of token 1"), "a wrong tree");
  must(co_await plain.decode_step(Sampler::greedy()));
}

Task<void> samplers_of_the_program_draw_only_what_they_are_asked_for() {
  Context context = filled(kStory);
  size_t asked = 0;
  const Sampler best = Sampler::custom(1.0F, 8, [&](const inferlet::Distribution& of) {
    ++asked;
    return of.ids.front();
  });
  const auto drawn = must(co_await context.decode_step(best, Draft{{5, 6, 7, 8}, {}}));
  expect(drawn.size() == 1 && asked == 1, std::to_string(asked) + " rows were looked at");
}

// ---- samplers and stops together

Task<void> samplers_and_stops_compose() {
  Context context = filled("The capital of France is");
  Context first = context.fork();
  const uint32_t best = must(co_await first.decode_step(Sampler::greedy()));
  const std::map<std::string, Sampler> one_left = {
      {"top-k & top-p", Sampler::top_k(1.0F, 1) & Sampler::top_p(1.0F, 0.9F)},
      {"min-p & top-k", Sampler::min_p(1.0F, 0.0F) & Sampler::top_k(1.0F, 1)},
      {"top-p & min-p", Sampler::top_p(1.0F, 0.99F) & Sampler::min_p(1.0F, 1.0F)},
      {"plain & min-p", Sampler::multinomial(1.0F) & Sampler::min_p(1.0F, 1.0F)},
      {"filter", Sampler::filtered(1.0F, 16, [](inferlet::Distribution& of) {
         of.ids.resize(1);
         of.probabilities.resize(1);
       })}};
  for (const auto& [name, sampler] : one_left) {
    Context fork = context.fork();
    expect(must(co_await fork.decode_step(sampler)) == best, name);
  }
  // Two of four tokens are left: both come, and no other.
  std::map<uint32_t, size_t> seen;
  const Sampler two = Sampler::top_k(1.0F, 4) & Sampler::filtered(1.0F, 4, [](auto& of) {
                        of.ids = {of.ids[0], of.ids[1]};
                        of.probabilities = {0.5F, 0.5F};
                      });
  for (size_t i = 0; i < 40; ++i) {
    Context fork = context.fork();
    ++seen[must(co_await fork.decode_step(two))];
  }
  expect(seen.size() == 2, std::to_string(seen.size()) + " tokens of 40 draws between two");

  const auto ends_at = [&](Stop stop) {
    std::vector<uint32_t> tokens;
    while (tokens.size() < 40 && !stop.check(tokens).stop) tokens.push_back(tokens.size() % 5);
    return tokens.size();
  };
  const Stop fours = Stop::ends_with_any({{3, 4}});
  expect(ends_at(fours) == 5, "a sequence");
  expect(ends_at(Stop::max_len(7) & fours) == 10, "a sequence after seven tokens");
  expect(ends_at((Stop::max_len(7) & fours) | Stop::max_len(8)) == 8, "or at eight");
  expect(
      ends_at(Stop::when([](auto tokens) { return tokens.size() == 6; }) | Stop::max_len(9)) == 6,
      "a condition of the program");
  expect(ends_at(Stop::when([](auto tokens) { return tokens.size() > 6; }) & fours) == 10, "both");
  co_return;
}

// ---- exports

Task<void> an_exported_context_is_imported() {
  for (const char* name : {"task-scenarios/a", "task-scenarios/b"}) {
    Context context = filled(name[15] == 'a' ? kStory : kStory.substr(0, 60));
    (void)inferlet::release_export(context.queue(), name);
    must(context.export_as(name));
    expect(!context.export_as(name), "the name is in use");
    Context one = must(Context::import(name)), two = must(Context::import(name));
    expect(one.tokens() == context.tokens(), "the tokens");
    must(one.fill(" and"));
    const auto [a, b, c] =
        co_await inferlet::when_all(go_on(one.fork(), "", 6), go_on(std::move(two), " and", 6),
                                    go_on(context.fork(), " and", 6));
    expect(a == b && b == c, a + " / " + b + " / " + c);
    must(inferlet::release_export(context.queue(), name));
    expect(!inferlet::release_export(context.queue(), name), "it is released");
    expect(Context::import(name).error().contains("which is not exported"), "and gone");
  }
}

// ---- tools

enum class Unit { kCelsius, kFahrenheit };
constexpr auto enum_names(Unit /*of*/) { return std::array{"celsius", "fahrenheit"}; }

struct Place {
  std::string city;
  std::optional<std::string> country;
  static constexpr auto kFields =
      std::tuple(inferlet::Field{"city", &Place::city, "Name of the city"},
                 inferlet::Field{"country", &Place::country});
};

struct Question {
  Place place;
  std::vector<uint8_t> hours;
  double height = 0.0;
  int32_t days = 0;
  bool is_short = false;
  std::optional<Unit> unit;
  static constexpr auto kFields = std::tuple(
      inferlet::Field{"place", &Question::place},
      inferlet::Field{"hours", &Question::hours, "Of the day"},
      inferlet::Field{"height", &Question::height}, inferlet::Field{"days", &Question::days},
      inferlet::Field{"is_short", &Question::is_short}, inferlet::Field{"unit", &Question::unit});
};

Task<void> tools_are_typed_functions() {
  inferlet::Tools tools;
  tools
      .add("weather", "What the weather is like",
           [](const Question& q) {
             return q.place.city + " " + std::to_string(q.hours.size()) + " " +
                    std::to_string(q.days) + (q.unit == Unit::kFahrenheit ? " F" : " C");
           })
      .add("time", "What time it is", [] { return 12; })
      .add("slow", "Waits", [](Place place) -> Task<Result<Place>> {
        co_await inferlet::sleep(5ms);
        if (place.city.empty()) co_return inferlet::fail("no city");
        place.country = "France \"\\\n";
        co_return place;
      });
  const std::string schema = tools.schema().text();
  const std::string expected =
      R"([{"type":"function","function":{"name":"weather","description":"What the weather is like",)"
      R"("parameters":{"type":"object","properties":{"place":{"type":"object","properties":)"
      R"({"city":{"type":"string","description":"Name of the city"},"country":{"type":"string"}},)"
      R"("required":["city"],"additionalProperties":false},"hours":{"type":"array","items":)"
      R"({"type":"integer","minimum":0},"description":"Of the day"},"height":{"type":"number"},)"
      R"("days":{"type":"integer"},"is_short":{"type":"boolean"},"unit":{"type":"string","enum":)"
      R"(["celsius","fahrenheit"]}},"required":["place","hours","height","days","is_short"],)"
      R"("additionalProperties":false}}},{"type":"function","function":{"name":"time",)"
      R"("description":"What time it is","parameters":{"type":"object","properties":{}}}},)"
      R"({"type":"function","function":{"name":"slow","description":"Waits","parameters":)"
      R"({"type":"object","properties":{"city":{"type":"string","description":"Name of the city"},)"
      R"("country":{"type":"string"}},"required":["city"],"additionalProperties":false}}}])";
  expect(schema == expected, "the schema: " + schema);

  const auto call = [&](const char* name, const char* text) -> Task<std::string> {
    auto answer = co_await tools.call(name, text);
    co_return answer ? *answer : answer.error();
  };
  const std::array<std::array<const char*, 3>, 10> calls = {{
      {"weather",
       R"({"place": {"city": "Bern"}, "hours": [1, 2], "height": 5, "days": 3.0, "is_short": true,
           "unit": "fahrenheit"})",
       "Bern 2 3 F"},
      {"time", "", "12"},
      {"slow", R"({"city": "Paris"})", R"({"city":"Paris","country":"France \"\\\n"})"},
      {"slow", R"({"city": ""})", "no city"},
      {"slow", R"({"city": 5})", "[slow.city] got a number, expected a string"},
      {"slow", R"({})", "[slow.city] got nothing, expected a value"},
      {"slow", R"({"city": "Bern", "zip": 1})",
       "[slow] got the member 'zip', expected only 'city', 'country'"},
      {"slow", R"({"city": "Bern")", "[slow] [JSON] got the end at byte 15, expected ',' or '}'"},
      {"weather", R"({"place": {"city": "B"}, "hours": [256], "height": 1, "days": 1,
                      "is_short": false})",
       "[weather.hours[0]] got 256, expected 0 to 255"},
      {"rain", "{}", "[tool] got 'rain', expected one of 'weather', 'time', 'slow'"},
  }};
  for (const auto& [name, text, wanted] : calls) {
    const std::string got = co_await call(name, text);
    expect(got == wanted, std::string(name) + " " + text + ": " + got);
  }
  expect(must(co_await tools.call(R"({"name": "time", "arguments": {}})")) == "12", "as one text");

  const Place place{"Z\u00fcrich", std::nullopt};
  inferlet::kvs::set_as("task-scenarios/place", place);
  const auto kept = must(inferlet::kvs::get_as<Place>("task-scenarios/place"));
  expect(kept && kept->city == place.city && !kept->country, "what the store gives back");
  expect(!inferlet::kvs::get_as<Unit>("task-scenarios/place"), "as another type");
  expect(!must(inferlet::kvs::get_as<Place>("task-scenarios/none")), "what is not there");
}

Task<void> json_is_read_and_written() {
  const std::array<std::array<const char*, 2>, 9> same = {{
      {" [1, -2.5, 1e3, 0, \"a\\u00e9\\ud83d\\ude00\\n/\\/\", true, false, null] ",
       "[1,-2.5,1000,0,\"a\u00e9\U0001F600\\n//\",true,false,null]"},
      {"{\"a\": {\"b\": []}, \"c\": {}}", "{\"a\":{\"b\":[]},\"c\":{}}"},
      {"0.1", "0.1"},
      {"9223372036854775807", "9223372036854775807"},
      {"123456789012345678901", "1.2345678901234568e+20"},
      {"\"\\u0001\"", "\"\\u0001\""},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"-0.0", "-0"},
      {"\"\"", "\"\""},
  }};
  for (const auto& [text, wanted] : same) {
    const std::string got = must(inferlet::Json::parse(text)).text();
    expect(got == wanted, std::string(text) + ": " + got);
  }
  for (const char* text : {"", "[1,]", "{\"a\":1,}", "01", "1 2", "nul", "\"\\x\"", "\"\\ud800\"",
                           "\"", "[", "+1", ".5", "1.", "'a'", "\"\n\"", "{\"a\" 1}"})
    expect(!inferlet::Json::parse(text), std::string("it read ") + text);
  expect(!inferlet::Json::parse(std::string(100'000, '[')), "a hundred thousand levels");
  co_return;
}

/// Says when it goes.
struct Guard {
  std::string* log;
  const char* name;
  Guard(std::string* into, const char* of) : log(into), name(of) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() { *log += name; }
};

Result<int> halved(int number) {
  if (number % 2 != 0) return inferlet::fail("odd " + std::to_string(number));
  return number / 2;
}

Task<Result<int>> halved_late(int number, std::chrono::milliseconds after) {
  if (after > 0ms) co_await inferlet::sleep(after);
  co_return halved(number);
}

Task<Result<std::string>> halved_twice(int number, std::chrono::milliseconds after,
                                       std::string* log) {
  const Guard outer(log, "o");
  const int once = co_await inferlet::ok(halved(number));
  const Guard inner(log, "i");
  const int twice = co_await inferlet::ok(halved_late(once, after));
  *log += "e";
  co_return std::to_string(twice);
}

Task<void> an_error_ends_the_task_that_was_not_ready_for_it() {
  using inferlet::ok;
  for (const auto after : {0ms, 2ms}) {
    std::string log;
    expect(must(co_await halved_twice(12, after, &log)) == "3" && log == "eio", "12: " + log);
    log.clear();
    {
      const auto task = co_await halved_twice(6, after, &log);
      expect(!task && task.error() == "odd 3", "6 was halved twice");
      expect(!log.contains('e'), "it went on behind the error");
    }
    expect(log == "io", "6: " + log);
    log.clear();
    expect((co_await halved_twice(5, after, &log)).error() == "odd 5", "5 was halved");
    // Outside of a coroutine, and in all and any of several.
    expect(halved_twice(6, after, &log).wait().error() == "odd 3", "wait()");
    std::vector<Task<Result<std::string>>> several;
    for (const int number : {4, 5, 6, 8}) several.push_back(halved_twice(number, after, &log));
    const auto results = co_await inferlet::when_all(std::move(several));
    expect(*results[0] == "1" && results[1].error() == "odd 5" && *results[3] == "2", "when_all");
    const auto all = [](auto values) -> Task<Result<std::string>> {
      std::string text;
      for (const std::string& one : co_await ok(std::move(values))) text += one + " ";
      co_return text;
    };
    expect((co_await all(results)).error() == "odd 5", "the first error of several");
    expect(*co_await all(std::vector<Result<std::string>>{results[0], results[3]}) == "1 2 ",
           "several values");
    const auto first =
        co_await inferlet::when_any(halved_twice(6, after, &log), halved_late(4, 10s));
    expect(first.index() == 0 && std::get<0>(first).error() == "odd 3", "when_any");
    expect(!(co_await inferlet::with_timeout(halved_twice(12, 10s, &log), 1ms)), "dropped");
  }
  const auto flushed = []() -> Task<Result<size_t>> {
    Context context = co_await ok(Context::create());
    co_await ok(context.fill(kStory));
    co_await ok(context.flush());
    co_return context.size();
  };
  expect(must(co_await flushed()) > 10, "flush");
}

Task<void> a_context_becomes_another_text() {
  const std::string story(kStory);
  for (const std::string& other :
       {story + " at all", story.substr(0, 60) + " or two", std::string("Nothing else")}) {
    Context context = filled(story), fresh = filled(other);
    must(co_await context.generate(Sampler::greedy(), Stop::max_len(5)));
    const Context fork = context.fork();
    const std::vector<uint32_t> had = fork.tokens();
    must(context.become(other));
    expect(context.tokens() == fresh.tokens(), "other tokens: " + other);
    const auto got = must(co_await context.generate(Sampler::greedy(), Stop::max_len(12)));
    const auto wanted = must(co_await fresh.generate(Sampler::greedy(), Stop::max_len(12)));
    expect(got == wanted, got + " / " + wanted);
    expect(fork.tokens() == had, "the fork changed");
  }
}

/// A part of full pages at a place of its own.
Context part(std::string_view text, size_t position) {
  Context context = must(Context::create());
  std::vector<uint32_t> tokens = context.tokenizer().tokenize(text);
  tokens.resize(tokens.size() / context.model().kv_page_size() * context.model().kv_page_size());
  context.set_position(position);
  must(context.fill_tokens(tokens));
  must(context.flush());
  context.queue().synchronize();  // others read its pages by queues of their own
  return context;
}

Task<void> parts_are_joined_and_exported_where_they_lie() {
  const std::string text = std::string(kStory) + std::string(kStory);
  Context first = part(text, 0), second = part(text, 500);
  must(second.export_as("join/second"));
  std::vector<std::string> answers;
  for (const bool is_imported : {false, true}) {
    Context whole = must(Context::create());
    must(whole.join(first));
    if (is_imported) {
      must(whole.join(must(Context::import("join/second"))));
    } else {
      must(whole.join(second));
    }
    expect(whole.position() == 500 + second.size(), std::to_string(whole.position()));
    must(whole.fill(" and then"));
    answers.push_back(must(co_await whole.generate(Sampler::greedy(), Stop::max_len(20))));
  }
  expect(answers[0] == answers[1], answers[0] + " / " + answers[1]);
  must(inferlet::release_export(first.queue(), "join/second"));
  Context odd = filled("one two three");
  must(co_await odd.flush());
  expect(!first.join(odd).has_value(), "a part of a page was joined");
  expect(!second.save("join/second").has_value(), "a moved context was saved");
}

const std::map<std::string, Task<void> (*)()> kScenarios = {
    {"when-all", forks_together_say_what_they_say_one_after_the_other},
    {"timeout", a_timeout_fires_and_leaves_the_context_usable},
    {"when-any", the_loser_of_a_race_is_dropped_and_its_context_usable},
    {"dropped", dropped_steps_at_every_place_of_a_page},
    {"beside", work_goes_on_beside},
    {"many", the_last_of_many_is_not_forgotten},
    {"messages", messages_and_topics_are_awaited},
    {"drafts", a_text_with_drafts_is_the_text_without},
    {"drafts-chat", drafts_in_a_conversation},
    {"drafts-custom", samplers_of_the_program_draw_only_what_they_are_asked_for},
    {"compose", samplers_and_stops_compose},
    {"export", an_exported_context_is_imported},
    {"tools", tools_are_typed_functions},
    {"json", json_is_read_and_written},
    {"ok", an_error_ends_the_task_that_was_not_ready_for_it},
    {"become", a_context_becomes_another_text},
    {"join", parts_are_joined_and_exported_where_they_lie},
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  const auto scenario = kScenarios.find(arguments.empty() ? "" : arguments.front());
  if (scenario == kScenarios.end())
    co_return inferlet::fail("[scenario] there is none of that name");
  co_await scenario->second();
  if (!failure.empty()) co_return inferlet::fail(scenario->first + ": " + failure);
  co_return scenario->first + ": passed";
}
