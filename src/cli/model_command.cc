#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json_text.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/list_option.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "server/config.h"
#include "server/installed_models.h"
#include "server/model_report.h"

namespace pie::cli {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

struct ModelOptions {
  std::string model;
  std::string name;
  std::vector<uint32_t> threads;
  server::BenchOptions bench;
  bool is_linked = false;
  bool as_json = false;
};

/// What config.toml and the environment serve, as the models' files and their aliases.
struct ConfiguredModel {
  std::string source, alias;
  std::filesystem::path file;  ///< empty when there is none
};

std::vector<ConfiguredModel> configured_models(const server::Config& config) {
  std::vector<std::string> texts = {config.model.empty() ? server::kDefaultModel : config.model};
  texts.insert(texts.end(), config.models.begin(), config.models.end());
  std::vector<ConfiguredModel> all;
  for (const std::string& text : texts) {
    ConfiguredModel one{.source = text, .alias = "", .file = {}};
    if (const auto spec = server::parse_model_spec(text); spec.ok()) {
      one = {spec->source, spec->alias, {}};
      if (const auto file = server::find_model(config, spec->source); file.ok()) one.file = *file;
    }
    all.push_back(std::move(one));
  }
  return all;
}

/// One line of `pie model list`.
struct Row {
  std::string name;
  std::filesystem::path file;
  uint64_t size_bytes = 0;
  std::string origin;   ///< "shipped", "added", "file" or "missing"
  std::string serving;  ///< "default", "also" or ""
  std::string alias;
};

std::vector<Row> list_rows(const server::Config& config) {
  std::vector<Row> rows;
  for (const auto& one : server::installed_models(config))
    rows.push_back(
        {one.name, one.file, one.size_bytes, one.is_shipped ? "shipped" : "added", "", ""});
  const auto configured = configured_models(config);
  for (size_t i = 0; i < configured.size(); ++i) {
    const ConfiguredModel& one = configured[i];
    auto row = std::find_if(rows.begin(), rows.end(),
                            [&](const Row& r) { return !one.file.empty() && r.file == one.file; });
    if (row == rows.end()) {
      std::error_code failed;
      const auto size = one.file.empty() ? 0 : std::filesystem::file_size(one.file, failed);
      row = rows.insert(rows.end(), {one.source, one.file, failed ? 0 : size,
                                     one.file.empty() ? "missing" : "file", "", ""});
    }
    row->serving = i == 0 ? "default" : "also";
    row->alias = one.alias;
  }
  return rows;
}

Result<void> list(const ModelOptions& options) {
  PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
  std::string json;
  if (!options.as_json)
    say("{:<32} {:>10}  {:<8} {:<8} {:<12} {}\n", "NAME", "SIZE", "ORIGIN", "SERVED", "ALIAS",
        "FILE");
  for (const Row& row : list_rows(config)) {
    if (options.as_json)
      json += fmt::format(
          "{}\n  {{\"name\": {}, \"file\": {}, \"size_bytes\": {}, \"origin\": {}, \"served\": {}, "
          "\"alias\": {}}}",
          json.empty() ? "" : ",", json_text(row.name), json_text(row.file.string()),
          row.size_bytes, json_text(row.origin), json_text(row.serving), json_text(row.alias));
    else
      say("{:<32} {:>6.1f} MiB  {:<8} {:<8} {:<12} {}\n", row.name,
          static_cast<double>(row.size_bytes) / kMiB, row.origin,
          row.serving.empty() ? "-" : row.serving, row.alias.empty() ? "-" : row.alias,
          printable_line(row.file.string()));
  }
  if (options.as_json) say("[{}\n]\n", json);
  return {};
}

Result<void> add(const ModelOptions& options) {
  PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
  PIE_TRY_ASSIGN(const auto added, server::add_model(config, options.model, options.name,
                                                     options.is_linked ? server::Placing::kLinked
                                                                       : server::Placing::kCopied));
  say("{}\n", added.name);
  return {};
}

std::string types_json(const server::ModelReport& report) {
  std::vector<std::string> types;
  for (const auto& type : report.tensor_types)
    types.push_back(fmt::format("{}: {{\"tensors\": {}, \"bytes\": {}}}", json_text(type.name),
                                type.tensor_count, type.bytes));
  return fmt::format("{{{}}}", fmt::join(types, ", "));
}

void print_json(const server::ModelReport& r, const std::string& file) {
  std::vector<std::string> stops;
  for (const std::string& stop : r.stop_tokens) stops.push_back(json_text(stop));
  say("{{\n  \"name\": {}, \"file\": {}, \"family\": {}, \"quantisation\": {}, \"executor\": {},\n"
      "  \"size_bytes\": {}, \"shards\": {}, \"parameters\": {}, \"context\": {}, \"layers\": {},\n"
      "  \"embedding\": {}, \"vocabulary\": {}, \"heads\": {}, \"kv_heads\": {}, \"head_size\": "
      "{},\n"
      "  \"sliding_window\": {}, \"windowed_layers\": {}, \"chat_template\": {}, "
      "\"tied_output\": {},\n  \"stop_tokens\": [{}],\n  \"tensor_types\": {}\n}}\n",
      json_text(r.name), json_text(file), json_text(r.family), json_text(r.quantisation),
      json_text(r.executor), r.size_bytes, r.shard_count, r.parameter_count, r.context_length,
      r.layer_count, r.embedding_size, r.vocab_size, r.head_count, r.kv_head_count, r.head_size,
      r.sliding_window, r.windowed_layer_count, r.has_chat_template, r.has_tied_output,
      fmt::join(stops, ", "), types_json(r));
}

void print_text(const server::ModelReport& r, const std::string& file) {
  const auto line = [](const char* what, const std::string& value) {
    say("{:<14} {}\n", what, printable_line(value));
  };
  line("name", r.name);
  line("file", file + (r.shard_count > 1 ? fmt::format(" ({} shards)", r.shard_count) : ""));
  line("family", r.family);
  line("size",
       fmt::format("{:.1f} MiB, {:.1f}M parameters", static_cast<double>(r.size_bytes) / kMiB,
                   static_cast<double>(r.parameter_count) / 1e6));
  line("quantisation", r.quantisation);
  line("context", fmt::format("{} tokens", r.context_length));
  line("layers", fmt::format("{} of {} ({} heads of {}, {} of K and V)", r.layer_count,
                             r.embedding_size, r.head_count, r.head_size, r.kv_head_count));
  if (r.sliding_window != 0)
    line("window",
         fmt::format("{} tokens in {} of the layers", r.sliding_window, r.windowed_layer_count));
  line("vocabulary", fmt::format("{} tokens{}", r.vocab_size,
                                 r.has_tied_output ? ", the output is tied to it" : ""));
  line("chat template", r.has_chat_template ? "yes" : "no");
  line("stop tokens", fmt::format("{}", fmt::join(r.stop_tokens, " ")));
  for (const auto& type : r.tensor_types)
    line(&type == r.tensor_types.data() ? "tensor types" : "",
         fmt::format("{:<6} {:>4} tensors, {:.1f} MiB", type.name, type.tensor_count,
                     static_cast<double>(type.bytes) / kMiB));
  line("executor", r.executor);
}

Result<void> info(const ModelOptions& options) {
  PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
  PIE_TRY_ASSIGN(const auto file, server::find_model(config, options.model));
  PIE_TRY_ASSIGN(const auto report, server::report_model(file));
  if (options.as_json)
    print_json(report, file.string());
  else
    print_text(report, file.string());
  return {};
}

uint32_t core_count() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return static_cast<uint32_t>(std::max(CPU_COUNT(&mask), 1));
}

