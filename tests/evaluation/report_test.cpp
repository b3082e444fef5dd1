#include "omni/evaluation/report.h"

#include <gtest/gtest.h>

#include "page_fixtures.h"
#include "temporary_directory.h"
#include "xml_check.h"

namespace omni::evaluation {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

class Report : public ::testing::Test {
 protected:
  test::TemporaryDirectory folder_;
  testing::MadeUpSweep sweep_{folder_.path()};
};

TEST_F(Report, ComparesSettingsAndMarksTheBest) {
  const std::string page = sweep_.page(folder_.path());
  EXPECT_EQ(test::xml_problem(page), "");
  const std::size_t begin = page.find("id=\"comparison\"");
  ASSERT_NE(begin, page.npos);
  const std::string table = page.substr(begin, page.find("</table>", begin) - begin);
  const std::size_t greedy = table.find("<td>greedy</td>"), warm = table.find("<td>warm</td>");
  ASSERT_NE(greedy, table.npos);
  ASSERT_NE(warm, table.npos);
  EXPECT_EQ(count(table, "class=\"best\""), 3u)
      << "by IoU, by that over retrieval, by distance; equal ones have none";
  const std::string first = table.substr(greedy, warm - greedy), second = table.substr(warm);
  EXPECT_EQ(count(first, "<td class=\"best\">0.830"), 1u);
  EXPECT_EQ(count(second, "<td class=\"best\">0.0415"), 1u);
}

TEST_F(Report, ComparesNothingOfOneSetting) {
  sweep_.config.settings.pop_back();
  sweep_.units.pop_back();
  EXPECT_EQ(sweep_.page(folder_.path()).find("id=\"comparison\""), std::string::npos);
}

TEST_F(Report, CardsNameTheirSettingAndLinkTheirMesh) {
  const std::string page = sweep_.page(folder_.path());
  EXPECT_EQ(count(page, "<figure>"), 4u);
  EXPECT_EQ(count(page, "<span class=\"tag setting\">greedy</span>"), 4u);
  EXPECT_EQ(count(page, "<script type=\"text/plain\" class=\"mesh\">"), 4u);
  EXPECT_EQ(count(page, "<dialog"), 1u);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(count(page, "href=\"samples/ball-" + std::to_string(i) + ".glb\""), 1u);
}

TEST_F(Report, HasNoViewerWithoutMeshes) {
  for (UnitResult& unit : sweep_.units)
    for (SampleResult& sample : unit.samples) sample.pictures.erase("mesh");
  const std::string page = sweep_.page(folder_.path());
  EXPECT_EQ(page.find("<dialog"), page.npos);
  EXPECT_EQ(page.find("<script"), page.npos);
}

}  // namespace
}  // namespace omni::evaluation
