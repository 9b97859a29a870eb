#pragma once
/// The client of a Pie server: upload programs, launch them next to the model, talk to them.
///
///   pie::PieClient client("ws://127.0.0.1:8080");
///   client.authenticate("me");
///   pie::Instance instance = client.launch_instance_from_registry("text-completion",
///                                                                 {"--prompt", "Hello"});
///   for (const auto& [event, data] : instance) std::cout << pie::to_string(event) << ' ' << data;
///
/// Calls block and throw; names, arguments and errors are those of the Python package `pie`.
/// Needs nothing but the standard library, and the shared library behind it.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#define PIE_CLIENT_API __attribute__((visibility("default")))

namespace pie {

/// The version of this library, as major.minor.patch.
PIE_CLIENT_API std::string_view version();

/// Something that the server or the client refused; the text says what and why.
struct PIE_CLIENT_API PieError : std::runtime_error {
  using std::runtime_error::runtime_error;
  ~PieError() override;
};
/// The server does not accept who the client says it is, or does not let it do this.
struct PIE_CLIENT_API AuthenticationError : PieError {
  using PieError::PieError;
  ~AuthenticationError() override;
};
/// A private key is damaged, too weak, of an unsupported kind, or its passphrase is wrong.
struct PIE_CLIENT_API InvalidKeyError : AuthenticationError {
  using AuthenticationError::AuthenticationError;
  ~InvalidKeyError() override;
};
/// What was named does not exist, or is not the user's to see.
struct PIE_CLIENT_API NotFoundError : PieError {
  using PieError::PieError;
  ~NotFoundError() override;
};
/// The server does not take, or cannot start, a program.
struct PIE_CLIENT_API ProgramError : PieError {
  using PieError::PieError;
  ~ProgramError() override;
};
/// The server sent something that does not fit the protocol (a blob with a wrong hash).
struct PIE_CLIENT_API ProtocolError : PieError {
  using PieError::PieError;
  ~ProtocolError() override;
};
/// Something took longer than it was given.
struct PIE_CLIENT_API PieTimeoutError : PieError {
  using PieError::PieError;
  ~PieTimeoutError() override;
};
/// The connection was refused, reset or lost, or the client is closed. Not a PieError.
struct PIE_CLIENT_API ConnectionError : std::runtime_error {
  using std::runtime_error::runtime_error;
  ~ConnectionError() override;
};
/// A CancelScope's token was asked to stop. Not a PieError.
struct PIE_CLIENT_API CancelledError : std::runtime_error {
  using std::runtime_error::runtime_error;
  ~CancelledError() override;
};

/// While it lives, every call and recv() of this thread ends with CancelledError as soon as `token`
/// is asked to stop, from whatever thread: as in Python, a cancelled call is forgotten, a cancelled
/// launch terminates what it launched, a cancelled upload sends nothing more, a cancelled recv()
/// loses no event, and the client stays usable. The innermost scope of a thread counts.
///
///   std::stop_source stop;                            // stop.request_stop() from another thread
///   const pie::CancelScope scope(stop.get_token());
class PIE_CLIENT_API CancelScope {
 public:
  explicit CancelScope(std::stop_token token);
  ~CancelScope();
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

 private:
  std::stop_token outer_;
};

/// What kind of thing an instance told. Numbers as in the protocol.
enum class Event : uint32_t {
  Message = 0,
  Completed = 1,
  Aborted = 2,
  Exception = 3,
  ServerError = 4,
  OutOfResources = 5,
  Blob = 6,
  Stdout = 7,
  Stderr = 8,
};
/// "Message", "Stdout", ...
PIE_CLIENT_API std::string_view to_string(Event event);
/// Whether nothing comes after it.
PIE_CLIENT_API bool is_final(Event event);

/// One event with its text, or its bytes if it is a Blob.
struct Received {
  Event event = Event::Message;
  std::string data;
};

/// One line of PieClient::list_instances().
struct InstanceInfo {
  std::string id;
  std::string cmd_name;
  std::vector<std::string> arguments;
  std::string status;  ///< "Attached", "Detached" or "Finished"
  std::string username;
  uint64_t elapsed_secs = 0;
  uint32_t kv_pages_used = 0;
};

/// Told how many bytes of an upload are under way, and how many there are; on the client's own
/// thread. What it throws cancels the upload and comes out of its call.
using Progress = std::function<void(uint64_t sent_bytes, uint64_t total_bytes)>;

/// A private key: RSA (2048 bits or more), Ed25519, or ECDSA on P-256 or P-384; OpenSSH's own
/// format, PKCS#8, PKCS#1 or SEC1 PEM. Copies share the key.
class PIE_CLIENT_API ParsedPrivateKey {
 public:
  /// Throws InvalidKeyError, which says what is wrong with it.
  static ParsedPrivateKey parse(std::string_view text,
                                std::optional<std::string_view> passphrase = std::nullopt);
  /// Reads a file; a leading ~ is the home folder. Throws InvalidKeyError, which names the file,
  /// or std::system_error when it cannot be read.
  static ParsedPrivateKey from_file(const std::filesystem::path& path,
                                    std::optional<std::string_view> passphrase = std::nullopt);