Result<void> bench(const ModelOptions& options) {
  PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
  PIE_TRY_ASSIGN(const auto file, server::find_model(config, options.model));
  server::BenchOptions wanted = options.bench;
  wanted.thread_counts = options.threads;
  if (wanted.thread_counts.empty()) {
    wanted.thread_counts = {1};
    if (core_count() > 1) wanted.thread_counts.push_back(core_count());
  }
  PIE_TRY_ASSIGN(const auto report, server::report_model(file));
  PIE_TRY_ASSIGN(const auto speeds, server::bench_model(file, wanted));
  std::vector<std::string> rows;
  if (!options.as_json)
    say("{} ({}), {} executor\n{:>8} {:>16} {:>16}\n", report.name, report.quantisation,
        report.executor, "threads", fmt::format("prefill of {}", wanted.prompt_tokens), "decode");
  for (const auto& speed : speeds) {
    if (!options.as_json)
      say("{:>8} {:>10.1f} tok/s {:>10.1f} tok/s\n", speed.thread_count,
          speed.prefill_tokens_per_second, speed.decode_tokens_per_second);
    rows.push_back(fmt::format(
        "{{\"threads\": {}, \"prefill_tokens_per_second\": {:.2f}, "
        "\"decode_tokens_per_second\": {:.2f}}}",
        speed.thread_count, speed.prefill_tokens_per_second, speed.decode_tokens_per_second));
  }
  if (options.as_json)
    say("{{\"name\": {}, \"executor\": {}, \"prompt_tokens\": {}, \"decode_tokens\": {}, "
        "\"results\": [\n  {}\n]}}\n",
        json_text(report.name), json_text(report.executor), wanted.prompt_tokens,
        wanted.decode_tokens, fmt::join(rows, ",\n  "));
  return {};
}

