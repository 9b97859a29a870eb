#include "server/compiled_programs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/archive.h"
#include "base/file.h"
#include "crypto/blake3.h"

namespace pie::server {
namespace {

using Program = CompiledPrograms::Program;

class NamedProgram final : public host::Program {
 public:
  explicit NamedProgram(std::string hash, BlobRef source = nullptr)
      : hash_(std::move(hash)), source_(std::move(source)) {}
  const std::string& hash() const override { return hash_; }
  BlobRef source() const override { return source_; }
  bool serves_http() const override { return false; }

 private:
  const std::string hash_;
  const BlobRef source_;
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
  Result<std::shared_ptr<const host::Program>> with_source(const Program& runtime, BlobRef source,
                                                           std::string hash) override {
    runtimes.push_back(runtime->hash());
    return std::shared_ptr<const host::Program>(
        std::make_shared<NamedProgram>(std::move(hash), std::move(source)));
  }
  Result<std::shared_ptr<host::RunningInstance>> prepare(host::LaunchSpec) override {
    return Error{ErrorCode::kUnsupported, "[launch] got a call, expected none here"};
  }
  int compiled = 0;
  std::vector<std::string> runtimes;  ///< hashes, one for each archive
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
  const std::filesystem::path runtime_ = testing::TempDir() + "/compiled_programs_runtime";
  CompiledPrograms programs_{
      stored_, host_, {.memory_bytes_max = 600 << 10, .python_runtime = runtime_}};
  std::vector<Job> jobs_;
  std::vector<std::string> answers_;
};

using Answers = std::vector<std::string>;

TEST_F(CompiledProgramsTest, so_many_are_kept_as_may_have_their_files_open) {
  CompiledPrograms few{stored_, host_, {.memory_bytes_max = 1 << 30, .programs_max = 2}};
  const auto get = [&](const char* program) {
    few.get(stored(program), {.user = "u",
                              .post = [](uint64_t, const auto& job, const auto&) { job(); },
                              .done = [](const auto&) {},
                              .wasm = nullptr});
  };
  for (const char* program : {"a", "b", "a", "c"}) get(program);
  EXPECT_EQ(host_.compiled, 3);
  get("a");
  EXPECT_EQ(host_.compiled, 3) << "used after b: kept";
  get("b");
  EXPECT_EQ(host_.compiled, 4);
}

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

struct ArchiveTest : CompiledProgramsTest {
  void SetUp() override { ASSERT_TRUE(write_file_atomically(runtime_, "runtime").ok()); }
  void TearDown() override { std::filesystem::remove(runtime_); }
};

TEST_F(ArchiveTest, archives_run_in_a_runtime_that_is_compiled_once) {
  ask("PK\3\4 one");
  run_job();
  EXPECT_EQ(answers_, (Answers{""}));
  ask("PK\3\4 two");
  run_job();
  ASSERT_EQ(jobs_.size(), 1U) << "both wait for the runtime";
  run_job();
  EXPECT_EQ(answers_, (Answers{"PK\3\4 one", "PK\3\4 two"}));
  EXPECT_EQ(host_.compiled, 1);
  EXPECT_EQ(host_.runtimes, (Answers(2, crypto::blake3_hex("runtime"))));
  ASSERT_TRUE(write_file_atomically(runtime_, "a newer one").ok());
  ask("PK\3\4 three");
  run_job();
  run_job();
  EXPECT_EQ(host_.runtimes.back(), crypto::blake3_hex("a newer one"));
}

TEST_F(ArchiveTest, who_waits_for_the_runtime_and_goes_leaves_it_to_the_next) {
  ask("PK\3\4 one", "gone");
  run_job();
  ask("PK\3\4 one", "stays");
  std::exchange(jobs_, {}).clear();  // the connection of the first one is closed
  while (!jobs_.empty()) run_job();
  EXPECT_EQ(answers_, (Answers{"", "PK\3\4 one"}));
}

TEST_F(ArchiveTest, without_a_runtime_the_error_says_what_to_do) {
  std::filesystem::remove(runtime_);
  ask("PK\3\4 one");
  run_job();
  EXPECT_NE(answers_.back().find("make build"), std::string::npos) << answers_.back();
  EXPECT_NE(answers_.back().find(runtime_.string()), std::string::npos) << answers_.back();
  ask("no archive");
  run_job();
  EXPECT_EQ(answers_.back(), "no archive");
}

TEST_F(ArchiveTest, an_archive_is_at_most_64_mib) {
  ask("PK\3\4" + std::string(kArchiveBytesMax, 'x'));
  run_job();
  EXPECT_NE(answers_.back().find("expected at most 67108864"), std::string::npos);
}

}  // namespace
}  // namespace pie::server
