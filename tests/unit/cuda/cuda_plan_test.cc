#include "engine/cuda_plan.h"

#include <map>
#include <numeric>

#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Batch {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<KvPageId>> pages;
  std::vector<SequenceSlice> slices;

  void add(int first_position, int n) {
    tokens.push_back(some_tokens(n, static_cast<int>(tokens.size()) + 1));
    std::vector<KvPageId>& table = pages.emplace_back(static_cast<size_t>((first_position + n + 127) / 128));
    std::iota(table.begin(), table.end(), static_cast<KvPageId>(1000 * pages.size()));
  }
  // After all are added, whose memory moves no more.
  BatchPiece piece(const std::vector<std::array<int, 3>>& shapes) {
    for (const auto& shape : shapes) add(shape[0], shape[1]);
    for (size_t i = 0; i < shapes.size(); ++i)
      slices.push_back({tokens[i], shapes[i][0], pages[i], shapes[i][2]});
    const auto pieces = split_batch({slices, {}}, 1 << 20);
    REQUIRE(pieces.size() == 1);
    return pieces[0];
  }
};

// The tasks of a plan read each of the rows once, at their positions and by their page tables.
void check_covers(const CudaAttentionPlan& plan, const CudaPiecePlan& piece, std::span<const int32_t> rows,
                  int group) {
  std::map<int, int> seen;
  for (const auto& [tasks, limit] :
       {std::pair{&plan.prefill, cuda::kPrefillRows}, {&plan.decode, cuda::kDecodeRows}}) {
    for (const cuda::AttentionTask& task : *tasks) {
      CHECK(task.n_queries * group <= limit);
      CHECK(task.n_queries > 0);
      for (int i = 0; i < task.n_queries; ++i) {
        const auto row = static_cast<size_t>(rows[static_cast<size_t>(task.row + i)]);
        CHECK(++seen[static_cast<int>(row)] == 1);
        const int position = task.first_position + i;
        CHECK(piece.positions[row] == position);
        CHECK(piece.page_tables[static_cast<size_t>(task.page_table + position / 128)] == piece.pages[row]);
      }
    }
  }
  CHECK(seen.size() == rows.size());
}

}  // namespace

TEST_CASE("A piece's tasks cover every query once, and in the last layer the wanted ones") {
  Qwen2Config config = tiny_config();
  config.num_attention_heads = GENERATE(2, 14);
  config.num_key_value_heads = 2;
  Batch batch;
  const BatchPiece piece = batch.piece({{0, 300, 0}, {127, 1, 1}, {500, 130, 3}, {60, 9, 9}, {0, 1, 0}});
  const CudaPiecePlan plan = plan_piece(piece, config, {});
  CHECK(plan.n == 441);
  CHECK(plan.wanted.size() == 13);
  CHECK(plan.n_query_kinds == 1);
  std::vector<int32_t> rows(441);
  std::iota(rows.begin(), rows.end(), 0);
  check_covers(plan.attention, plan, rows, config.group_size());
  check_covers(plan.last_attention, plan, plan.wanted, config.group_size());
  CHECK(plan.attention.sparse.empty());
  for (size_t i = 1; i < plan.attention.prefill.size(); ++i)
    CHECK(plan.attention.prefill[i - 1].first_position / 128 >=
          plan.attention.prefill[i].first_position / 128 - 1);
}

TEST_CASE("Tasks end at the borders of key chunks") {
  Qwen2Config config = tiny_config();
  config.dual_chunk_attention = DualChunkAttention{192, 64, 0};  // chunks of 128
  Batch batch;
  const BatchPiece piece = batch.piece({{100, 300, 2}});
  const CudaPiecePlan plan = plan_piece(piece, config, {});
  CHECK(plan.n_query_kinds == 3);
  for (const auto* tasks : {&plan.attention.prefill, &plan.last_attention.decode}) {
    CHECK(!tasks->empty());
    for (const cuda::AttentionTask& task : *tasks) {
      const int chunk = task.first_position / 128;
      CHECK((task.first_position + task.n_queries - 1) / 128 == chunk);
      CHECK(task.intra_page == chunk);
      CHECK(task.succ_page == std::max(chunk - 1, 0));
    }
  }
}

TEST_CASE("The last queries of a prompt and short ones are not read sparsely") {
  const Qwen2Config config = tiny_config();
  Batch batch;
  const BatchPiece piece = batch.piece({{0, 640, 1}, {1000, 40, 1}, {0, 200, 0}});
  const CudaPiecePlan plan = plan_piece(piece, config, {.above_tokens = 500});
  REQUIRE(plan.attention.sparse_parts.size() == 1);
  const auto& part = plan.attention.sparse_parts[0];
  CHECK(part.first == 0);
  CHECK(part.n == static_cast<int>(plan.attention.sparse.size()));
  CHECK(part.whole_pages == 4);
  int n_sparse = 0;
  for (const auto& task : plan.attention.prefill) {
    if (task.sparse < 0) continue;
    ++n_sparse;
    CHECK(plan.attention.sparse[static_cast<size_t>(task.sparse)].row == task.row);
    CHECK(task.row + task.n_queries <= 640 - 64);
  }
  CHECK(n_sparse == part.n);
  REQUIRE(plan.attention.samples.size() == 2);
  CHECK(plan.attention.samples[0].sparse == part.n - 1);
  CHECK(plan.attention.samples[1].sparse == -1);
  CHECK(plan.attention.samples[0].n_queries == 1);
  CHECK(plan.last_attention.sparse.empty());
}

TEST_CASE("The last queries of each sparse part show where its attention lies") {
  Qwen2Config config = tiny_config();
  config.dual_chunk_attention = DualChunkAttention{192, 64, 0};  // chunks of 128
  Batch batch;
  const BatchPiece piece = batch.piece({{0, 600, 0}, {1000, 40, 0}, {300, 400, 1}});
  const CudaPiecePlan plan = plan_piece(piece, config, {.above_tokens = 500});
  REQUIRE(plan.attention.sparse_parts.size() == 2);
  const int first_positions[] = {600 - 64, 700 - 64}, rows[] = {600 - 64, 640 + 400 - 64};
  for (int i = 0; i < 2; ++i) {
    const auto& part = plan.attention.sparse_parts[static_cast<size_t>(i)];
    CHECK(part.last_row == rows[i]);
    CHECK(part.last_position == first_positions[i]);
    CHECK(part.n_keys == first_positions[i] + 64);
    int row = 0;
    for (int t = part.first_last; t < part.first_last + part.n_last; ++t) {
      const cuda::AttentionTask& task = plan.attention.last[static_cast<size_t>(t)];
      CHECK(task.row == row);
      CHECK(task.first_position == first_positions[i] + row);
      CHECK(task.page_table == part.page_table);
      CHECK(task.n_queries * config.group_size() <= cuda::kPrefillRows);
      CHECK(task.intra_page == (task.first_position + task.n_queries - 1) / 128);
      CHECK(task.sparse == -1);
      row += task.n_queries;
    }
    CHECK(row == 64);
    for (int t = part.first; t < part.first + part.n; ++t)
      CHECK(plan.attention.sparse[static_cast<size_t>(t)].part == i);
    CHECK(plan.attention.samples[static_cast<size_t>(2 * i)].part == i);
  }
}

TEST_CASE("Few tasks over many pages are shared out, many are not") {
  CHECK(attention_splits(1, 2, 1, 132) == 1);
  CHECK(attention_splits(1, 2, 4, 132) == 2);
  CHECK(attention_splits(1, 2, 8000, 132) == 128);
  CHECK(attention_splits(1000, 2, 8000, 132) == 1);
}
