#include "pie/adapter.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "pie/lift.h"

namespace inferlet {
namespace {

constexpr auto kAdapters = static_cast<uint32_t>(ResourceType::kAdapter);

bool is_exported(const Queue& queue, std::string_view name) {
  abi::Slice<abi::NamedCount> out;
  abi::get_all_exported_resources(queue.handle(), kAdapters, &out);
  bool found = false;
  for (uint32_t i = 0; i < out.size; ++i) found |= lift::text(out.data[i].name) == name;
  if (out.size != 0) std::free(out.data);
  return found;
}

}  // namespace

Adapter::Adapter(const Model& model) : queue_(model.create_queue()) {
  pointer_ = queue_->allocate(ResourceType::kAdapter, 1).front();
}

Result<Adapter> Adapter::import(const Model& model, std::string_view name) {
  Queue queue = model.create_queue();
  if (!is_exported(queue, name))
    return fail("[adapter] got '" + std::string(name) + "', which is not exported");
  abi::U32s out;
  abi::import_resources(queue.handle(), kAdapters, name.data(), lift::size(name), &out);
  const std::vector<uint32_t> pointers = lift::numbers(out);
  if (pointers.size() == 1) return Adapter(std::move(queue), pointers.front());
  queue.deallocate(ResourceType::kAdapter, pointers);
  return fail("[adapter] got '" + std::string(name) + "' with " + std::to_string(pointers.size()) +
              " adapters, expected one");
}

Adapter& Adapter::operator=(Adapter&& other) noexcept {
  std::swap(queue_, other.queue_);
  std::swap(pointer_, other.pointer_);
  return *this;
}

Adapter::~Adapter() {
  if (queue_) queue_->deallocate(ResourceType::kAdapter, std::span(&pointer_, 1));
}

void Adapter::upload(Blob file, std::string_view name) {
  abi::upload_adapter(queue_->handle(), pointer_, name.data(), lift::size(name), file.release());
}

Task<Blob> Adapter::download(std::string_view name) const {
  const OwnedHandle<abi::blob_result_drop> result(
      abi::download_adapter(queue_->handle(), pointer_, name.data(), lift::size(name)));
  co_await until_ready(Pollable(abi::blob_result_pollable(result.get())));
  abi::Option<abi::Handle> out;
  abi::blob_result_get(result.get(), &out);
  co_return Blob(out.value);
}

Result<void> Adapter::export_as(std::string_view name) const {
  if (is_exported(*queue_, name))
    return fail("[adapter] got '" + std::string(name) +
                "', which is in use: release_export gives it up");
  abi::export_resources(queue_->handle(), kAdapters, &pointer_, 1, name.data(), lift::size(name));
  return {};
}

Result<void> Adapter::release_export(const Model& model, std::string_view name) {
  const Queue queue = model.create_queue();
  if (!is_exported(queue, name))
    return fail("[adapter] got '" + std::string(name) + "', which is not exported");
  abi::release_exported_resources(queue.handle(), kAdapters, name.data(), lift::size(name));
  return {};
}

void Adapter::initialize(const EvolutionOptions& options) {
  abi::initialize_adapter(queue_->handle(), pointer_, options.rank, options.alpha,
                          options.population_size, options.mu_fraction, options.initial_sigma);
}

void Adapter::update(std::span<const float> scores, std::span<const int64_t> seeds,
                     float max_sigma) {
  abi::update_adapter(queue_->handle(), pointer_, scores.data(),
                      static_cast<uint32_t>(scores.size()), seeds.data(),
                      static_cast<uint32_t>(seeds.size()), max_sigma);
}

void Adapter::set(const ForwardPass& pass, std::optional<int64_t> seed) const {
  if (seed) abi::set_adapter_seed(pass.handle(), *seed);
  abi::set_adapter(pass.handle(), pointer_);
}

}  // namespace inferlet
