#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pie/model.h"

namespace inferlet {

class KvPages;

/// One KV page; goes back to its pool with the last context that uses it.
class KvPage {
 public:
  KvPage(std::shared_ptr<KvPages> pool, uint32_t number)
      : pool_(std::move(pool)), number_(number) {}
  KvPage(const KvPage&) = delete;
  KvPage& operator=(const KvPage&) = delete;
  ~KvPage();
  uint32_t number() const { return number_; }

 private:
  std::shared_ptr<KvPages> pool_;
  uint32_t number_;
};

/// The pages of one queue. They are fetched from the host several at a time, so that most steps
/// need no call for them.
class KvPages : public std::enable_shared_from_this<KvPages> {
 public:
  explicit KvPages(Queue queue, uint32_t page_size)
      : queue_(std::move(queue)), page_size_(page_size) {}
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;
  ~KvPages();

  Queue& queue() { return queue_; }
  uint32_t page_size() const { return page_size_; }  ///< tokens
  std::vector<std::shared_ptr<const KvPage>> take(size_t count);

 private:
  friend class KvPage;
  void give_back(uint32_t number);

  Queue queue_;
  uint32_t page_size_;
  std::vector<uint32_t> free_;
};

}  // namespace inferlet
