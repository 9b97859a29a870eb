#pragma once
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "host/pass_object.h"
#include "wasm/host_functions.h"

namespace pie::host {

/// The part of pie:logits that says what is done to logits.
void define_logit_rules(wasm::HostFunctions& functions);

/// That tokens are of the pass's vocabulary.
Result<void> check_tokens(const PassObject& pass, const std::vector<uint32_t>& tokens);

}  // namespace pie::host