CLI::App* add_subcommand(CLI::App* model, const char* name, const char* help, const char* example) {
  CLI::App* command = model->add_subcommand(name, help);
  command->footer(std::string("Exit code: 0, or 1 with the reason on stderr.\nExamples:\n") +
                  example);
  return command;
}

}  // namespace

void add_model_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ModelOptions>();
  CLI::App* model = app.add_subcommand("model", "The model files of this machine");
  model->require_subcommand(1);
  model->footer(
      "Models lie in PIE_HOME/models (`pie model add`) and in the installation. Families: llama, "
      "qwen2,\nqwen3, gemma2, gemma3, as GGUF files of any tensor type, also in shards.\n"
      "Examples:\n"
      "  pie model list\n"
      "  pie model add ~/Downloads/Qwen3-0.6B-Q8_0.gguf --name qwen3\n"
      "  pie serve --model qwen3 --model small=smollm2-135m-instruct\n");

  CLI::App* listing = add_subcommand(model, "list", "List installed and configured models",
                                     "  pie model list\n  pie model list --json\n");
  listing->add_flag("--json", options->as_json, "As a JSON list");
  on_call(listing, exit_code, [options] { return list(*options); });

  CLI::App* adding =
      add_subcommand(model, "add", "Copy a model file to PIE_HOME/models, once it has been loaded",
                     "  pie model add model.gguf --name small\n"
                     "  pie model add big-00001-of-00003.gguf --link\n");
  adding->add_option("file", options->model, "GGUF file; of a split model any shard")->required();
  adding->add_option("--name", options->name, "Its name [from the file]");
  adding->add_flag("--link", options->is_linked, "Symbolic links instead of copies");
  on_call(adding, exit_code, [options] { return add(*options); });

  CLI::App* telling = add_subcommand(model, "info", "Describe a model",
                                     "  pie model info smollm2-135m-instruct\n"
                                     "  pie model info model.gguf --json\n");
  telling->add_option("model", options->model, "GGUF file or name")->required();
  telling->add_flag("--json", options->as_json, "As a JSON object");
  on_call(telling, exit_code, [options] { return info(*options); });

  CLI::App* timing =
      add_subcommand(model, "bench", "Measure a model's speed on this machine",
                     "  pie model bench smollm2-135m-instruct\n"
                     "  pie model bench model.gguf --threads 1 --threads 4 --json\n");
  timing->add_option("model", options->model, "GGUF file or name")->required();
  add_list_option(*timing, "--threads", options->threads,
                  "Thread count; again for further ones [1 and all cores]")
      ->check(CLI::Range(1, 512));
  timing->add_option("--prompt", options->bench.prompt_tokens, "Tokens of the prompt [512]");
  timing->add_option("--decode", options->bench.decode_tokens, "Tokens decoded after it [64]");
  timing->add_option("--repetitions", options->bench.repetitions, "The median of so many [5]");
  timing->add_flag("--json", options->as_json, "As a JSON object");
  on_call(timing, exit_code, [options] { return bench(*options); });
}

}  // namespace pie::cli
