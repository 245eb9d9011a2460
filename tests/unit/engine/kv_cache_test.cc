#include "engine/kv_cache.h"

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("KvSequence takes pages as it grows and gives them back") {
  KvPagePool pool(3);
  {
    KvSequence sequence(pool);
    sequence.reserve(kKvPageTokens + 1);
    sequence.advance(kKvPageTokens + 1);
    CHECK(pool.n_free() == 1);
    CHECK_THROWS_AS(sequence.reserve(3 * kKvPageTokens), Error);
    CHECK(pool.n_free() == 1);  // nothing changed
    sequence.truncate(kKvPageTokens);
    CHECK(pool.n_free() == 2);
  }
  CHECK(pool.n_free() == 3);
}

TEST_CASE("KvSequence::fork shares the full pages") {
  KvPagePool pool(4);
  KvSequence sequence(pool);
  sequence.reserve(300);
  sequence.advance(300);
  KvSequence fork = sequence.fork(290);
  CHECK(fork.length() == 256);
  CHECK(fork.pages()[1] == sequence.pages()[1]);
  CHECK(pool.references(sequence.pages()[0]) == 2);
  sequence.truncate(0);
  CHECK(pool.n_free() == 2);
}
