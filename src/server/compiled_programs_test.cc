#include "server/compiled_programs.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "crypto/blake3.h"

namespace pie::server {
namespace {

using Program = CompiledPrograms::Program;

class NamedProgram final : public host::Program {
 public:
  explicit NamedProgram(std::string hash) : hash_(std::move(hash)) {}
  const std::string& hash() const override { return hash_; }
  BlobRef source() const override { return nullptr; }
  bool serves_http() const override { return false; }

 private:
  const std::string hash_;
};

/// Compiles whatever it gets, and counts.
class CountingHost final : public host::ProgramHost {
 public:
  Result<std::shared_ptr<const host::Program>> compile(std::span<const uint8_t> wasm,
                                                       const std::string& hash) override {
    ++compiled;
    if (std::string(wasm.begin(), wasm.end()) == "bad")
      return Error{ErrorCode::kInvalidArgument, "[program] got nothing good"};
    return std::shared_ptr<const host::Program>(std::make_shared<NamedProgram>(hash));
  }
  Result<std::shared_ptr<const host::Program>> with_source(const Program& runtime, BlobRef,
                                                           std::string) override {
    return runtime;
  }
  Result<std::shared_ptr<host::RunningInstance>> prepare(host::LaunchSpec) override {
    return Error{ErrorCode::kUnsupported, "[launch] got a call, expected none here"};
  }
  int compiled = 0;
};

BlobRef blob_of(const std::string& text) { return make_memory_blob({text.begin(), text.end()}); }

/// Has what it is asked for, at once.
class StoredPrograms final : public store::Programs {
 public:
  void put(store::ProgramUpload, Done<void> done) override { done({}); }
  void check_room(store::ProgramUpload, Done<void> done) override { done({}); }
  void find(const std::string&, store::ProgramReference, Done<store::FoundProgram> done) override {
    done(Error{ErrorCode::kNotFound, "Program not found"});
  }
  void exists(const std::string&, std::string, Done<bool> done) override { done(true); }
  void wasm(const std::string&, std::string hash, Done<BlobRef> done) override {
    ++asked;
    if (refusal) return done(*refusal);
    done(blob_of(bytes.at(hash)));
  }
  int asked = 0;
  std::map<std::string, std::string> bytes;  ///< by hash
  std::optional<Error> refusal;
};

class CompiledProgramsTest : public testing::Test {
 protected:
  /// Asks for the program whose bytes are `name`; its job waits in jobs_, its answer comes to
  /// answers_ as the name or what was wrong.
  void ask(const std::string& name, const std::string& user = "u") {
    const size_t number = answers_.size();
    const std::string hash = stored(name);
    answers_.emplace_back();
    programs_.get(hash, {.user = user,
                         .post =
                             [this](uint64_t bytes, std::function<void()> job,
                                    CompiledPrograms::Refuse refuse) {
                               jobs_.push_back({bytes, std::move(job), std::move(refuse)});
                             },
                         .done =
                             [this, number, name](const Result<Program>& program) {
                               if (program.ok())
                                 EXPECT_EQ((*program)->hash(), crypto::blake3_hex(name));
                               answers_[number] = program.ok() ? name : program.error().message;
                             },
                         .wasm = nullptr});
  }
  std::string stored(const std::string& name) {
    std::string hash = crypto::blake3_hex(name);
    stored_.bytes.emplace(hash, name);
    return hash;
  }
  void run_job() {
    const Job job = std::move(jobs_.front());
    jobs_.erase(jobs_.begin());
    job.work();
  }

