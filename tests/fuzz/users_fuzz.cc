#include <future>

#include "fuzz.h"
#include "store/authorized_users.h"

/// authorized_users.toml: what is read can be written and read again.
void pie::fuzz::fuzz(std::string_view input) {
  const MemoryFile file(input);
  const auto users = store::read_authorized_users(file.path());
  if (!users.ok()) {
    MUST(!users.error().message.empty());
    return;
  }
  const auto copy = folder() / "users.toml";
  MUST(store::write_authorized_users(copy, *users).ok());
  const auto again = store::read_authorized_users(copy);
  MUST(again.ok() && *again == *users);
  store::AuthorizedUsers served(copy);
  MUST(served.load().ok());
  for (const auto& [user, keys] : *users) {
    std::promise<size_t> count;
    served.keys_of(user, [&](auto found) { count.set_value(found->size()); });
    MUST(count.get_future().get() <= keys.size());
  }
}
