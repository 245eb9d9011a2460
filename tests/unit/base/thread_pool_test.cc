#include "base/thread_pool.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <stdexcept>

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("ThreadPool runs every index once, region after region") {
  const int n_threads = GENERATE(1, 2, 5);
  ThreadPool pool(n_threads);
  CHECK(pool.size() == n_threads);
  for (int region = 0; region < 2000; ++region) {
    const int n_tasks = region % 17;
    std::vector<std::atomic<int>> hits(static_cast<size_t>(n_tasks));
    pool.run(n_tasks, [&](int index, int worker) {
      if (worker >= 0 && worker < n_threads) ++hits[static_cast<size_t>(index)];
    });
    for (const auto& hit : hits) REQUIRE(hit == 1);
  }
}

TEST_CASE("ThreadPool hands the first exception to the caller and goes on working") {
  ThreadPool pool(3);
  CHECK_THROWS_WITH(pool.run(8,
                             [](int index, int) {
                               if (index == 5) throw std::runtime_error("five");
                             }),
                    "five");
  std::atomic<int> sum{0};
  pool.run(4, [&](int index, int) { sum += index; });
  CHECK(sum == 6);
}

TEST_CASE("ThreadPool that the system denies its threads is an error, not the end of the program") {
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t mapped = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
  if (mapped > rlim_t{1} << 40) LECTERN_SKIP("a sanitizer's shadow does not stand a limit on memory");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = mapped + (rlim_t{64} << 20);  // the stacks of some threads
    ::setrlimit(RLIMIT_AS, &limit);
    int code = 1;
    try {
      const ThreadPool pool(1000);
    } catch (const Error& error) {
      code = error.code() == ErrorCode::kResourceExhausted ? 0 : 2;
    }
    ::_exit(code);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
