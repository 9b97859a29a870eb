#pragma once
// What our changes to llama.cpp's sources need; included before everything.
#include <cstdlib>
#include <new>
#include <stdexcept>

/// Asks the budget that operator new keeps, if this thread has one: throws when it is spent.
inline void pie_meet_budget() { ::operator delete(::operator new(1)); }

/// Memory that operator new does not see, for what a destructor needs: it may not throw.
template <class T>
struct PieFreeAllocator {
  using value_type = T;
  PieFreeAllocator() = default;
  template <class U>
  PieFreeAllocator(const PieFreeAllocator<U>&) {}
  T* allocate(std::size_t count) {
    void* memory = std::malloc(count * sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
  template <class U>
  bool operator==(const PieFreeAllocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const PieFreeAllocator<U>&) const {
    return false;
  }
};

#define JSON_ASSERT(condition) \
  static_cast<void>((condition) ? 0 : throw std::logic_error("JSON: expected " #condition))
