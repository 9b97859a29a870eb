#include "pie/client.h"

#include "base/file.h"
#include "call.h"
#include "client/archive.h"
#include "crypto/blake3.h"
#include "key_state.h"

namespace pie {
namespace {

client::UploadSource opened(Result<client::UploadSource> source) {
  if (!source.ok()) raise(source.error());
  return std::move(*source);
}

std::string read_whole(const std::filesystem::path& path) {
  Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) raise(bytes.error());
  return std::move(*bytes);
}

/// Inbox::pop(), which a CancelScope ends.
Result<protocol::ClientEvent> next_event(client::Inbox& events,
                                         std::optional<std::chrono::milliseconds> timeout) {
  using Clock = std::chrono::steady_clock;
  if (!current_stop_token().stop_possible()) return events.pop(timeout);
  const auto begin = Clock::now();
  for (;;) {
    auto signal = std::make_shared<CallSignal>();
    const uint64_t waiter = events.when_ready([signal] { signal->ready(); });
    std::optional<std::chrono::milliseconds> left = timeout;
    if (left) *left -= std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    const CallSignal::Woken woken = signal->wait(left);
    events.forget(waiter);
    if (woken == CallSignal::Woken::kStopped) throw CancelledError("recv was cancelled");
    // Another thread may have taken what was there.
    if (auto event = events.try_pop()) return std::move(*event);
    if (woken == CallSignal::Woken::kTimeout) return events.pop(std::chrono::milliseconds(0));
  }
}

}  // namespace

std::string_view version() { return PIE_CLIENT_VERSION; }

std::string_view to_string(Event event) {
  return protocol::to_string(static_cast<protocol::EventCode>(event));
}
bool is_final(Event event) { return protocol::is_final(static_cast<protocol::EventCode>(event)); }

struct Instance::State {
  client::Instance instance;
  std::shared_ptr<ClientConnection> connection;
};

Instance::Instance(std::shared_ptr<State> state) : state_(std::move(state)) {}

const std::string& Instance::id() const { return state_->instance.id(); }

void Instance::send(std::string message) {
  await_call<void>(*state_->connection, [&](auto done) {
    return state_->instance.send(std::move(message), std::move(done));
  });
}

std::string Instance::upload_blob(std::string_view bytes, const Progress& progress) {
  Lent lent(bytes);
  return await_upload(*state_->connection, lent.source(), progress, Otherwise::kPieError,
                      [&](auto source, auto told, auto done) {
                        return state_->instance.upload_blob(std::move(source), std::move(told),
                                                            std::move(done));
                      });
}

std::string Instance::upload_blob_file(const std::filesystem::path& path,
                                       const Progress& progress) {
  return await_upload(*state_->connection, opened(client::file_source(path.string())), progress,
                      Otherwise::kPieError, [&](auto source, auto told, auto done) {
                        return state_->instance.upload_blob(std::move(source), std::move(told),
                                                            std::move(done));
                      });
}

Received Instance::recv(std::optional<std::chrono::milliseconds> timeout) {
  Result<protocol::ClientEvent> event = next_event(state_->instance.events(), timeout);
  if (!event.ok()) raise(event.error());
  return {static_cast<Event>(event->code), std::move(event->data)};
}

void Instance::terminate() {
  await_call<void>(*state_->connection,
                   [&](auto done) { return state_->instance.terminate(std::move(done)); });
}

/// Closes the connection when the last PieClient that owns it goes; instances keep it usable only
/// for what has come already.
struct PieClient::State {
  std::shared_ptr<ClientConnection> connection;

  client::Client& client() { return connection->client; }
  Instance opened(client::Instance instance) {
    return Instance(
        std::make_shared<Instance::State>(Instance::State{std::move(instance), connection}));
  }
  std::string upload(client::UploadSource source, std::optional<std::string> manifest,
                     const Progress& progress) {
    return await_upload(*connection, std::move(source), progress, Otherwise::kProgramError,
                        [&](auto bytes, auto told, auto done) {
                          return client().upload_program(std::move(bytes), std::move(manifest),
                                                         std::move(told), std::move(done));
                        });
  }
  ~State() { connection->client.close(); }
};

