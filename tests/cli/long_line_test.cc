// 200 MB in one line: read in bounded time and memory.
#include <sys/resource.h>

#include "base/clock.h"
#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

TEST_CASE("a line of 200 MB is indexed within a gigabyte and found") {
  const World world;
  std::filesystem::create_directories(world.documents());
  {
    std::ofstream file(world.documents() / "line.txt", std::ios::binary);
    file << "needle ";
    constexpr uint64_t kBytes = uint64_t{200} << 20;
    for (uint64_t n = 0, written = 0; written < kBytes; ++n) {
      const std::string word = "word" + std::to_string(n % 50'000) + " ";
      file << word;
      written += word.size();
    }
  }
  const Stopwatch watch;
  const SubprocessResult result = world.run({"index", world.documents().string(), "--json"});
  const double seconds = watch.seconds();
  rusage usage{};
  REQUIRE(::getrusage(RUSAGE_CHILDREN, &usage) == 0);
  const double megabytes = static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
  WARN("indexed in " << seconds << " s, peak resident memory " << megabytes << " MB");
  REQUIRE(result.exit_code == 0);
  CHECK(World::json(result)["folders"][0]["documents"] == 1);
  CHECK(megabytes < 1000);
  CHECK(seconds < 300);
  CHECK(world.run({"search", world.documents().string(), "needle", "-k", "1"}).exit_code == 0);
}
