#include "crypto/base64.h"

#include "fuzz.h"

/// Any bytes survive the way there and back; what is decoded encodes to something equal.
void pie::fuzz::fuzz(std::string_view input) {
  const auto back = crypto::base64_decode(crypto::base64_encode(input));
  MUST(back.ok() && *back == input);
  const auto bytes = crypto::base64_decode(input);
  if (!bytes.ok()) return;
  const auto again = crypto::base64_decode(crypto::base64_encode(*bytes));
  MUST(again.ok() && *again == *bytes);
}
