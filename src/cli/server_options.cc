#include "cli/server_options.h"

#include "base/log.h"
#include "cli/list_option.h"

namespace pie::cli {

void add_server_options(CLI::App& command, ServerOptions& options) {
  add_list_option(command, "-m,--model", options.models,
                  "GGUF file, or the name of an installed model [smollm2-135m-instruct]; "
                  "ALIAS=FILE gives it a further name; again for further models");
  command.add_option("--threads", options.model_threads, "Threads of the model [physical cores]");
  command.add_option("--workers", options.worker_threads, "Threads that run programs [cores]");
  command.add_option("--kv-pages", options.kv_pages, "KV pages of the pool [by free memory]");
  command.add_option("--kv-format", options.kv_format, "K and V as f16, bf16 or q8 [f16]");
  command.add_flag("--verbose", options.verbose, "Write more to stderr");
}

Result<server::Config> make_config(const ServerOptions& options) {
  if (options.verbose) log::set_level(log::Level::kDebug);
  PIE_TRY_ASSIGN(server::Config config, server::load_config(server::default_home()));
  if (options.host) config.host = *options.host;
  if (options.port) config.port = *options.port;
  if (!options.models.empty()) {
    config.model = options.models[0];
    config.models.assign(options.models.begin() + 1, options.models.end());
  }
  if (options.model_threads) config.model_threads = *options.model_threads;
  if (options.worker_threads) config.worker_threads = *options.worker_threads;
  if (options.kv_pages) config.kv_pages = *options.kv_pages;
  if (options.kv_format) config.kv_format = *options.kv_format;
  if (options.auth) config.auth = *options.auth;
  if (options.tls_certificate) config.tls_certificate = *options.tls_certificate;
  if (options.tls_key) config.tls_key = *options.tls_key;
  config.allow_unauthenticated_network = options.allow_network;
  return config;
}

}  // namespace pie::cli