  /// "Ed25519", "RSA", "ECDSA P-256" or "ECDSA P-384".
  std::string_view kind() const;
  int bits() const;
  /// Signs a message the way the protocol wants it for this kind of key.
  std::string sign(std::string_view message) const;

 private:
  friend class PieClient;
  struct State;
  explicit ParsedPrivateKey(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

/// Reads every event of a Source (an Instance), the final one included.
template <class Source>
class EventIterator {
 public:
  using value_type = Received;
  using difference_type = std::ptrdiff_t;

  explicit EventIterator(Source* source) : source_(source), received_(source->recv()) {}
  const Received& operator*() const { return received_; }
  const Received* operator->() const { return &received_; }
  EventIterator& operator++() {
    is_over_ = is_final(received_.event);
    if (!is_over_) received_ = source_->recv();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return is_over_; }

 private:
  Source* source_;
  Received received_;
  bool is_over_ = false;
};

/// A program that runs on the server. Copies are the same instance. Thread-safe.
class PIE_CLIENT_API Instance {
 public:
  /// Reads every event, the final one included: for (const auto& [event, data] : instance).
  using Iterator = EventIterator<Instance>;

  const std::string& id() const;
  const std::string& instance_id() const { return id(); }

  /// Sends the program a text message. A program that has ended reads no more: the message is
  /// dropped, and recv() tells the end; once it was told, sending throws PieError.
  void send(std::string message);
  /// Sends it bytes, which are not copied; returns their BLAKE3 hash.
  std::string upload_blob(std::string_view bytes, const Progress& progress = nullptr);
  /// Sends it a file, read in pieces.
  std::string upload_blob_file(const std::filesystem::path& path,
                               const Progress& progress = nullptr);

  /// Waits for the next event. Throws PieError("instance has ended: ...") after the final one,
  /// ConnectionError when the connection is lost, PieTimeoutError after `timeout`. No event is lost
  /// by a timeout. Events that nobody receives wait: 8 MiB in memory, the rest on the disk.
  Received recv(std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  /// Ends the program, whatever it does. Fine when it has ended by itself.
  void terminate();

  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class PieClient;
  struct State;
  explicit Instance(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{10'000};
  /// A server that does not even answer a WebSocket ping for so long is taken for gone.
  std::chrono::milliseconds silence_timeout{30'000};
  /// Longest that one call waits for its answer (PieTimeoutError, and the call is cancelled; the
  /// client stays usable). Nothing: as long as the connection lives. Not for recv(), which has its
  /// own.
  std::optional<std::chrono::milliseconds> call_timeout{};
  /// PEM certificates that wss:// trusts besides the system's; "": what PIE_CA_FILE names, if set.
  std::filesystem::path ca_file{};
};

/// A connection to a Pie server, with a thread of its own. Every call blocks until its answer and
/// throws what the server refuses as a PieError; a lost connection ends every call and every recv()
/// at once with ConnectionError. Thread-safe: calls from several threads run side by side.
class PIE_CLIENT_API PieClient {
 public:
  /// Connects. Throws ConnectionError when there is no server or it does not answer.
  explicit PieClient(const std::string& server_uri, const ClientOptions& options = {});
  /// Closes.
  ~PieClient();
  PieClient(PieClient&&) noexcept;
  PieClient& operator=(PieClient&&) noexcept;

  /// Closes the connection, from any thread; what waits ends with ConnectionError. Fine to repeat.
  void close();

  /// Says who the user is, and proves it if the server asks.
  void authenticate(const std::string& username,
                    const std::optional<ParsedPrivateKey>& private_key = std::nullopt);
  /// Authenticates a local tool by the server's own token.
  void internal_authenticate(const std::string& token);

  /// Uploads a program, a WebAssembly component, by its bytes; returns its hash.
  std::string upload_program(std::string_view bytes, const Progress& progress = nullptr);
  /// The same by its files; with a manifest it also has a name to launch it by.
  std::string upload_program(const std::filesystem::path& wasm_path,
                             const std::filesystem::path& manifest_path,
                             const Progress& progress = nullptr);
  /// Whether the server has a program: by hash, or by name (ns/name@version).
  bool program_exists(const std::string& inferlet);
  /// Whether what it has under that name is made of exactly these files.
  bool program_exists(const std::string& inferlet, const std::filesystem::path& wasm_path,
                      const std::filesystem::path& manifest_path);

  /// Launches a program by its hash or its name. A detached one goes on when its client leaves, and
  /// keeps what it says for whoever attaches.
  Instance launch_instance(const std::string& program, std::vector<std::string> args = {},
                           bool detached = false);
  Instance launch_instance_from_registry(const std::string& name,
                                         std::vector<std::string> args = {}, bool detached = false);
  /// Serves an HTTP program on the server machine's 127.0.0.1:`port`; returns when it is bound.
  void launch_server_instance(uint16_t port, const std::string& program,
                              std::vector<std::string> args = {});
  /// First comes what it said meanwhile, then the rest.
  Instance attach_instance(const std::string& instance_id);
  /// The user's instances, newest first.
  std::vector<InstanceInfo> list_instances();
  /// Ends an instance; throws NotFoundError when there is none.
  void terminate_instance(const std::string& instance_id);

  void ping();
  /// Asks the server something. Throws PieError when it is refused.
  std::string query(const std::string& subject, const std::string& record = "");

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pie
