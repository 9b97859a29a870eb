#include "cli/commands.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pie::cli {
namespace {

using Words = std::vector<std::string>;

/// CLI11's options of vectors would take every word after them.
void expect_single_values(const CLI::App& command, const std::string& path) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    EXPECT_FALSE(option->get_allow_extra_args()) << path << " " << option->get_name();
    EXPECT_LE(option->get_type_size() * option->get_expected_max(), 1)
        << path << " " << option->get_name();
  }
  for (const CLI::App* one : command.get_subcommands([](const CLI::App*) { return true; }))
    expect_single_values(*one, path + " " + one->get_name());
}

TEST(Commands, an_option_takes_one_value_each_time_it_is_given) {
  CLI::App app("", "pie");
  const Words none;
  int exit_code = 0;
  add_commands(app, none, exit_code);
  expect_single_values(app, "pie");
}

TEST(Commands, what_follows_the_dashes_is_the_programs) {
  Words run = {"run", "--model", "F", "p", "a", "--", "--model", "--", "x"};
  EXPECT_EQ(split_program_arguments(run), (Words{"--model", "--", "x"}));
  EXPECT_EQ(run, (Words{"run", "--model", "F", "p", "a"}));
  Words submit = {"submit", "p"};
  EXPECT_TRUE(split_program_arguments(submit).empty());
  Words other = {"abort", "--", "-x"};
  EXPECT_TRUE(split_program_arguments(other).empty());
  EXPECT_EQ(other, (Words{"abort", "--", "-x"}));
  Words nothing;
  EXPECT_TRUE(split_program_arguments(nothing).empty());
}

}  // namespace
}  // namespace pie::cli
