// What the SDK promises about contexts, shown on the server's model. The first argument names a
// scenario; it returns "NAME: passed", or fails with what was different.
//
// Two ways to the same sequence are compared by their distributions. On the reference executor the
// probabilities are equal to the last bit; the tolerance leaves room for executors that sum in
// another order, and is far below what one token more or less in sight does (0.1 and more).
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "scenario.h"

namespace {

using inferlet::Context;
using inferlet::Distribution;
using inferlet::Sampler;
using inferlet::Stop;

constexpr double kTolerance = 0.002;
/// The same keys at other slots: sums are cut elsewhere, and 8-bit activations amplify what that
/// rounds away (docs/NUMERICS.md).
constexpr double kMovedTolerance = 0.05;
constexpr std::string_view kStory =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the "
    "lamp, "
    "counted the ships and wrote their names into a book. One evening a ship came that had no name";

Context make() { return must(Context::create()); }

Context filled(std::string_view text) {
  Context context = make();
  must(context.fill(text));
  return context;
}

Context filled(std::span<const uint32_t> tokens) {
  Context context = make();
  must(context.fill_tokens(tokens));
  return context;
}

Distribution next(Context& context) { return must(context.next_distribution(1.0F, 50)); }

void expect_same(const Distribution& a, const Distribution& b, const std::string& what,
                 double tolerance = kTolerance) {
  std::map<uint32_t, double> probabilities;
  for (size_t i = 0; i < a.ids.size(); ++i) probabilities[a.ids[i]] = a.probabilities[i];
  double worst = 0.0;
  for (size_t i = 0; i < b.ids.size(); ++i) {
    const auto found = probabilities.find(b.ids[i]);
    const double other = found == probabilities.end() ? 0.0 : found->second;
    worst = std::max(worst, std::abs(other - static_cast<double>(b.probabilities[i])));
  }
  inferlet::print(what + ": " + std::to_string(worst) + "\n");
  expect(worst < tolerance, what + ": probabilities differ by " + std::to_string(worst));
}

bool differs(const Distribution& a, const Distribution& b) {
  return a.ids.front() != b.ids.front() ||
         std::abs(a.probabilities.front() - b.probabilities.front()) > kTolerance;
}

// ---- forks and batches

void fork_goes_on_from_the_same_place() {
  Context parent = filled(kStory);
  for (int i = 0; i < 5; ++i) must(parent.decode_step(Sampler::greedy()));
  Context child = parent.fork();
  must(parent.fill(" and its sails were red"));
  must(child.fill(" and its captain was a cat who"));
  Context parent_again = filled(parent.tokens());
  Context child_again = filled(child.tokens());
  expect_same(next(child), next(child_again), "the child");
  expect_same(next(parent), next(parent_again), "the parent");
  expect(child.kv_page_count() > 2, "the story fills pages");
}

void forks_of_a_conversation_answer_for_themselves() {
  Context parent = make();
  parent.fill_user("Name a fruit.");
  const Stop stop = Stop::max_len(12) | Stop::end_of_turn(parent.model());
  must(parent.generate(Sampler::greedy(), stop));
  Context child = parent.fork();
  child.fill_user("What colour has it?");
  parent.fill_user("Name another one.");
  const Distribution of_child = next(child);
  const Distribution of_parent = next(parent);
  Context child_again = filled(child.tokens());
  Context parent_again = filled(parent.tokens());
  expect_same(of_child, next(child_again), "the child");
  expect_same(of_parent, next(parent_again), "the parent");
  expect(child.tokens() != parent.tokens(), "the two conversations differ");
}

void steps_of_several_contexts_run_together() {
  const std::array<std::string_view, 3> texts = {"The capital of France is", "One, two, three,",
                                                 kStory};
  std::vector<Context> together;
  for (const std::string_view text : texts) together.push_back(filled(text));
  for (Context& context : together) must(context.begin_distribution(1.0F, 50));
  for (size_t i = 0; i < texts.size(); ++i) {
    Context alone = filled(texts[i]);
    expect_same(must(together[i].end_distribution()), next(alone), std::string(texts[i]));
  }
}

void a_prompt_in_pieces_is_the_whole_prompt() {
  Context whole = filled(kStory);
  const std::vector<uint32_t> tokens = whole.tokens();
  Context pieces = make();
  for (size_t begin = 0; begin < tokens.size(); begin += 7) {
    must(pieces.fill_tokens(
        std::span(tokens).subspan(begin, std::min<size_t>(7, tokens.size() - begin))));
    must(pieces.flush());
  }
  must(pieces.fill(" on"));
  must(whole.fill(" on"));
  expect_same(next(pieces), next(whole), "pieces of seven");
}

/// A context of the first `count` tokens of the story, told again until it is long enough.
Context of_length(size_t count) {
  std::vector<uint32_t> tokens = filled(kStory).tokens();
  while (tokens.size() < count) tokens.insert(tokens.end(), tokens.begin(), tokens.end());
  return filled(std::span(tokens).first(count));
}

void a_step_follows_whatever_left_nothing_pending() {
  const size_t page_size = must(inferlet::default_model()).kv_page_size();
  for (size_t count = 1; count <= 3 * page_size + 1; ++count) {
    const std::string length = std::to_string(count) + " tokens, ";
    const auto expect_goes_on = [&](Context& context, const std::string& what) {
      Context plain = of_length(count);
      expect(context.size() == count, length + what + " changes the length");
      expect_same(next(context), next(plain), length + what);
      expect(must(context.decode_step(Sampler::greedy())) ==
                 must(plain.decode_step(Sampler::greedy())),
             length + what + ": another token");
      expect(context.size() == count + 1, length + what + ": a token more");
    };
    Context flushed = of_length(count);
    must(flushed.flush());
    Context child = flushed.fork();
    expect_goes_on(flushed, "flush");
    expect_goes_on(child, "fork after flush");
    Context asked = of_length(count);
    next(asked);
    Context grandchild = asked.fork().fork();
    expect_goes_on(asked, "next_distribution");
    expect_goes_on(grandchild, "forks after next_distribution");
    Context saved = of_length(count);
    must(saved.save("pending"));
    Context loaded = must(Context::load("pending"));
    Context heir = loaded.fork();
    expect_goes_on(saved, "save");
    expect_goes_on(loaded, "load");
    expect_goes_on(heir, "fork after load");
    Context generated = of_length(count);
    must(generated.flush());
    must(generated.generate(Sampler::greedy(), Stop::max_len(3)));
    expect(generated.size() == count + 3, length + "generate after flush");
  }
  Context empty = make();
  expect(!empty.decode_step(Sampler::greedy()).wait(), "an empty context has no step");
}

// ---- masks

struct Parts {
  std::vector<uint32_t> before, hidden, after;
};

/// A story whose middle has `hidden` tokens and begins on a page boundary.
Parts parts(size_t page_size, size_t hidden) {
  const Context context = filled(kStory);
  std::vector<uint32_t> tokens = context.tokens();
  while (tokens.size() < page_size + hidden + 8)
    tokens.insert(tokens.end(), tokens.begin(), tokens.end());
  const auto at = [&](size_t i) { return tokens.begin() + static_cast<ptrdiff_t>(i); };
  return {{at(0), at(page_size)},
          {at(page_size), at(page_size + hidden)},
          {at(page_size + hidden), at(page_size + hidden + 8)}};
}

/// The parts with the hidden one left out, but its positions kept, in a pass of its own.
Distribution without_hidden(const Parts& parts) {
  inferlet::Model model = must(inferlet::default_model());
  inferlet::Queue queue = model.create_queue();
  std::vector<uint32_t> tokens = parts.before;
  tokens.insert(tokens.end(), parts.after.begin(), parts.after.end());
  std::vector<uint32_t> positions;
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    positions.push_back(i < parts.before.size() ? i : i + parts.hidden.size());
  }
  inferlet::ForwardPass pass(queue);  // no pages: the tokens see each other only
  pass.input_tokens(tokens, positions);
  const Sampler sampler = Sampler::distribution(1.0F, 50);
  sampler.request(pass, tokens.size() - 1);
  const std::optional<inferlet::PassResult> result = pass.execute();
  result->wait();
  return result->distributions()->front();
}

