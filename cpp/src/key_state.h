#pragma once
#include "client/client.h"
#include "pie/client.h"

namespace pie {

struct ParsedPrivateKey::State {
  client::KeyRef key;
};

}  // namespace pie
