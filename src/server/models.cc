#include "server/models.h"

#include <set>
#include <utility>

#include "base/log.h"
#include "base/machine.h"
#include "exec/open_executor.h"
#include "model/model.h"
#include "server/installed_models.h"
#include "server/sizes.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kPageTokens = 16;

/// A model on its way to an engine.
struct Opened {
  std::shared_ptr<const model::Model> model;
  const exec::ExecutorKind* kind = nullptr;
  exec::ExecutorNeeds needs;
  ModelSizes sizes;
};

Result<Opened> open_model(const Config& config, const std::string& source) {
  PIE_TRY_ASSIGN(const exec::KvFormat format, exec::parse_kv_format(config.kv_format));
  PIE_TRY_ASSIGN(const fs::path file, find_model(config, source));
  Opened opened;
  PIE_TRY_ASSIGN(opened.model, model::Model::load(file));
  PIE_TRY_ASSIGN(opened.kind, exec::find_executor_kind(*opened.model, config.executor));
  opened.needs = opened.kind->needs(*opened.model, format);
  return opened;
}

void log_sizes(const Opened& opened, const exec::ExecutorConfig& pool, const char* executor,
               const engine::EngineStats& stats) {
  const model::ModelInfo& info = opened.model->info();
  log::info("model {}: {}, {} executor with {} threads, steps of {} tokens", info.id,
            info.description, executor, pool.thread_count, pool.step_tokens_max);
  log::info("model {}: {} KV pages of {} = {} MiB = {} tokens for all programs, {} more on disk",
            info.id, pool.page_count, exec::kv_format_name(pool.kv_format),
            pool.page_count * opened.needs.page >> 20, uint64_t{pool.page_count} * kPageTokens,
            stats.swap_pages_capacity);
}

Result<std::unique_ptr<engine::Engine>> start_engine(const Config& config, const Machine& machine,
                                                     const Opened& opened) {
  PIE_TRY_ASSIGN(const exec::KvFormat format, exec::parse_kv_format(config.kv_format));
  const exec::ExecutorConfig pool{
      .page_count = opened.sizes.kv_pages,
      .page_size = kPageTokens,
      .step_tokens_max = opened.sizes.step_tokens,
      .thread_count = choose_model_threads(machine, config.model_threads),
      .kv_format = format};
  PIE_TRY_ASSIGN(auto executor, opened.kind->make(opened.model, pool));
  PIE_TRY_ASSIGN(auto engine,
                 engine::Engine::create(
                     opened.model, std::move(executor),
                     {.step_tokens_max = pool.step_tokens_max,
                      .step_ns_max = config.step_ms_max * 1'000'000,
                      .seed = config.seed,
                      .prefix_cache = config.prefix_cache,
                      .prefix_cache_shared = config.prefix_cache_shared,
                      .swap_folder = config.home / "run" / "swap",
                      .swap_bytes_max = config.swap_bytes_max,
                      .snapshot_folder = config.home / "snapshots" / opened.model->info().id,
                      .snapshot_user_bytes_max = config.snapshot_user_bytes_max}));
  log_sizes(opened, pool, opened.kind->name, engine->stats());
  return engine;
}

Error twice(const std::string& name) {
  return {ErrorCode::kInvalidArgument,
          "[models] got two models of the name '" + name +
              "', expected different ones: programs ask for a model by its name"};
}

}  // namespace

std::vector<engine::Engine*> ServedModels::pointers() const {
  std::vector<engine::Engine*> all;
  for (const auto& engine : engines) all.push_back(engine.get());
  return all;
}

Result<ServedModels> open_models(const Config& config) {
  std::vector<std::string> wanted = {config.model.empty() ? kDefaultModel : config.model};
  wanted.insert(wanted.end(), config.models.begin(), config.models.end());
  ServedModels served;
  std::set<std::string> names;
  std::vector<Opened> opened;
  std::vector<exec::ExecutorNeeds> needs;
  for (const std::string& text : wanted) {
    PIE_TRY_ASSIGN(const ModelSpec spec, parse_model_spec(text));
    PIE_TRY_ASSIGN(Opened one, open_model(config, spec.source));
    const std::string id = one.model->info().id;
    if (!names.insert(id).second) return twice(id);
    if (!spec.alias.empty() && spec.alias != id) {
      if (!names.insert(spec.alias).second) return twice(spec.alias);
      served.ids_of_aliases.emplace(spec.alias, id);
    }
    needs.push_back(one.needs);
    opened.push_back(std::move(one));
  }
  const Machine machine = Machine::read();
  PIE_TRY_ASSIGN(
      const std::vector<ModelSizes> sizes,
      choose_sizes(machine, needs,
                   {.step_tokens = config.step_tokens_max, .kv_pages = config.kv_pages}));
  for (size_t i = 0; i < opened.size(); ++i) {
    opened[i].sizes = sizes[i];
    PIE_TRY_ASSIGN(auto engine, start_engine(config, machine, opened[i]));
    served.engines.push_back(std::move(engine));
  }
  return served;
}

}  // namespace pie::server
