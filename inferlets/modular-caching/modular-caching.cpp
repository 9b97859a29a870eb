// Prompts put together from modules (a system text, a document, examples): each module is computed
// once, alone, at a place of its own, and exported; any later prompt takes the ones that it needs
// and computes nothing but its question.
//
//   --modules, -m       JSON (required): an object of texts by name. Its order gives each module
//   its
//                       positions, whichever of them a prompt uses
//   --use, -u           names of the modules of this prompt, with commas (default: all)
//   --question, -q      what follows them (required)
//   --max-tokens, -n    tokens of the answer at most (default 32)
//   --fresh             compute all modules in this instance and export none, to compare
//
// A module does not see the others: that is what makes it the same in every prompt. Returns the
// answer, and says on stderr how many modules were there already.
#include <pie/inferlet.h>

#include <algorithm>
#include <ranges>

using namespace inferlet;

namespace {

struct Module {
  std::string name;
  std::vector<uint32_t> tokens;  ///< filled up to full pages
  size_t text_size = 0;          ///< of them, those of the text
  size_t position = 0;

  /// Under which it is exported: of its text and its place.
  std::string key() const {
    uint64_t hash = position + 0xCBF29CE484222325U;
    for (const uint32_t token : tokens) hash = (hash ^ token) * 0x100000001B3U;
    return "module-" + name + "-" + std::to_string(hash);
  }
};

Result<std::vector<Module>> modules_of(const std::string& json, const Context& context) {
  const auto parsed = Json::parse(json);
  if (!parsed) return fail("[--modules] " + parsed.error());
  if (parsed->object() == nullptr)
    return fail("[--modules] got " + std::string(parsed->kind()) + ", expected an object of texts");
  const size_t page_size = context.model().kv_page_size();
  const uint32_t filler = context.tokenizer().tokenize("\n").front();
  std::vector<Module> all;
  size_t position = 0;
  for (const auto& [name, text] : *parsed->object()) {
    if (text.string() == nullptr || text.string()->empty())
      return fail("[--modules." + name + "] got " + text.kind() + ", expected a text");
    Module module{.name = name, .tokens = context.tokenizer().tokenize(*text.string())};
    module.text_size = module.tokens.size();
    module.position = position;
    module.tokens.resize((module.text_size + page_size - 1) / page_size * page_size, filler);
    position += module.tokens.size();
    all.push_back(std::move(module));
  }
  return all;
}

Task<Result<Context>> computed(const Module& module) {
  Context context = co_await ok(Context::create());
  context.set_position(module.position);
  co_await ok(context.fill_tokens(module.tokens));
  co_await ok(context.flush());
  co_return context;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string json, use, question;
  int64_t max_tokens = 32;
  bool is_fresh = false;
  ArgumentParser parser;
  parser.text("modules", 'm', &json)
      .option("use", 'u', &use)
      .text("question", 'q', &question)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("fresh", 0, &is_fresh);
  co_await ok(parser.parse(arguments));

  Context prompt = co_await ok(Context::create());
  const std::vector<Module> modules = co_await ok(modules_of(json, prompt));
  size_t end = 0, used = 0, found = 0;
  for (const Module& module : modules) {
    end = module.position + module.tokens.size();
    const auto is_it = [&](auto part) { return std::string_view(part) == module.name; };
    if (!use.empty() && std::ranges::none_of(use | std::views::split(','), is_it)) continue;
    auto part = is_fresh ? Result<Context>(fail("")) : Context::import(module.key());
    found += part ? 1 : 0;
    ++used;
    if (!part) {
      part = co_await computed(module);
      if (part && !is_fresh) co_await ok(part->export_as(module.key()));
    }
    const size_t begin = prompt.size();
    co_await ok(prompt.join(co_await ok(std::move(part))));
    prompt.mask_token_range(begin + module.text_size, prompt.size());  // the filler
  }
  if (used == 0) co_return fail("[--use] got '" + use + "', expected names of modules");
  print_error("[modules] " + std::to_string(found) + " of " + std::to_string(used) + " found\n");
  prompt.set_position(end);
  co_await ok(prompt.fill(question));
  co_return co_await ok(prompt.generate(
      Sampler::greedy(),
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(prompt.model())));
}
