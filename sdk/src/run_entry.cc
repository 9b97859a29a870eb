// The export of a program that runs.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "pie/abi.h"
#include "pie/inferlet.h"

namespace {

inferlet::abi::TextResult run_result;
std::string run_error;

}  // namespace

/// inferlet:core/run. What it returns stays valid until the next call.
extern "C" __attribute__((export_name("inferlet:core/run#run"))) inferlet::abi::TextResult*
inferlet_run() {
  const std::vector<std::string> arguments = inferlet::arguments();
  using Synchronous = inferlet::Result<std::string> (*)(const std::vector<std::string>&);
  inferlet::Result<std::string> outcome = static_cast<Synchronous>(inferlet_main)(arguments);
  std::fflush(stdout);
  std::fflush(stderr);
  if (outcome) {
    if (!outcome->empty()) inferlet::set_return(*outcome);
    run_result = {};
  } else {
    run_error = std::move(outcome).error();
    run_result = {1, {run_error.data(), static_cast<uint32_t>(run_error.size())}};
  }
  return &run_result;
}