Context with_hidden(const Parts& parts) {
  Context context = filled(parts.before);
  must(context.fill_tokens(parts.hidden));
  must(context.flush());
  context.mask_token_range(parts.before.size(), parts.before.size() + parts.hidden.size());
  must(context.fill_tokens(parts.after));
  return context;
}

void masked_tokens_are_not_seen() {
  const Parts story = parts(16, 11);
  Context masked = with_hidden(story);
  Context plain = filled(masked.tokens());
  const Distribution got = next(masked);
  expect_same(got, without_hidden(story), "masked and left out", kMovedTolerance);
  expect(differs(got, next(plain)), "the mask changes nothing");
  masked.unmask_token_range(0, masked.size());
  must(masked.fill(" and"));
}

void dropped_pages_change_nothing_and_are_given_back() {
  const size_t page_size = must(inferlet::default_model()).kv_page_size();
  const Parts story = parts(page_size, 2 * page_size + 3);
  Context kept = with_hidden(story);
  Context dropped = with_hidden(story);
  must(dropped.flush());
  const size_t pages = dropped.kv_page_count();
  const size_t size = dropped.size();
  expect(dropped.drop_masked_pages() == 2, "two full pages are masked");
  expect(dropped.kv_page_count() == pages - 2, "two pages go");
  expect(dropped.size() == size - 2 * page_size, "their tokens go");
  must(kept.fill(" far"));
  must(dropped.fill(" far"));
  expect_same(next(dropped), next(kept), "dropped and kept");
}