  struct Job {
    uint64_t bytes;
    std::function<void()> work;
    CompiledPrograms::Refuse refuse;
  };
  StoredPrograms stored_;
  CountingHost host_;
  CompiledPrograms programs_{stored_, host_, 600 << 10};
  std::vector<Job> jobs_;
  std::vector<std::string> answers_;
};

using Answers = std::vector<std::string>;

TEST_F(CompiledProgramsTest, many_who_ask_wait_for_one_compilation) {
  for (int i = 0; i < 3; ++i) ask("a");
  ASSERT_EQ(jobs_.size(), 1U);
  run_job();
  EXPECT_EQ(answers_, (Answers{"a", "a", "a"}));
  ask("a");
  EXPECT_EQ(answers_.back(), "a") << "at hand: no job";
  EXPECT_EQ(host_.compiled, 1);
  EXPECT_EQ(stored_.asked, 1);
}

TEST_F(CompiledProgramsTest, where_the_first_is_refused_or_gone_the_next_has_it_compiled) {
  for (const char* user : {"poor", "gone", "third", "fourth"}) ask("a", user);
  const auto refuse = jobs_.front().refuse;
  refuse("no processor time");
  EXPECT_EQ(answers_[0], "no processor time");
  ASSERT_EQ(jobs_.size(), 2U);
  std::exchange(jobs_, {}).clear();  // the connection of the second one is closed
  ASSERT_EQ(jobs_.size(), 1U);
  run_job();
  EXPECT_EQ(answers_, (Answers{"no processor time", "", "a", "a"}));
  EXPECT_EQ(host_.compiled, 1);
}

TEST_F(CompiledProgramsTest, a_line_of_thousands_who_are_refused_at_once_ends) {
  const std::string hash = stored("a");
  for (int i = 0; i < 20'000; ++i)
    programs_.get(hash, {.user = "u",
                         .post =
                             [this, i](uint64_t, const std::function<void()>& job,
                                       const CompiledPrograms::Refuse& refuse) {
                               if (i == 0) return jobs_.push_back({0, job, refuse});
                               refuse("no");
                             },
                         .done = [this](const auto&) { answers_.emplace_back(); },
                         .wasm = nullptr});
  jobs_.clear();
  EXPECT_EQ(answers_.size(), 19'999U);
  ask("a");
  EXPECT_EQ(jobs_.size(), 1U);
}

TEST_F(CompiledProgramsTest, what_cannot_be_read_or_compiled_is_told_to_all_of_the_line) {
  ask("bad");
  ask("bad");
  run_job();
  EXPECT_EQ(answers_, (Answers{"[program] got nothing good", "[program] got nothing good"}));
  stored_.refusal = Error{ErrorCode::kNotFound, "Program not found"};
  ask("absent");
  EXPECT_EQ(answers_.back(), "Program not found");
  stored_.refusal = Error{ErrorCode::kResourceExhausted, "too much waits"};
  ask("a");
  EXPECT_EQ(answers_.back(), "too much waits");
  stored_.refusal.reset();
  ask("a");
  run_job();
  EXPECT_EQ(answers_.back(), "a");
}

TEST_F(CompiledProgramsTest, its_memory_is_asked_for_before_a_byte_is_read) {
  const std::string large(1 << 20, 'x');
  ask(large);
  ASSERT_EQ(jobs_.size(), 1U);
  EXPECT_GE(jobs_.front().bytes, large.size());
}

TEST_F(CompiledProgramsTest, a_file_that_was_replaced_is_not_taken_for_the_program) {
  stored_.bytes[crypto::blake3_hex("a")] = "b";
  ask("a");
  run_job();
  EXPECT_EQ(answers_.back(), "Program not found");
  EXPECT_EQ(host_.compiled, 0);
}

TEST_F(CompiledProgramsTest, beyond_the_bound_the_program_used_longest_ago_is_let_go) {
  for (const char* name : {"a", "b"}) {
    ask(name);
    run_job();
  }
  ask("a");
  ask("c");
  run_job();  // three of 256 KiB at least are too many
  ask("a");
  EXPECT_TRUE(jobs_.empty());
  ask("b");
  EXPECT_EQ(jobs_.size(), 1U);
}

}  // namespace
}  // namespace pie::server
