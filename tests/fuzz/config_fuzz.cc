#include "server/config.h"

#include <fstream>

#include "fuzz.h"

/// config.toml: taken, or refused with a reason.
void pie::fuzz::fuzz(std::string_view input) {
  std::ofstream(folder() / "config.toml", std::ios::binary) << input;
  const auto config = server::load_config(folder());
  if (!config.ok()) MUST(config.error().message.find("config.toml") != std::string::npos);
}
