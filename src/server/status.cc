#include "server/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_text.h"

namespace pie::server {

StatusReport::Lines StatusReport::lines(const std::string& user) const {
  Lines all;
  const auto uses = instances_.model_use(user);
  for (size_t model = 0; model < engines_.size(); ++model) {
    const auto* engine = engines_[model];
    const std::string& id = engine->model().info().id;
    const engine::EngineStats stats = engine->stats();
    const auto add = [&](const std::string& key, std::string value) {
      all.emplace_back(id + "." + key, std::move(value));
    };
    const auto add_resource = [&](const std::string& type, uint32_t capacity, uint32_t used,
                                  uint32_t exported) {
      add("resource.g0." + type + ".capacity", std::to_string(capacity));
      add("resource.g0." + type + ".available",
          std::to_string(capacity - std::min(capacity, used)));
      add("resource.g0." + type + ".used", std::to_string(used));
      add("resource." + type + ".exported_count", std::to_string(exported));
    };
    add("model.name", id);
    add_resource("kv_page", stats.kv_pages_capacity, stats.kv_pages_used, stats.kv_pages_exported);
    add_resource("embedding", stats.embeddings_capacity, stats.embeddings_used,
                 stats.embeddings_exported);
    add("instances.active_count", std::to_string(instances_.running_count()));
    for (const auto& [instance, of_models] : uses) {
      const host::ModelUse use = model < of_models.size() ? of_models[model] : host::ModelUse{};
      add("instance." + instance + ".kv_pages", std::to_string(use.kv_pages));
      add("instance." + instance + ".prefix_cache.hits", std::to_string(use.prefix_hits));
      add("instance." + instance + ".prefix_cache.tokens_saved", std::to_string(use.prefix_tokens));
    }
    add("model.throughput.tokens_per_second", fmt::format("{:.2f}", stats.tokens_per_second));
    add("model.latency.avg_ms", fmt::format("{:.3f}", stats.step_ms_mean));
    add("model.steps.count", std::to_string(stats.steps));
    add("model.steps.seconds", fmt::format("{:.6f}", static_cast<double>(stats.step_ns) * 1e-9));
    add("model.steps.tokens", std::to_string(stats.tokens_computed));
    add("prefix_cache.hits", std::to_string(stats.prefix_hits));
    add("prefix_cache.tokens_saved", std::to_string(stats.prefix_tokens_saved));
    add("prefix_cache.kv_pages", std::to_string(stats.kv_pages_cached));
    add("swap.kv_page.capacity", std::to_string(stats.swap_pages_capacity));
    add("swap.kv_page.used", std::to_string(stats.swap_pages_used));
    add("swap.kv_page.stored", std::to_string(stats.swap_pages_stored));
    add("swap.kv_page.loaded", std::to_string(stats.swap_pages_loaded));
  }
  return all;
}

std::string StatusReport::json(const std::string& user) const {
  std::string text = "{";
  for (const auto& [key, value] : lines(user)) {
    if (text.size() > 1) text += ", ";
    text.append(json_text(key)).append(": ").append(json_text(value));
  }
  return text + "}";
}

std::string StatusReport::text(const std::string& user) const {
  const auto all = lines(user);
  size_t width = 0;
  for (const auto& [key, value] : all) width = std::max(width, key.size());
  std::string text;
  for (const auto& [key, value] : all) text += fmt::format("{:<{}}  {}\n", key, width, value);
  return text;
}

}  // namespace pie::server