PieClient::PieClient(const std::string& server_uri, const ClientOptions& options)
    : state_(new State{std::shared_ptr<ClientConnection>(
          new ClientConnection{client::Client({server_uri, options.connect_timeout,
                                               options.silence_timeout, options.ca_file.string()}),
                               options.call_timeout})}) {
  await_call<void>(*state_->connection,
                   [&](auto done) { return state_->client().connect(std::move(done)); });
}

PieClient::~PieClient() = default;
PieClient::PieClient(PieClient&&) noexcept = default;
PieClient& PieClient::operator=(PieClient&&) noexcept = default;

void PieClient::close() { state_->client().close(); }

void PieClient::authenticate(const std::string& username,
                             const std::optional<ParsedPrivateKey>& private_key) {
  const client::KeyRef key = private_key ? private_key->state_->key : nullptr;
  await_call<void>(*state_->connection, [&](auto done) {
    return state_->client().authenticate(username, key, std::move(done));
  });
}

void PieClient::internal_authenticate(const std::string& token) {
  await_call<void>(*state_->connection, [&](auto done) {
    return state_->client().internal_authenticate(token, std::move(done));
  });
}

std::string PieClient::upload_program(std::string_view bytes, const Progress& progress) {
  Lent lent(bytes);
  return state_->upload(lent.source(), std::nullopt, progress);
}

std::string PieClient::upload_program(const std::filesystem::path& wasm_path,
                                      const std::filesystem::path& manifest_path,
                                      const Progress& progress) {
  return state_->upload(opened(client::program_source(wasm_path)), read_whole(manifest_path),
                        progress);
}

bool PieClient::program_exists(const std::string& inferlet) {
  return await_call<bool>(*state_->connection, [&](auto done) {
    return state_->client().program_exists(inferlet, std::move(done));
  });
}

bool PieClient::program_exists(const std::string& inferlet, const std::filesystem::path& wasm_path,
                               const std::filesystem::path& manifest_path) {
  const std::string wasm = crypto::blake3_hex(read_whole(wasm_path));
  return program_exists(inferlet + "#" + wasm + "+" +
                        crypto::blake3_hex(read_whole(manifest_path)));
}

Instance PieClient::launch_instance(const std::string& program, std::vector<std::string> args,
                                    bool detached) {
  return state_->opened(await_call<client::Instance>(
      *state_->connection,
      [&](auto done) {
        return state_->client().launch(program, {std::move(args), detached}, std::move(done));
      },
      Otherwise::kProgramError));
}

Instance PieClient::launch_instance_from_registry(const std::string& name,
                                                  std::vector<std::string> args, bool detached) {
  return state_->opened(await_call<client::Instance>(
      *state_->connection,
      [&](auto done) {
        return state_->client().launch_from_registry(name, {std::move(args), detached},
                                                     std::move(done));
      },
      Otherwise::kProgramError));
}

void PieClient::launch_server_instance(uint16_t port, const std::string& program,
                                       std::vector<std::string> args) {
  await_call<void>(
      *state_->connection,
      [&](auto done) {
        return state_->client().launch_server(port, program, std::move(args), std::move(done));
      },
      Otherwise::kProgramError);
}

Instance PieClient::attach_instance(const std::string& instance_id) {
  return state_->opened(await_call<client::Instance>(
      *state_->connection,
      [&](auto done) { return state_->client().attach(instance_id, std::move(done)); },
      Otherwise::kProgramError));
}

std::vector<InstanceInfo> PieClient::list_instances() {
  std::vector<InstanceInfo> out;
  for (client::InstanceInfo& info : await_call<std::vector<client::InstanceInfo>>(
           *state_->connection,
           [&](auto done) { return state_->client().list_instances(std::move(done)); })) {
    out.push_back({std::move(info.id), std::move(info.cmd_name), std::move(info.arguments),
                   std::move(info.status), std::move(info.username), info.elapsed_secs,
                   info.kv_pages_used});
  }
  return out;
}

void PieClient::terminate_instance(const std::string& instance_id) {
  await_call<void>(*state_->connection, [&](auto done) {
    return state_->client().terminate(instance_id, std::move(done));
  });
}

void PieClient::ping() {
  await_call<void>(*state_->connection,
                   [&](auto done) { return state_->client().ping(std::move(done)); });
}

std::string PieClient::query(const std::string& subject, const std::string& record) {
  return await_call<std::string>(*state_->connection, [&](auto done) {
    return state_->client().query(subject, record, std::move(done));
  });
}

}  // namespace pie
