#include "server/server.h"

#include <openssl/rand.h>

#include <atomic>
#include <optional>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/work_queue.h"
#include "instance/instance_manager.h"
#include "instance/local_bus.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/ip_address.h"
#include "net/shares.h"
#include "server/child_programs.h"
#include "server/compiled_ahead.h"
#include "server/home_lock.h"
#include "server/models.h"
#include "server/private_folder.h"
#include "server/program_library.h"
#include "server/session.h"
#include "server/sizes.h"
#include "server/spools.h"
#include "server/status.h"
#include "server/totals.h"
#include "server/version.h"
#include "store/authorized_users.h"
#include "store/store.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSweepMs = 5'000;
constexpr uint64_t kDrainMs = 2'000;
constexpr uint32_t kNetThreads = 3;
/// Of connections that are to become WebSockets.
constexpr uint64_t kHandshakeBytesMax = 16 << 10;  ///< browsers send cookies along
constexpr uint64_t kHandshakeMsMax = 10'000;       ///< of TLS, and of the WebSocket
constexpr uint32_t kRequestsPendingMax = 8'192;    ///< of one user, over all connections
/// Of a queue that is bounded by what posts to it: the backlog of each connection's uploads.
constexpr uint32_t kUnbounded = UINT32_MAX;
constexpr const char* kServerOwner = "";  ///< of work that no user has asked for
constexpr uint64_t kMsPerSecond = 1'000;

std::string make_token() {
  unsigned char bytes[32];
  PIE_CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  std::string token;
  for (const unsigned char byte : bytes) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  return token;
}

/// Everybody who reaches an address can run programs there, unless clients prove who they are.
Result<void> check_who_may_connect(const Config& config) {
  if (config.auth || net::is_loopback_host(config.host) || config.allow_unauthenticated_network)
    return {};
  return Error{ErrorCode::kPermissionDenied,
               "[--host] got " + config.host +
                   " with authentication disabled, expected a loopback address: everybody who "
                   "reaches this address could run programs here; pass --auth (and add users by "
                   "`pie auth add`), serve on 127.0.0.1, or pass "
                   "--allow-unauthenticated-network to accept that"};
}

class PieServer final : public Server {
 public:
  explicit PieServer(const Config& config)
      : config_(config),
        token_(make_token()),
        ledger_(config.limits.user, choose_totals(config.limits.total), system_clock().wall_ns()),
        reserve_(config.home, config.limits.disk_reserve_bytes),
        requests_({.name = "requests", .owner_pending_max = kRequestsPendingMax}),
        compile_({.name = "compile", .thread_count = 2}),
        disk_({.name = "disk",
               .thread_count = 2,
               .owner_pending_max = kUnbounded,
               .pending_max = kUnbounded}) {}
  ~PieServer() override { stop(); }

  Result<void> open() {
    PIE_TRY(check_who_may_connect(config_));
    PIE_TRY(make_private_folder(config_.home));
    PIE_TRY_ASSIGN(lock_, HomeLock::take(config_.home));
    if (config_.auth) {
      users_.emplace(authorized_users_file(config_.home));
      PIE_TRY(users_->load());
      if (users_->user_count() == 0)
        log::warning("authentication is on and nobody is authorized: add users by `pie auth add`");
    }
    spools_.emplace(config_.home / "run" / "spool", ledger_, disk_, reserve_);
    PIE_TRY_ASSIGN(store_,
                   store::Store::open(
                       {.home = config_.home,
                        .registry_roots = {config_.share / "registry", config_.home / "registry"},
                        .kvs_user_bytes_max = config_.limits.user.kvs_bytes_max,
                        .disk_reserve_bytes = config_.limits.disk_reserve_bytes},
                       ledger_));
    log::info("machine: {}; {} threads run programs", describe(Machine::read()), worker_count());
    PIE_TRY(check_address_space(Machine::read()));
    PIE_TRY_ASSIGN(models_, open_models(config_));
    const host::HostConfig host_config{.worker_count = worker_count(),
                                       .cache_folder = cache_folder(),
                                       .cache_bytes_max = config_.limits.compiled_disk_bytes_max,
                                       .installed_folder = compiled_folder(config_.share),
                                       .server_version = kVersion,
                                       .model_aliases = models_.ids_of_aliases};
    PIE_TRY(open_http_client());
    PIE_TRY_ASSIGN(host_,
                   host::ProgramHost::create(host_config, models_.pointers(), store_->key_values(),
                                             bus_, http_client_.get()));
    programs_.emplace(
        store_->programs(), *host_, config_.limits.user.program_bytes_max,
        CompiledPrograms::Config{.memory_bytes_max = config_.limits.compiled_memory_bytes_max,
                                 .programs_max = choose_ready_programs_max(),
                                 .python_runtime = python_runtime_file(config_)});
    child_programs_.emplace(*programs_, compile_);
    instances_.emplace(config_.limits,
                       instance::InstanceServices{ledger_, *host_, store_->instances(),
                                                  net_threads_, system_clock(), *child_programs_});
    const auto engines = models_.pointers();
    status_.emplace(std::vector<const engine::Engine*>(engines.begin(), engines.end()),
                    *instances_);
    PIE_TRY(instances_->recover());
    PIE_TRY(write_file_atomically(token_file(config_.home), token_, 0600));
    return listen();
  }

