#pragma once
#include <string>
#include <vector>

#include "wasm/value.h"

namespace pie::host {

/// list<string>.
inline wasm::Value string_list(const std::vector<std::string>& texts) {
  std::vector<wasm::Value> items;
  items.reserve(texts.size());
  for (const std::string& text : texts) items.push_back(wasm::Value::string(text));
  return wasm::Value::list(std::move(items));
}

}  // namespace pie::host
