#include "base/thread_pool.h"

#include <atomic>
#include <stdexcept>

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
