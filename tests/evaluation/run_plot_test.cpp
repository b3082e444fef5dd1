#include "omni/evaluation/run_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "plotted_runs.h"
#include "xml_check.h"

namespace omni::evaluation {
namespace {

using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNan;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// The points of the lines in a chart, line by line.
std::vector<std::string> lines_in(const std::string& text) {
  std::vector<std::string> lines;
  const std::string start = "points=\"";
  for (std::size_t at = text.find(start); at != text.npos; at = text.find(start, at)) {
    at += start.size();
    lines.push_back(text.substr(at, text.find('"', at) - at));
  }
  return lines;
}

PlottedRun run_of(const std::string& name, const std::string& lines) {
  return {name, parse_run_curves(lines)};
}

TEST(Smoothed, IsTheMeanOfWeightsThatFade) {
  // By hand: (0.5 * 1) / 0.5; (0.25 * 1 + 0.5 * 4) / 0.75; not-a-number stands aside.
  EXPECT_THAT(smoothed({1, 4, std::nan(""), 4}, 0.5),
              ElementsAre(1, DoubleNear(3, 1e-12), IsNan(), DoubleNear((1 + 8 + 16) / 7.0, 1e-12)));
  EXPECT_THAT(smoothed({3, 3, 3}, 0.9),
              ElementsAre(DoubleNear(3, 1e-12), DoubleNear(3, 1e-12), DoubleNear(3, 1e-12)));
}

TEST(RunPlot, PageHoldsEveryNumberOfEveryRun) {
  const std::vector<PlottedRun> runs = testing::plotted_runs();
  const std::string page = run_plot_page(runs, {});
  EXPECT_EQ(test::xml_problem(page), "");
  for (const PlottedRun& run : runs)
    for (const auto& [metric, curve] : run.curves.metrics)
      if (metric != "tokens" && metric != "seconds" && metric != "progress")
        EXPECT_EQ(count(page, "<p class=\"axis\">" +
                                  std::string(metric == "loss text->shape" ? "loss text-&gt;shape" : metric) +
                                  "</p>"),
                  1u)
            << metric;
  EXPECT_EQ(page.find("<script"), page.npos);
  const std::string names = "a &lt;b&gt; &amp; c";
  EXPECT_THAT(page, HasSubstr(names));
}

TEST(RunPlot, TheSamePointsOverStepsTokensAndHours) {
  // Tokens go twice as fast in the second half of the run, time three times as slow.
  const std::vector<PlottedRun> runs = {run_of("a",
                                               "{\"step\":0,\"loss\":4,\"tokens\":0,\"seconds\":0}\n"
                                               "{\"step\":10,\"loss\":3,\"tokens\":100,\"seconds\":900}\n"
                                               "{\"step\":20,\"loss\":2,\"tokens\":300,\"seconds\":3600}\n")};
  const auto places = [&](PlotAxis axis) {
    std::vector<double> xs;
    std::istringstream points(lines_in(run_plot_page(runs, {.axis = axis})).at(0));
    for (std::string point; points >> point;) xs.push_back(std::stod(point));
    return xs;
  };
  EXPECT_THAT(places(PlotAxis::steps), ElementsAre(0, 500, 1000));
  EXPECT_THAT(places(PlotAxis::tokens), ElementsAre(0, DoubleNear(1000.0 / 3, 0.06), 1000));
  EXPECT_THAT(places(PlotAxis::hours), ElementsAre(0, 250, 1000));
}

TEST(RunPlot, SaysWhatItLeavesOut) {
  EXPECT_THAT(remarks(parse_run_curves(""), PlotAxis::steps), ElementsAre("no steps yet"));
  EXPECT_THAT(remarks(parse_run_curves("{\"step\":1,\"loss\":2}\n"), PlotAxis::steps), IsEmpty());
  EXPECT_THAT(remarks(parse_run_curves("{\"step\":1,\"loss\":2}\n"), PlotAxis::tokens),
              ElementsAre("its lines do not tell tokens: not in the charts"));
  EXPECT_THAT(remarks(parse_run_curves("x\n{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":null}\n"
                                       "{\"step\":2,\"loss\":null}\n"),
                      PlotAxis::steps),
              ElementsAre("1 line is broken and passed over",
                          "1 line was told again after a resume; the later ones are drawn",
                          "'loss' is not a number at 1 of 2 points, first at step 2"));
}

TEST(RunPlot, NotANumberLeavesAGapAndALonePointADot) {
  const std::vector<PlottedRun> runs = {run_of(
      "a",
      "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":null}\n{\"step\":3,\"loss\":3}\n{\"step\":4,\"loss\":4}\n")};
  const std::vector<std::string> lines = lines_in(run_plot_page(runs, {}));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(count(lines[0], ","), 2u) << "the same point twice: " << lines[0];
  EXPECT_EQ(count(lines[1], ","), 2u);
}

TEST(RunPlot, ShortRisingCurvesReachTheirEnds) {
  const std::string lines =
      "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":2}\n{\"step\":3,\"loss\":3}\n{\"step\":4,\"loss\":10}\n";
  std::istringstream points(lines_in(run_plot_page({run_of("a", lines)}, {})).at(0));
  std::vector<double> heights;
  for (double x = 0, y = 0; points >> x && points.ignore(1) && points >> y;) heights.push_back(y);
  ASSERT_EQ(heights.size(), 4u);
  EXPECT_NEAR((heights[0] - heights[3]) / (heights[0] - heights[1]), 9, 0.1)
      << "10 is nine times as far up as 2";
}

TEST(RunPlot, SmoothingKeepsTheValuesBehind) {
  const std::vector<PlottedRun> runs = {run_of("a", "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":4}\n")};
  const std::string page = run_plot_page(runs, {.smoothing = 0.5});
  EXPECT_EQ(lines_in(page).size(), 2u);
  EXPECT_EQ(count(page, "stroke-opacity"), 1u);
  EXPECT_EQ(count(page.substr(page.find("class=\"legend\"")), "></i>a</span>"), 1u) << "one name for both";
}

TEST(RunPlot, NumbersOfAnySizeAreDrawn) {
  // Ticks between neighbours at the end of what a double tells apart, and differences that overflow.
  for (const char* lines :
       {"{\"step\":1e17,\"loss\":1e300}\n{\"step\":1.0000000000000002e17,\"loss\":-1e300}\n",
        "{\"step\":-1e308,\"loss\":5}\n{\"step\":1e308,\"loss\":5}\n",
        "{\"step\":1,\"loss\":1e-320}\n{\"step\":2,\"loss\":2e-320}\n"}) {
    const std::string page = run_plot_page({run_of("a", lines)}, {.axis = PlotAxis::steps});
    EXPECT_EQ(page.find("nan"), page.npos) << lines;
    EXPECT_EQ(page.find("inf"), page.npos) << lines;
    EXPECT_LT(page.size(), 50000u) << lines;
  }
}

TEST(RunPlot, PicturesAreWellFormedAndOfDifferentNames) {
  const auto pictures = run_plot_pictures(
      {run_of("a",
              "{\"step\":1,\"loss a/b\":2,\"loss a_b\":3,\"loss <i>\":4}\n{\"step\":2,\"loss a/b\":2}\n")},
      {});
  std::set<std::string> names;
  for (const auto& [name, picture] : pictures) {
    names.insert(name);
    EXPECT_EQ(test::xml_problem(picture), "") << name;
    EXPECT_EQ(lines_in(picture).size(), 1u);
    EXPECT_THAT(picture, HasSubstr(">a</text>"));
  }
  EXPECT_THAT(names, ElementsAre("loss__i_.svg", "loss_a_b-2.svg", "loss_a_b.svg"));
}

}  // namespace
}  // namespace omni::evaluation
