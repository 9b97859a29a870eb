#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/config.h"

namespace pie::server {

/// A whole server: store, engine, program host, instances and sessions, put together. One per
/// PIE_HOME at a time.
class Server {
 public:
  /// Starts and serves. Errors say what to do: PIE_HOME in use, a damaged or newer store, no
  /// model, an address that is taken, an open network without authentication.
  static Result<std::unique_ptr<Server>> start(const Config& config);
  virtual ~Server() = default;  ///< as stop()

  /// "ws://127.0.0.1:8080".
  virtual const std::string& url() const = 0;
  /// For local tools: proves to internal_authenticate that they may read PIE_HOME.
  virtual const std::string& internal_token() const = 0;
  /// Closes connections, ends what runs with ServerError("server stopped") and frees everything.
  virtual void stop() = 0;
};

/// Where the internal token of a running server lies, mode 0600.
std::filesystem::path token_file(const std::filesystem::path& home);
/// Where the users that may sign in and their keys lie, mode 0600.
std::filesystem::path authorized_users_file(const std::filesystem::path& home);
/// Where `pie serve` writes its URL while it serves.
std::filesystem::path url_file(const std::filesystem::path& home);

}  // namespace pie::server