// ---- samplers and stops

void samplers_that_leave_one_token_take_the_best() {
  const std::vector<std::pair<std::string, Sampler>> samplers = {
      {"temperature 0", Sampler::multinomial(0.0F)},
      {"top-k 1", Sampler::top_k(1.0F, 1)},
      {"top-p 0.01", Sampler::top_p(1.0F, 0.01F)},
      {"min-p 1", Sampler::min_p(1.0F, 1.0F)},
      {"top-k-top-p", Sampler::top_k_top_p(1.0F, 1, 0.9F)},
      {"custom", Sampler::custom(1.0F, 8, [](const Distribution& best) {
         expect(best.ids.size() == 8, "8 tokens were asked for");
         for (size_t i = 1; i < 8; ++i) {
           expect(best.probabilities[i] <= best.probabilities[i - 1], "most probable first");
         }
         return best.ids.front();
       })}};
  Context greedy = filled("The capital of France is");
  const uint32_t best = must(greedy.decode_step(Sampler::greedy()));
  for (const auto& [name, sampler] : samplers) {
    Context context = filled("The capital of France is");
    expect(must(context.decode_step(sampler)) == best, name);
  }
  Context second = filled("The capital of France is");
  const Sampler runner_up =
      Sampler::custom(1.0F, 2, [](const Distribution& d) { return d.ids[1]; });
  expect(must(second.decode_step(runner_up)) != best, "custom takes what it likes");
}

void generation_stops_where_it_is_told() {
  Context whole = filled(kStory);
  const size_t prompt = whole.size();
  must(whole.generate(Sampler::greedy(), Stop::max_len(12)));
  const std::vector<uint32_t> all = whole.tokens();
  const std::vector<uint32_t> generated(all.begin() + static_cast<ptrdiff_t>(prompt), all.end());
  expect(generated.size() == 12, "max_len counts tokens");

  Context cut = filled(kStory);
  std::string streamed;
  const Stop stop = Stop::ends_with_any({{generated[6], generated[7]}}) | Stop::max_len(12);
  const std::string answer =
      must(cut.generate(Sampler::greedy(), stop, [&](std::string_view text) { streamed += text; }));
  size_t end = 2;  // the two may come earlier
  while (generated[end - 2] != generated[6] || generated[end - 1] != generated[7]) ++end;
  expect(cut.size() == prompt + end, "the end sequence is in the context");
  expect(answer == cut.tokenizer().detokenize(std::span(generated).first(end - 2)),
         "the end sequence is not in the answer: " + answer);
  expect(streamed == answer, "what was streamed is the answer");
}

