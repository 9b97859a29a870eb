// Long lists that are copied whole, and what one call may copy.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wasm/test_runtime.h"
#include "wasm/wit_result.h"

namespace pie::wasm {
namespace {

/// A component over inferlet:test/bulk: $take copies a list<u8> into a thing, $read gives of it,
/// $sum takes a list<u32>.
std::string with_bulk(const std::string& body) {
  return joined({R"((component
  (import "inferlet:test/bulk" (instance $bulk
    (export "thing" (type $t (sub resource)))
    (export "take" (func (param "bytes" (list u8)) (result (own $t))))
    (export "read" (func (param "of" (borrow $t)) (param "at" u64) (param "n" u64) (result (list u8))))
    (export "sum" (func (param "numbers" (list u32)) (result u64)))))
  (core module $mem (memory (export "memory") 1600)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 67108864)))
  (core instance $M (instantiate $mem))
  (core func $take (canon lower (func $bulk "take") (memory (core memory $M "memory"))))
  (core func $sum (canon lower (func $bulk "sum") (memory (core memory $M "memory"))))
  (core func $read (canon lower (func $bulk "read") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core module $m
    (import "h" "take" (func $take (param i32 i32) (result i32)))
    (import "h" "sum" (func $sum (param i32 i32) (result i64)))
    (import "h" "read" (func $read (param i32 i64 i64 i32)))
    (import "h" "memory" (memory 1))
    (func $ok (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256))
    )",
                 body, R"()
  (core instance $i (instantiate $m (with "h" (instance
    (export "take" (func $take)) (export "sum" (func $sum)) (export "read" (func $read))
    (export "memory" (memory $M "memory"))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}

class BulkTest : public RuntimeTest {
 protected:
  struct Bytes final : Object {
    static constexpr std::string_view kResource = "inferlet:test/bulk/thing";
    explicit Bytes(std::vector<uint8_t> all) : bytes(std::move(all)) {}
    const std::vector<uint8_t> bytes;
  };
  void SetUp() override {
    RuntimeTest::SetUp();
    functions_.resource(Bytes::kResource);
    functions_.add("inferlet:test/bulk", "take", [](std::vector<uint8_t> bytes) {
      return std::make_shared<Bytes>(std::move(bytes));
    });
    functions_.add("inferlet:test/bulk", "read", [](Bytes& self, uint64_t at, uint64_t n) {
      const uint8_t* from = self.bytes.data() + at;
      return std::vector<uint8_t>(from, from + n);
    });
    functions_.add("inferlet:test/bulk", "sum", [](const std::vector<uint32_t>& numbers) {
      uint64_t sum = 0;
      for (const uint32_t one : numbers) sum += one;
      return sum;
    });
  }
};

TEST_F(BulkTest, a_blob_of_16_mib_goes_there_and_back_whole) {
  EXPECT_EQ(run(with_bulk(R"((func (export "run") (result i32) (local $t i32)
      (i32.store8 (i32.const 1048576) (i32.const 7))
      (i32.store8 (i32.const 17825791) (i32.const 9))
      (local.set $t (call $take (i32.const 1048576) (i32.const 16777216)))
      (call $read (local.get $t) (i64.const 0) (i64.const 16777216) (i32.const 64))
      (if (i32.ne (i32.load (i32.const 64)) (i32.const 67108864)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const 16777216)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 67108864)) (i32.const 7)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 83886079)) (i32.const 9)) (then unreachable))
      (call $ok)))"))
                .kind,
            Kind::kOk);
}

TEST_F(BulkTest, what_one_call_copies_is_bounded) {
  const auto sums = [&](int count) {
    return run(with_bulk(joined({R"((func (export "run") (result i32)
      (drop (call $sum (i32.const 1048576) (i32.const )",
                                 std::to_string(count), R"())) (call $ok)))"})));
  };
  EXPECT_EQ(sums(400'000).kind, Kind::kOk);
  const Outcome refused = sums(20'000'000);
  EXPECT_EQ(refused.kind, Kind::kLimit);
  EXPECT_EQ(refused.text.find("data copied by one host call: used more, allowed 20971520 bytes"),
            0U)
      << refused.text;
  const Outcome blob = run(with_bulk(R"((func (export "run") (result i32)
      (drop (call $take (i32.const 1048576) (i32.const 33554432))) (call $ok)))"));
  EXPECT_EQ(blob.kind, Kind::kLimit);
}

/// A component over inferlet:test/kept: $all gives a list<u8>, $store keeps one under a key that is
/// not "", $load gives it back.
std::string with_kept(const std::string& body) {
  return joined({R"((component
  (import "inferlet:test/kept" (instance $kept
    (export "all" (func (result (list u8))))
    (export "load" (func (param "key" string) (result (option (list u8)))))
    (export "store" (func (param "key" string) (param "value" (list u8)) (result (result (error string)))))))
  (core module $mem (memory (export "memory") 1600)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 67108864)))
  (core instance $M (instantiate $mem))
  (core func $all (canon lower (func $kept "all") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $load (canon lower (func $kept "load") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $store (canon lower (func $kept "store") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core module $m
    (import "h" "all" (func $all (param i32)))
    (import "h" "load" (func $load (param i32 i32 i32)))
    (import "h" "store" (func $store (param i32 i32 i32 i32 i32)))
    (import "h" "memory" (memory 1))
    (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
    )",
                 body, R"()
  (core instance $i (instantiate $m (with "h" (instance
    (export "all" (func $all)) (export "load" (func $load)) (export "store" (func $store))
    (export "memory" (memory $M "memory"))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}

TEST_F(BulkTest, bytes_by_a_key_go_there_and_back_whole) {
  std::map<std::string, std::string> kept;
  functions_.add("inferlet:test/kept", "all", [] { return ByteString{"all"}; });
  functions_.add("inferlet:test/kept", "load",
                 [&](std::string_view key) -> std::optional<ByteString> {
                   const auto found = kept.find(std::string(key));
                   if (found == kept.end()) return std::nullopt;
                   return ByteString{found->second};
                 });
  functions_.add("inferlet:test/kept", "store",
                 [&](std::string_view key, ByteString value) -> WitResult<void, std::string> {
                   if (key.empty()) return Err(std::string("no key"));
                   kept[std::string(key)] = std::move(value.bytes);
                   return Ok();
                 });
  const Outcome outcome = run(with_kept(R"((func (export "run") (result i32)
      (i32.store8 (i32.const 16) (i32.const 107))
      (i32.store8 (i32.const 17825791) (i32.const 9))
      (call $load (i32.const 16) (i32.const 1) (i32.const 64))
      (call $must (i32.eqz (i32.load8_u (i32.const 64))))
      (call $store (i32.const 16) (i32.const 1) (i32.const 1048576) (i32.const 16777216) (i32.const 96))
      (call $must (i32.eqz (i32.load8_u (i32.const 96))))
      (call $load (i32.const 16) (i32.const 1) (i32.const 64))
      (call $must (i32.eq (i32.load8_u (i32.const 64)) (i32.const 1)))
      (call $must (i32.eq (i32.load (i32.const 72)) (i32.const 16777216)))
      (call $must (i32.eq (i32.load8_u (i32.const 83886079)) (i32.const 9)))
      (call $all (i32.const 128))
      (call $must (i32.eq (i32.load (i32.const 132)) (i32.const 3)))
      (call $must (i32.eq (i32.load8_u (i32.const 67108864)) (i32.const 97)))
      (call $store (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 96))
      (call $must (i32.eq (i32.load8_u (i32.const 96)) (i32.const 1)))
      (i32.const 96)))"));
  EXPECT_EQ(outcome.kind, Kind::kErr);
  EXPECT_EQ(outcome.text, "no key");
  EXPECT_EQ(kept["k"].size(), 16U << 20);
}

}  // namespace
}  // namespace pie::wasm
