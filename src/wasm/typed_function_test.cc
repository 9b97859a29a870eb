// C++ types in WIT's words, and that a component which says something else does not link.
#include "wasm/typed_function.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "wasm/test_runtime.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::wasm {
namespace {

enum class Colour { kRed, kGreen };
constexpr auto wit_type(const Colour*) { return enum_of("red", "green"); }

enum class Refused { kNever, kLater };
constexpr auto wit_type(const Refused*) { return variant_of_names("never", "later"); }

struct Point {
  int32_t x = 0;
  std::optional<float> y;
};
constexpr auto wit_type(const Point*) {
  return record(field("x-of-it", &Point::x), field("y", &Point::y));
}

struct Nothing {};
using Shape = std::variant<Point, Nothing>;
constexpr auto wit_type(const Shape*) { return variant_of("point", "nothing"); }

struct Kept final : InstanceContext {
  static constexpr size_t kContext = kHostContext;
};

template <class Body>
std::string type_of(Body body) {
  return host_function("interface#function", std::move(body)).type;
}

TEST(TypedFunction, is_told_in_wits_words) {
  EXPECT_EQ(type_of([] {}), "func()");
  EXPECT_EQ(type_of([](bool, uint8_t, uint16_t, uint32_t, uint64_t, int32_t, int64_t, float) {}),
            "func(bool, u8, u16, u32, u64, s32, s64, f32)");
  EXPECT_EQ(type_of([](std::string_view, const std::string&, ByteString) { return Point(); }),
            "func(string, string, list<u8>) -> record{x-of-it: s32, y: option<f32>}");
  EXPECT_EQ(type_of([](Colour, Refused, Shape) { return std::tuple(true, std::string()); }),
            "func(enum{red, green}, variant{never, later}, "
            "variant{point(record{x-of-it: s32, y: option<f32>}), nothing}) -> "
            "tuple<bool, string>");
}

TEST(TypedFunction, leaves_out_the_context_and_sees_through_results_and_waits) {
  EXPECT_EQ(type_of([](Kept&, Counted&, std::shared_ptr<Counted>) {}),
            "func(handle<inferlet:test/things/thing>, handle<inferlet:test/things/thing>)");
  EXPECT_EQ(type_of([]() -> Result<void> { return {}; }), "func()");
  EXPECT_EQ(type_of([]() -> Result<uint32_t> { return 1U; }), "func() -> u32");
  EXPECT_EQ(type_of([] { return Wait<>(std::vector<ReadinessRef>()); }), "func()");
  EXPECT_EQ(type_of([] { return ReadinessRef(); }), "func() -> handle<wasi:io/poll/pollable>");
  EXPECT_EQ(type_of([](WitResult<>) { return WitResult<void, std::string>(Ok()); }),
            "func(result) -> result<_, string>");
  EXPECT_EQ(type_of([] { return WitResult<std::vector<uint64_t>, Colour>(Err(Colour::kRed)); }),
            "func() -> result<list<u64>, enum{red, green}>");
}

struct LinkTest : RuntimeTest {
  /// Why a component does not link that imports inferlet:test/one#go as a function of this type;
  /// "" when it does.
  std::string refusal(const std::string& types, const std::string& type) {
    std::string wat = standalone(kReturnsOk);
    wat.insert(std::string("(component").size(),
               joined({R"( (import "inferlet:test/one" (instance )", types,
                       R"( (export "go" (func )", type, "))))"}));
    const auto compiled = runtime_->compile(from_text(wat), hash_of(wat));
    return compiled.ok() ? "" : compiled.error().message;
  }
};

TEST_F(LinkTest, names_the_function_what_the_component_says_and_what_the_host_has) {
  functions_.add("inferlet:test/one", "go",
                 [](uint32_t, const std::vector<std::string>&) { return Point(); });
  const std::string point =
      R"((type $p0 (record (field "x-of-it" s32) (field "y" (option f32)))) (export "point" (type $p (eq $p0))))";
  const std::string wanted = R"((param "a" u32) (param "b" (list string)) (result $p))";
  EXPECT_EQ(refusal(point, wanted), "");
  EXPECT_EQ(refusal(point, R"((param "a" u32) (param "b" (list u64)) (result $p))"),
            "[component] got the import 'inferlet:test/one#go' as func(u32, list<u64>) -> "
            "record{x-of-it: s32, y: option<f32>}, expected func(u32, list<string>) -> "
            "record{x-of-it: s32, y: option<f32>}; build the program against this server's WIT");
  EXPECT_NE(refusal("", R"((param "a" u32) (param "b" (list string)))"), "");
  EXPECT_NE(refusal(R"((type $p0 (record (field "x" s32) (field "y" (option f32))))
                       (export "point" (type $p (eq $p0))))",
                    wanted),
            "");
}

TEST_F(LinkTest, handles_are_of_their_resource) {
  functions_.add("inferlet:test/one", "go", [](Counted&) {});
  EXPECT_NE(refusal(R"((export "other" (type $t (sub resource))))", R"((param "self" (borrow $t)))")
                .find("as func(handle<inferlet:test/one/other>), expected "
                      "func(handle<inferlet:test/things/thing>)"),
            std::string::npos);
}

TEST_F(LinkTest, what_is_only_known_is_imported_with_any_type) {
  functions_.add_refused("inferlet:test/one", "go", "not yet");
  EXPECT_EQ(refusal("", R"((param "a" (list f64)) (result char))"), "");
}

}  // namespace
}  // namespace pie::wasm
