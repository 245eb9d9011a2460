#include "apps/server/jobs.h"

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

Job end_of(const Jobs& jobs, const std::string& id) {
  for (int i = 0; i < 200; ++i) {
    const auto job = jobs.find(id);
    REQUIRE(job);
    if (job->ended()) return *job;
    jobs.wait(id, job->version, std::chrono::milliseconds(50));
  }
  FAIL("the job does not end");
  return {};
}

void wait_for(const CancelToken& token) {
  while (!token.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("a job tells how far it is and what came of it") {
  Jobs jobs;
  const CancelToken seen;
  const Job started = jobs.start("notes", [&](const ProgressFn& progress, const CancelToken&) {
    progress({.stage = "reading", .item = "a.md", .items_done = 3, .items_total = 9});
    wait_for(seen);
    return Json{{"added", 3}};
  });
  CHECK(jobs.running("notes") == started.id);
  CHECK_FALSE(jobs.running("other"));
  for (Job job = started; job.total == 0;) job = *jobs.wait(started.id, job.version, std::chrono::seconds(5));
  const Job half = *jobs.find(started.id);
  CHECK(half.done == 3);
  CHECK(half.total == 9);
  CHECK(half.message == "reading a.md");
  seen.cancel();
  const Job ended = end_of(jobs, started.id);
  CHECK(ended.state == Job::State::kDone);
  CHECK(ended.report["added"] == 3);
  CHECK_FALSE(jobs.running("notes"));
  CHECK_FALSE(jobs.find("job-99"));
}

TEST_CASE("a collection has one job at a time, and a failure says why") {
  Jobs jobs;
  const CancelToken go_on;
  const auto work = [&](const ProgressFn&, const CancelToken&) -> Json {
    wait_for(go_on);
    throw Error(ErrorCode::kUnavailable, "another process writes to it");
  };
  const Job first = jobs.start("notes", work);
  CHECK(jobs.start("notes", work).id == first.id);
  CHECK(jobs.start("other", work).id != first.id);
  go_on.cancel();
  const Job ended = end_of(jobs, first.id);
  CHECK(ended.state == Job::State::kFailed);
  CHECK(ended.message == "another process writes to it");
}

TEST_CASE("a cancelled job ends as cancelled, one under way and one that waits") {
  Jobs jobs;
  const auto work = [](const ProgressFn&, const CancelToken& cancel) -> Json {
    wait_for(cancel);
    cancel.throw_if_cancelled();
    return nullptr;
  };
  const Job first = jobs.start("a", work), second = jobs.start("b", work);
  jobs.cancel(second.id);
  jobs.cancel(first.id);
  CHECK(end_of(jobs, first.id).state == Job::State::kCancelled);
  CHECK(end_of(jobs, second.id).state == Job::State::kCancelled);
}

TEST_CASE("a job that begins afresh waits behind one that has begun") {
  Jobs jobs;
  const CancelToken go_on;
  std::atomic<bool> begun{false};
  const Job first = jobs.start("notes", [&](const ProgressFn&, const CancelToken&) {
    begun = true;
    wait_for(go_on);
    return Json(1);
  });
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto work = [](const ProgressFn&, const CancelToken&) { return Json(2); };
  const Job second = jobs.start("notes", work, /*afresh=*/true);
  CHECK(second.id != first.id);
  CHECK(jobs.start("notes", work, /*afresh=*/true).id == second.id);  // it has not begun
  go_on.cancel();
  CHECK(end_of(jobs, first.id).report == 1);
  CHECK(end_of(jobs, second.id).report == 2);
}
