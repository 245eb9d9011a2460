#include "engine/control_group.h"

#include <fstream>
#include <limits>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;

namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// A system of files.
class FakeRoot {
 public:
  FakeRoot& file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / path).parent_path());
    std::ofstream(folder_.path() / path) << text;
    return *this;
  }
  FakeRoot& version_2(const std::string& group, const std::string& max, const std::string& current,
                      const std::string& stat = "anon 5\nfile 70\nactive_file 20\ninactive_file 30\n") {
    const std::string folder = "sys/fs/cgroup" + group + "/";
    return file(folder + "memory.max", max + "\n")
        .file(folder + "memory.current", current + "\n")
        .file(folder + "memory.stat", stat);
  }
  FakeRoot& version_1(const std::string& group, const std::string& limit, const std::string& usage) {
    const std::string folder = "sys/fs/cgroup/memory" + group + "/";
    return file(folder + "memory.limit_in_bytes", limit + "\n")
        .file(folder + "memory.usage_in_bytes", usage + "\n")
        .file(folder + "memory.stat", "active_file 1\ntotal_active_file 200\ntotal_inactive_file 300\n");
  }
  int64_t left() const { return control_group_memory_bytes(folder_.path()); }

 private:
  TempFolder folder_;
};

}  // namespace

TEST_CASE("Without control groups or limits nothing is limited") {
  CHECK(FakeRoot().left() == kNoLimit);
  CHECK(FakeRoot().file("proc/self/cgroup", "0::/\n").left() == kNoLimit);
  CHECK(FakeRoot().file("proc/self/cgroup", "0::/\n").version_2("", "max", "100").left() == kNoLimit);
  CHECK(FakeRoot().file("proc/self/cgroup", "nonsense\n0:\n").version_2("", "1", "1").left() == kNoLimit);
}

TEST_CASE("A group leaves its limit less what it uses, files aside") {
  FakeRoot root;
  root.file("proc/self/cgroup", "0::/\n").version_2("", "1000", "400");
  CHECK(root.left() == 1000 - (400 - 50));
  root.version_2("", "1000", "2000");
  CHECK(root.left() == 0);
  root.version_2("", "1000", "30");  // counted at another moment than the files
  CHECK(root.left() == 1000);
  root.version_2("", "1000", "400", "");
  CHECK(root.left() == 600);
}

TEST_CASE("Of groups within groups the least counts") {
  FakeRoot root;
  root.file("proc/self/cgroup", "0::/user.slice/app.service\n")
      .version_2("/user.slice", "5000", "1050")
      .version_2("/user.slice/app.service", "max", "700");
  CHECK(root.left() == 4000);
  root.version_2("/user.slice/app.service", "900", "250");
  CHECK(root.left() == 700);
  root.version_2("/user.slice", "1300", "1050");
  CHECK(root.left() == 300);
}

TEST_CASE("In a container the path may be the host's or outside of what is shown") {
  const std::string path = GENERATE("/docker/0123abc", "/../other", "/..");
  FakeRoot root;
  root.file("proc/self/cgroup", "0::" + path + "\n").version_2("", "800", "150");
  CHECK(root.left() == 700);
}

TEST_CASE("Version 1 has the memory controller in a hierarchy of its own") {
  FakeRoot root;
  root.file("proc/self/cgroup", "9:name=systemd:/\n5:cpu,memory:/box\n3:pids:/\n0::/\n")
      .version_1("", "9223372036854771712", "7000")
      .version_1("/box", "9000", "1500");
  CHECK(root.left() == 8000);
  root.version_2("", "300", "50");  // both at once, as in the time of the change
  CHECK(root.left() == 300);
}