void characters_of_several_tokens_come_out_whole() {
  const inferlet::Model model = must(inferlet::default_model());
  const inferlet::Tokenizer tokenizer = model.tokenizer();
  const std::string text = "na\u00efve \U0001F916 \u65e5\u672c\u8a9e \U0001F1EB\U0001F1F7 end";
  inferlet::TextStream stream(tokenizer);
  std::string joined;
  for (const uint32_t token : tokenizer.tokenize(text)) {
    const std::string piece = stream.push(token);
    expect(piece.find("\xEF\xBF\xBD") == std::string::npos, "a piece is cut within a character");
    joined += piece;
  }
  joined += stream.finish();
  expect(joined == text, "joined: " + joined);
}

// ---- conversations

void a_conversation_is_what_the_template_writes() {
  Context context = make();
  const Stop stop = Stop::max_len(48) | Stop::end_of_turn(context.model());
  std::vector<inferlet::ChatMessage> messages = {{"system", "Answer with one word."}};
  context.fill_system(messages.front().content);
  for (const char* question : {"What is the capital of France?", "And of Italy?"}) {
    context.fill_user(question);
    messages.push_back({"user", question});
    messages.push_back({"assistant", must(context.generate(Sampler::greedy(), stop))});
  }
  context.fill_user("Thanks.");
  messages.push_back({"user", "Thanks."});
  must(context.next_distribution(1.0F, 1));  // writes the turn
  const std::string written = context.tokenizer().detokenize(context.tokens());
  const std::string rendered = must(inferlet::render_chat(context.model(), messages, true));
  expect(written == rendered, "written: " + written + "\nrendered: " + rendered);
}

void text_filled_into_an_answer_is_part_of_it() {
  Context context = make();
  context.fill_user("Count.");
  must(context.next_distribution(1.0F, 1));  // opens the answer
  must(context.fill("One, two, three."));
  context.fill_user("Go on.");
  must(context.next_distribution(1.0F, 1));
  const std::vector<inferlet::ChatMessage> messages = {
      {"user", "Count."}, {"assistant", "One, two, three."}, {"user", "Go on."}};
  const std::string written = context.tokenizer().detokenize(context.tokens());
  expect(written == must(inferlet::render_chat(context.model(), messages, true)), written);
}

/// For a model whose template leaves out of earlier answers what was thought in them.
void a_template_that_rewrites_earlier_turns() {
  Context context = make();
  context.fill_user("he said that he was here, and he went on and on until all of us had left");
  must(context.open_answer());
  must(context.fill("<think>why</think>he is"));
  Context before = context.fork();
  const std::vector<uint32_t> tokens_before = before.tokens();
  context.fill_user("and then");
  must(context.open_answer());
  const std::vector<inferlet::ChatMessage> messages = {
      {"user", "he said that he was here, and he went on and on until all of us had left"},
      {"assistant", "<think>why</think>he is"},
      {"user", "and then"}};
  const std::string rendered = must(inferlet::render_chat(context.model(), messages, true));
  const std::string written = context.tokenizer().detokenize(context.tokens());
  expect(written == rendered, "written: " + written + "\nrendered: " + rendered);
  expect(rendered.find("why") == std::string::npos, "the template leaves thoughts out");
  Context again = filled(context.tokens());
  expect_same(next(context), next(again), "what was written anew");
  expect(before.tokens() == tokens_before, "the fork is as it was");
  Context before_again = filled(tokens_before);
  expect_same(next(before), next(before_again), "the fork");
}

