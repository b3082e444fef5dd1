#include "omni/evaluation/shape_tokenizer_page.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "xml_check.h"

namespace omni::evaluation {
namespace {

SampleResult row(double codes, double thickness, double iou) {
  SampleResult result;
  result.metrics = {{"codes", codes}, {"thickness", thickness}, {"iou", iou}};
  return result;
}

TEST(ShapeTokenizerPage, MeansAreOverLengthsAndThirds) {
  std::vector<SampleResult> rows;
  for (int i = 0; i < 6; ++i) {
    rows.push_back(row(64, 0.6 - 0.1 * i, 0.9 - 0.1 * i));  // thinner objects come out worse
    rows.push_back(row(8, 0.6 - 0.1 * i, 0.5));
  }
  rows[0].metrics["cd_l1"] = 0.25;  // of one object alone
  const auto figures = figures_by_length(rows);
  ASSERT_EQ(figures.size(), 2u);
  EXPECT_EQ(figures[0].codes, 8);
  EXPECT_EQ(figures[1].codes, 64);
  EXPECT_NEAR(figures[0].means.at("iou"), 0.5, 1e-12);
  EXPECT_NEAR(figures[1].means.at("iou"), 0.65, 1e-12);
  EXPECT_NEAR(figures[1].thirds[0].at("iou"), 0.45, 1e-12);
  EXPECT_NEAR(figures[1].thirds[1].at("iou"), 0.65, 1e-12);
  EXPECT_NEAR(figures[1].thirds[2].at("iou"), 0.85, 1e-12);
  EXPECT_EQ(figures[1].means.at("cd_l1"), 0.25);
  EXPECT_EQ(figures[0].means.count("cd_l1"), 0u);
}

TEST(ShapeTokenizerPage, PerplexityIsTheNumberOfEquallyFrequentCodes) {
  const std::vector<std::vector<std::int32_t>> codes = {{5, 0, 1}, {5, 1, 1}, {5, 2, 2}, {5, 3, 2}};
  const auto perplexity = perplexity_by_position(codes);
  ASSERT_EQ(perplexity.size(), 3u);
  EXPECT_NEAR(perplexity[0], 1, 1e-12);
  EXPECT_NEAR(perplexity[1], 4, 1e-12);
  EXPECT_NEAR(perplexity[2], 2, 1e-12);
  EXPECT_TRUE(perplexity_by_position({}).empty());
  EXPECT_THROW(perplexity_by_position({{1, 2}, {1}}), Error);
}

TEST(ShapeTokenizerPage, PicturesShowDifferentLengths) {
  using Lengths = std::vector<std::int64_t>;
  EXPECT_EQ(pictured_lengths({2, 4, 8, 16, 32, 64}), (Lengths{8, 32, 64}));
  EXPECT_EQ(pictured_lengths({1, 9, 73, 585}),
            (Lengths{9, 73, 585}));  // nothing between an eighth and a half
  EXPECT_EQ(pictured_lengths({64}), Lengths{64});
  EXPECT_EQ(pictured_lengths({60, 64}), (Lengths{60, 64}));  // neither is within a half
}

TEST(ShapeTokenizerPage, IsAWholePageWithItsCharts) {
  std::vector<SampleResult> rows;
  for (int i = 0; i < 3; ++i)
    for (const double codes : {1.0, 8.0, 64.0}) rows.push_back(row(codes, i, 0.1 * codes / 64));
  ShapeTokenizerPage page{.title = "codes & <shapes>",
                          .figures = figures_by_length(rows),
                          .codes = {{1, 2}, {1, 3}},
                          .vocabulary = 16,
                          .sheet = {},
                          .sheet_lengths = {}};
  const std::string html = shape_tokenizer_page_html(page);
  EXPECT_NE(html.find("codes &amp; &lt;shapes&gt;"), std::string::npos);
  EXPECT_NE(html.find("3 of 16 codes are used"), std::string::npos);
  EXPECT_NE(html.find("thinnest third"), std::string::npos);
  EXPECT_EQ(test::xml_problem(html), "");
  std::size_t charts = 0;
  for (std::size_t at = html.find("<svg"); at != std::string::npos; at = html.find("<svg", at + 1)) ++charts;
  EXPECT_EQ(charts, 2u);  // IoU and perplexity: nothing else was measured
}

}  // namespace
}  // namespace omni::evaluation
