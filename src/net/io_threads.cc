#include "net/io_threads.h"

#include "base/threads.h"
#include "net/io_context.h"

namespace pie::net {

IoThreads::IoThreads(uint32_t count) : impl_(std::make_unique<Impl>()) {
  start_threads(
      impl_->threads, count, [this] { run_handlers(impl_->io); }, [this] { impl_->io.stop(); });
}

IoThreads::~IoThreads() { stop(); }

void IoThreads::post_after(uint64_t delay_ms, std::function<void()> task) {
  auto timer =
      std::make_shared<boost::asio::steady_timer>(impl_->io, std::chrono::milliseconds(delay_ms));
  timer->async_wait([timer, run_task = std::move(task)](boost::system::error_code failed) {
    if (!failed) run_task();
  });
}

void IoThreads::stop() {
  impl_->io.stop();
  for (auto& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

}  // namespace pie::net