/// For a model that expects a token before every text.
void text_begins_as_the_model_expects() {
  const inferlet::ModelInfo info = must(inferlet::default_model()).info();
  expect(info.adds_bos && info.bos_token.has_value(), "the model adds a token");
  const uint32_t bos = *info.bos_token;
  const auto count = [&](const Context& context) {
    const std::vector<uint32_t> tokens = context.tokens();
    return std::count(tokens.begin(), tokens.end(), bos);
  };
  Context plain = filled("hello");
  expect(plain.tokens().front() == bos, "it goes before the first text");
  must(plain.fill(" hello"));
  expect(count(plain) == 1, "and before no other");
  Context written = filled("<bos>hello");
  expect(count(written) == 1, "a text that has it gets no second one");
  const std::vector<uint32_t> own = {5, 6};
  expect(filled(own).tokens() == own, "tokens are as they are");
  Context chat = make();
  chat.fill_user("hello");
  must(chat.open_answer());
  expect(count(chat) == 1 && chat.tokens().front() == bos, "a template that writes it writes it");
}

/// For a model with a short context.
void beyond_the_context_length() {
  Context context = make();
  const size_t length = context.model().info().context_length;
  expect(context.room() == length, "all of it is left");
  const std::vector<uint32_t> tokens(length + 40, 7);
  must(context.fill_tokens(tokens));
  expect(context.room() == 0, "nothing is left");
  for (int i = 0; i < 3; ++i) must(context.decode_step(Sampler::greedy()));
}

// ---- beam search

double score_of(std::string_view prompt, std::span<const uint32_t> tokens) {
  Context context = filled(prompt);
  double score = 0.0;
  for (const uint32_t token : tokens) {
    const Distribution best = must(context.next_distribution(1.0F, 50));
    double probability = 1e-9;
    for (size_t i = 0; i < best.ids.size(); ++i) {
      if (best.ids[i] == token) probability = static_cast<double>(best.probabilities[i]);
    }
    score += std::log(probability);
    must(context.fill_tokens(std::span(&token, 1)));
  }
  return score;
}

void a_beam_of_three_is_no_worse_than_greedy() {
  constexpr std::string_view kPrompt = "The three primary colours are";
  const Stop stop = Stop::max_len(5);
  const Context start = filled(kPrompt);
  const inferlet::BeamAnswer one = must(inferlet::beam_search(start, 1, stop));
  const inferlet::BeamAnswer three = must(inferlet::beam_search(start, 3, stop));
  Context greedy = start.fork();
  const std::string answer = must(greedy.generate(Sampler::greedy(), stop));
  expect(one.text == answer, "one beam is greedy: " + one.text + " / " + answer);
  expect(three.tokens.size() == 5, "five tokens");
  expect(three.log_probability >= one.log_probability - 0.05, "three beams: " + three.text);
  const double checked = score_of(kPrompt, three.tokens);
  expect(std::abs(checked - three.log_probability) < 0.2,
         "its log-probability is " + std::to_string(checked) + ", said " +
             std::to_string(three.log_probability));
}

const std::map<std::string, std::function<void()>> kScenarios = {
    {"fork", fork_goes_on_from_the_same_place},
    {"fork-chat", forks_of_a_conversation_answer_for_themselves},
    {"parallel", steps_of_several_contexts_run_together},
    {"chunks", a_prompt_in_pieces_is_the_whole_prompt},
    {"pending", a_step_follows_whatever_left_nothing_pending},
    {"rewrite", a_template_that_rewrites_earlier_turns},
    {"bos", text_begins_as_the_model_expects},
    {"beyond", beyond_the_context_length},
    {"mask", masked_tokens_are_not_seen},
    {"drop-pages", dropped_pages_change_nothing_and_are_given_back},
    {"samplers", samplers_that_leave_one_token_take_the_best},
    {"stop", generation_stops_where_it_is_told},
    {"stream", characters_of_several_tokens_come_out_whole},
    {"conversation", a_conversation_is_what_the_template_writes},
    {"reply-prefix", text_filled_into_an_answer_is_part_of_it},
    {"beam", a_beam_of_three_is_no_worse_than_greedy},
};

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  const auto scenario = kScenarios.find(arguments.empty() ? "" : arguments.front());
  if (scenario == kScenarios.end()) return inferlet::fail("[scenario] there is none of that name");
  scenario->second();
  if (!failure.empty()) return inferlet::fail(scenario->first + ": " + failure);
  return scenario->first + ": passed";
}
