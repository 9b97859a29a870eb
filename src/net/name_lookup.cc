#include "net/name_lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <cstring>
#include <memory>
#include <utility>

namespace pie::net {
namespace {

constexpr uint32_t kThreads = 8, kThreadsOfUser = 2, kPendingOfUser = 256, kPending = 4'096;

boost::asio::ip::address address_of(const sockaddr* from) {
  if (from->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from, sizeof v4);
    return boost::asio::ip::address_v4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, from, sizeof v6);
  boost::asio::ip::address_v6::bytes_type bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return boost::asio::ip::address_v6(bytes, v6.sin6_scope_id);
}

/// The resolver's state is of each thread: a server is asked twice, for two seconds each time.
void shorten_waits() {
  thread_local bool is_done = false;
  if (std::exchange(is_done, true) || res_init() != 0) return;
  _res.retrans = 2;
  _res.retry = 2;
}

Result<NameLookup::Addresses> look_up(const std::string& name) {
  shorten_waits();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (failed != 0) return Error{ErrorCode::kNotFound, gai_strerror(failed)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  NameLookup::Addresses found;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next)
    if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
      found.push_back(address_of(one->ai_addr));
  return found;
}

}  // namespace

NameLookup::NameLookup(Function function)
    : function_(function ? std::move(function) : look_up),
      queue_({.name = "pie-names",
              .thread_count = kThreads,
              .owner_running_max = kThreadsOfUser,
              .owner_pending_max = kPendingOfUser,
              .pending_max = kPending}) {}

Result<WorkQueue::Ticket> NameLookup::start(const std::string& user, std::string name,
                                            std::function<void(Result<Addresses>)> done) {
  return queue_.post_once(
      user, [this, name = std::move(name), tell = std::move(done)] { tell(function_(name)); });
}

}  // namespace pie::net