  const std::string& url() const override { return url_; }
  const std::string& internal_token() const override { return token_; }

  void stop() override {
    if (stopped_.exchange(true)) return;
    if (sockets_) sockets_->stop_and_wait(kDrainMs);
    requests_.stop(WorkQueue::Rest::kDrop);
    compile_.stop(WorkQueue::Rest::kDrop);
    if (instances_) instances_->stop();
    disk_.stop(WorkQueue::Rest::kFinish);
    if (store_) store_->stop();
    std::error_code ignored;
    if (lock_) fs::remove(token_file(config_.home), ignored);
    host_.reset();
    models_.engines.clear();
    net_threads_.stop();
  }

 private:
  uint32_t worker_count() const {
    return choose_worker_threads(Machine::read(), config_.worker_threads);
  }
  fs::path cache_folder() const {
    return config_.cache.empty() ? config_.home / "cache" : config_.cache;
  }

  /// What programs send requests with; nothing, when no host is allowed.
  Result<void> open_http_client() {
    if (config_.http_allow.empty()) return {};
    PIE_TRY_ASSIGN(
        http_client_,
        net::HttpClient::create(
            net_threads_, {.allow = config_.http_allow,
                           .ca_file = config_.http_ca_file,
                           .calls_max = config_.limits.http_calls_max,
                           .calls_per_user_max = config_.limits.user.http_calls_max,
                           .unread_ms_max = config_.limits.http_unread_s_max * kMsPerSecond}));
    return {};
  }

  Result<void> listen() {
    services_.emplace(SessionServices{system_clock(), config_.limits, token_,
                                      users_ ? &*users_ : nullptr, failures_, *spools_,
                                      store_->programs(), *programs_, *instances_, *status_,
                                      ledger_, requests_, compile_, disk_, connections_});
    const net::HttpServerConfig sockets{
        .host = config_.host,
        .port = config_.port,
        .connections_max = choose_connections_max(config_.limits.connections_max),
        .unknown_per_address_max = config_.limits.strangers_per_address_max,
        .header_bytes_max = kHandshakeBytesMax,
        .first_header_ms_max = kHandshakeMsMax,
        .tls_certificate = config_.tls_certificate,
        .tls_key = config_.tls_key};
    const net::WsConfig websockets{
        .frame_bytes_max = config_.limits.frame_bytes_max,
        .user_receive_bytes_max = config_.limits.user.receive_bytes_max,
        .total_receive_bytes_max = choose_totals(config_.limits.total).receive_bytes_max,
        .origins = {.allowed = config_.origins_allow,
                    .by_loopback_alone = !config_.auth && net::is_loopback_host(config_.host)}};
    const auto accept = [this] { return std::make_shared<Session>(*services_); };
    PIE_TRY_ASSIGN(sockets_, net::HttpServer::listen(net_threads_, sockets, nullptr,
                                                     net::WsRoute{websockets, accept}));
    const std::string host(net::without_brackets(config_.host));
    const bool is_v6 = host.find(':') != std::string::npos;
    url_ = (config_.tls_key.empty() ? "ws://" : "wss://") + (is_v6 ? "[" + host + "]" : host) +
           ":" + std::to_string(sockets_->port());
    schedule_sweep();
    return {};
  }

  void schedule_sweep() {
    net_threads_.post_after(kSweepMs, [this] {
      // Not here: it walks all instances.
      auto posted = requests_.post_once(kServerOwner, [this] { instances_->sweep(); });
      if (posted.ok()) schedule_sweep();
    });
  }

  const Config config_;
  std::unique_ptr<HomeLock> lock_;
  const std::string token_;
  Ledger ledger_;
  const store::DiskReserve reserve_;
  WorkQueue requests_, compile_, disk_;
  std::optional<store::AuthorizedUsers> users_;
  FailureLimiter failures_;
  std::optional<Spools> spools_;
  std::unique_ptr<store::Store> store_;
  instance::LocalBus bus_;
  net::IoThreads net_threads_{kNetThreads};
  std::unique_ptr<net::HttpClient> http_client_;
  ServedModels models_;
  std::unique_ptr<host::ProgramHost> host_;
  std::optional<ProgramLibrary> programs_;
  std::optional<ChildPrograms> child_programs_;
  std::optional<instance::InstanceManager> instances_;
  std::optional<StatusReport> status_;
  net::Shares connections_{config_.limits.user.connections_max};
  std::optional<SessionServices> services_;
  std::shared_ptr<net::HttpServer> sockets_;
  std::string url_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Config& config) {
  return guarded("serve", [&config]() -> Result<std::unique_ptr<Server>> {
    auto server = std::make_unique<PieServer>(config);
    PIE_TRY(server->open());
    return std::unique_ptr<Server>(std::move(server));
  });
}

fs::path token_file(const fs::path& home) { return home / "run" / "internal_token"; }
fs::path authorized_users_file(const fs::path& home) { return home / "authorized_users.toml"; }
fs::path url_file(const fs::path& home) { return home / "run" / "server.url"; }

}  // namespace pie::server
