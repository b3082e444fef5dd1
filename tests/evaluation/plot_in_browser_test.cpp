// The page of curves as a browser shows it. Needs Chromium; skipped where none is found.

#include "in_browser.h"
#include "omni/core/json_text.h"
#include "plotted_runs.h"

namespace omni::evaluation {
namespace {

using PlotInBrowserSlow = testing::InBrowser;

constexpr const char* kLookAround = R"js(
const report = {width: innerWidth, scrollWidth: document.documentElement.scrollWidth};
const beyond = (inner, outer) => {
  const [a, b] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
  return a.left < b.left - 1 || a.right > b.right + 1;
};
report.charts = document.querySelectorAll(".plot").length;
report.beyondPanels = [...document.querySelectorAll(".plot, .plot span, .legend, .axis")]
    .filter((part) => beyond(part, part.closest(".panel"))).length;
report.lines = Math.min(...[...document.querySelectorAll(".plot svg")]
    .map((svg) => svg.querySelectorAll("polyline").length));
report.lowestPlot = Math.min(...[...document.querySelectorAll(".plot svg")]
    .map((svg) => svg.getBoundingClientRect().height));
report.columns = new Set([...document.querySelectorAll(".charts .panel")]
    .map((panel) => panel.getBoundingClientRect().left)).size;
console.log("probe: " + JSON.stringify(report));
)js";

TEST_F(PlotInBrowserSlow, FitsItsWindow) {
  for (const int width : {1280, 400}) {
    const testing::Visit visited =
        visit(run_plot_page(testing::plotted_runs(), {.smoothing = 0.8}), width, kLookAround);
    EXPECT_EQ(visited.console, "") << "at " << width;
    const nlohmann::json& report = visited.report;
    ASSERT_TRUE(report.is_object()) << "the page's script did not come to its end at " << width;
    SCOPED_TRACE(json_text(report));
    EXPECT_EQ(report["width"], width);
    EXPECT_LE(report["scrollWidth"], width);
    EXPECT_EQ(report["charts"], 8);
    EXPECT_EQ(report["beyondPanels"], 0);
    EXPECT_EQ(report["lines"], 6) << "three runs, each with its values behind";
    EXPECT_GE(report["lowestPlot"], 200);
    EXPECT_EQ(report["columns"], width > 1000 ? 2 : 1);
  }
}

}  // namespace
}  // namespace omni::evaluation
