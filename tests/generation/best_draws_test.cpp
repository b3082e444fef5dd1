#include "best_draws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace omni::generation {
namespace {

struct Draw {
  std::size_t request = 0;
  std::uint64_t sample_number = 0;
  double log_probability = 0;
  double drawing_seconds = 0;
  int mark = 0;
};

using Draws = BestDraws<Draw>;

std::vector<int> marks(const std::vector<Draw>& draws) {
  std::vector<int> list;
  for (const Draw& draw : draws) list.push_back(draw.mark);
  return list;
}

TEST(BestDraws, TakesTheMostProbableOfEachSampleWithTheTimeOfAll) {
  Draws best([](std::size_t request) { return request == 0 ? 2 : 1; });
  std::vector<Draw> first = {{0, 0, -3, 1, 10}, {0, 1, -2, 2, 11}, {0, 2, -1, 4, 12}};
  const std::vector<Draw> samples = best.add(first);
  ASSERT_EQ(marks(samples), std::vector<int>{11});
  EXPECT_EQ(samples[0].sample_number, 0u);
  EXPECT_EQ(samples[0].drawing_seconds, 3);
  std::vector<Draw> second = {{0, 3, -5, 8, 13}, {1, 0, -9, 16, 20}};
  const std::vector<Draw> rest = best.add(second);
  ASSERT_EQ(marks(rest), (std::vector<int>{12, 20}));
  EXPECT_EQ(rest[0].sample_number, 1u);
  EXPECT_EQ(rest[0].drawing_seconds, 12);
  EXPECT_EQ(rest[1].drawing_seconds, 16);
}

// As after Ctrl-C, when some draws are not whole: neither the best of fewer draws nor one of another sample.
TEST(BestDraws, ASampleWithoutAllOfItsDrawsDoesNotCome) {
  const auto three_each = [](std::size_t) { return std::int64_t{3}; };
  const std::vector<std::vector<std::pair<std::size_t, std::uint64_t>>> with_gaps = {
      {{0, 0}, {0, 2}}, {{0, 1}, {0, 2}}, {{0, 0}, {0, 1}, {0, 5}}, {{0, 0}, {0, 1}, {1, 2}}, {{0, 2}}};
  for (const auto& gaps : with_gaps) {
    Draws best(three_each);
    std::vector<Draw> draws;
    for (const auto& [request, number] : gaps) draws.push_back({request, number, 0, 0, 1});
    for (const std::uint64_t number : {6u, 7u, 8u}) draws.push_back({1, number, 0, 0, 2});
    EXPECT_EQ(marks(best.add(draws)), std::vector<int>{2});
  }
}

}  // namespace
}  // namespace omni::generation
