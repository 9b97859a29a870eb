#include "base/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/control_groups.h"

namespace pie {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = 1 << 20;

/// A root folder with the files that a test writes: a machine of 16 GiB and 4 cores.
class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    fs::remove_all(root_);
    write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n");
    write("proc/self/status",
          "VmSize:\t  102400 kB\nVmData:\t 51200 kB\nCpus_allowed_list:\t0-3\n");
    write("proc/self/limits", limits("unlimited", "unlimited"));
  }
  ~MachineTest() override { fs::remove_all(root_); }

  static std::string limits(const std::string& data, const std::string& space) {
    return "Limit                     Soft Limit           Hard Limit           Units     \n"
           "Max data size             " +
           data +
           "            unlimited            bytes     \n"
           "Max open files            1024                 20000                files     \n"
           "Max address space         " +
           space + "            unlimited            bytes     \n";
  }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  void mount_v2(const std::string& group, const std::string& top = "/") {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo",
          "31 23 0:28 " + top + " /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
  }
  void mount_v1(const std::string& group) {
    write("proc/self/cgroup", "4:memory:" + group + "\n1:cpu,cpuacct:" + group + "\n0::/\n");
    write("proc/self/mountinfo",
          "32 31 0:29 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
          "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  }

  const fs::path root_ = fs::temp_directory_path() / ("machine-test-" + std::to_string(getpid()));
};

TEST_F(MachineTest, without_limits_the_machine_is_the_bound) {
  const Machine machine = Machine::read(root_);
  EXPECT_EQ(machine.memory.value, 16384 * kMiB);
  EXPECT_EQ(machine.memory_free.value, 8192 * kMiB);
  EXPECT_EQ(machine.memory_free.by, "the machine's free memory");
  EXPECT_EQ(machine.address_space_free.value, UINT64_MAX);
  EXPECT_EQ(machine.threads.value, 4);
  EXPECT_EQ(machine.descriptors.value, 1024);
}

TEST_F(MachineTest, the_least_limit_of_all_groups_above_counts_less_what_is_in_use) {
  mount_v2("/outer/inner");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("sys/fs/cgroup/outer/inner/memory.high", "1073741824\n");
  write("sys/fs/cgroup/outer/inner/memory.current", "1048576\n");
  write("sys/fs/cgroup/outer/memory.max", "314572800\n");
  write("sys/fs/cgroup/outer/memory.current", "209715200\n");
  write("sys/fs/cgroup/outer/memory.stat",
        "anon 1\ninactive_file 52428800\nactive_file 52428800\n");
  const Machine machine = Machine::read(root_);
  EXPECT_EQ(machine.memory.value, 300 * kMiB);
  EXPECT_EQ(machine.memory_free.value, 200 * kMiB);  // 300 less 200, of which 100 are file pages
  EXPECT_EQ(machine.memory_free.by, (root_ / "sys/fs/cgroup/outer/memory.max").string());
}

TEST_F(MachineTest, version_1_counts_as_well) {
  mount_v1("/docker/1");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "272629760\n");
  write("sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "10485760\n");
  write("sys/fs/cgroup/memory/docker/1/memory.stat",
        "inactive_file 1\ntotal_inactive_file 5242880\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  const Machine machine = Machine::read(root_);
  EXPECT_EQ(machine.memory.value, 260 * kMiB);
  EXPECT_EQ(machine.memory_free.value, 255 * kMiB);
  EXPECT_EQ(machine.threads.value, 2);
}

TEST_F(MachineTest, in_a_container_that_sees_the_hosts_path_the_mounts_top_is_the_group) {
  mount_v2("/docker/1", "/docker/1");
  write("sys/fs/cgroup/memory.max", "272629760\n");
  EXPECT_EQ(Machine::read(root_).memory.value, 260 * kMiB);
  mount_v2("/docker/1", "/elsewhere");
  EXPECT_EQ(Machine::read(root_).memory.value, 260 * kMiB);
  ASSERT_EQ(control_groups(root_, "memory").size(), 1);
}

TEST_F(MachineTest, resource_limits_count_less_what_is_mapped) {
  write("proc/self/limits", limits("unlimited", "1048576000"));
  Machine machine = Machine::read(root_);
  EXPECT_EQ(machine.memory.value, 1000 * kMiB);
  EXPECT_EQ(machine.memory_free.value, 900 * kMiB);
  EXPECT_EQ(machine.address_space_free.value, 900 * kMiB);
  EXPECT_EQ(machine.memory_free.by, "RLIMIT_AS (ulimit -v)");
  write("proc/self/limits", limits("104857600", "unlimited"));
  machine = Machine::read(root_);
  EXPECT_EQ(machine.memory_free.value, 50 * kMiB);
  EXPECT_EQ(machine.memory_free.by, "RLIMIT_DATA (ulimit -d)");
}

TEST_F(MachineTest, a_cores_hardware_threads_and_cores_of_others_do_not_count) {
  for (const char* cpu : {"0", "2"})
    write(std::string("sys/devices/system/cpu/cpu") + cpu + "/topology/thread_siblings_list",
          "0,2\n");
  for (const char* cpu : {"1", "3"})
    write(std::string("sys/devices/system/cpu/cpu") + cpu + "/topology/thread_siblings_list",
          "1,3\n");
  EXPECT_EQ(Machine::read(root_).threads.value, 2);
  EXPECT_EQ(Machine::read(root_).threads.by, "physical cores");
  write("proc/self/status", "Cpus_allowed_list:\t0,2\n");
  EXPECT_EQ(Machine::read(root_).threads.value, 1);
}

TEST_F(MachineTest, a_quota_of_processor_time_bounds_the_threads_at_least_to_one) {
  mount_v2("/a");
  write("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(Machine::read(root_).threads.value, 4);
  write("sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_EQ(Machine::read(root_).threads.value, 3);
  write("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_EQ(Machine::read(root_).threads.value, 1);
}

TEST_F(MachineTest, nothing_readable_limits_nothing_but_threads) {
  fs::remove_all(root_);
  const Machine machine = Machine::read(root_);
  EXPECT_EQ(machine.memory.value, UINT64_MAX);
  EXPECT_EQ(machine.threads.value, 1);
}

TEST(MachineHereTest, this_machine_has_memory_and_a_core) {
  const Machine machine = Machine::read();
  EXPECT_GT(machine.memory.value, machine.memory_free.value);
  EXPECT_GT(machine.memory_free.value, kMiB);
  EXPECT_LT(machine.memory.value, UINT64_MAX);
  EXPECT_GE(machine.threads.value, 1);
}

}  // namespace
}  // namespace pie
