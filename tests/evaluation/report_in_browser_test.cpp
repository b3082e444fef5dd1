// The report page as a browser shows it. Needs Chromium; skipped where none is found.

#include <gtest/gtest.h>

#include "in_browser.h"
#include "omni/core/json_text.h"
#include "page_fixtures.h"

namespace omni::evaluation {
namespace {

// What the page says of itself, on the console.
constexpr const char* kProbe = R"js(
const report = {};
const done = () => console.log("probe: " + JSON.stringify(report));
const viewer = document.getElementById("viewer");
const key = (name) => viewer.dispatchEvent(new KeyboardEvent("keydown", {key: name, cancelable: true}));
// Frames come when the test asks for them, so that nothing depends on time.
const frames = [];
window.requestAnimationFrame = (draw) => frames.push(draw);
// Pointers of the test's own cannot be captured.
HTMLElement.prototype.setPointerCapture = () => {};
const pointer = (kind, id, x) => viewer.querySelector("canvas").dispatchEvent(
    new PointerEvent("pointer" + kind, {pointerId: id, clientX: x, clientY: 0, bubbles: true}));
// The picture in the viewer's canvas, after it has drawn.
function drawn() {
  while (frames.length > 0) frames.shift()();
  const from = viewer.querySelector("canvas"), copy = document.createElement("canvas");
  copy.width = from.width;
  copy.height = from.height;
  const pen = copy.getContext("2d");
  pen.drawImage(from, 0, 0);
  return pen.getImageData(0, 0, copy.width, copy.height).data;
}
const inked = (pixels) => {
  let red = 0;
  for (let i = 0; i < pixels.length; i += 4) red += pixels[i] > 1.5 * pixels[i + 1] ? 1 : 0;
  return red / (pixels.length / 4);
};
const differing = (a, b) => a.some((value, i) => value !== b[i]);
)js";

constexpr const char* kLookAround = R"js(
report.width = innerWidth;
report.scrollWidth = document.documentElement.scrollWidth;
const texts = [...document.querySelectorAll(".bar, .bar b, .scale, .plot span, .legend, h4, .axis")];
report.smallestText = Math.min(...texts.map((text) => parseFloat(getComputedStyle(text).fontSize)));
const beyond = (inner, outer) => {
  const [a, b] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
  return a.left < b.left - 1 || a.right > b.right + 1;
};
report.chartsBeyondPanels = [...document.querySelectorAll(".bars, .plot, .plot span, .legend")].filter((chart) => beyond(chart, chart.closest(".panel"))).length;
report.chartShares = [...document.querySelectorAll(".bars, .plot")].map((chart) => chart.getBoundingClientRect().width / chart.closest(".panel").getBoundingClientRect().width);
report.labelsUnderWhiskers = [...document.querySelectorAll(".bar")].filter((bar) => bar.querySelector("u").getBoundingClientRect().right > bar.querySelector("b").getBoundingClientRect().left).length;
document.querySelector("figure.turnable img").click();
report.open = viewer.open;
const first = drawn();
report.inked = inked(first);
key("ArrowUp");
const turned = drawn();
report.turnedByKey = differing(first, turned);
pointer("down", 1, 0);
pointer("move", 1, 25);
report.turnedByPointer = differing(turned, drawn());
pointer("down", 2, 125);
pointer("move", 2, 105);
report.pinched = inked(drawn());
pointer("up", 1, 25);
pointer("up", 2, 105);
key("Home");
report.againAsAtFirst = !differing(first, drawn());
key("+");
report.zoomed = inked(drawn());
viewer.querySelector("canvas").dispatchEvent(new WheelEvent("wheel", {deltaY: 100, cancelable: true}));
report.wheeled = inked(drawn());
key("PageDown");
drawn();
report.title = viewer.querySelector(".top p").textContent;
report.link = viewer.querySelector(".bottom a").getAttribute("href");
report.scrollWidthOpen = document.documentElement.scrollWidth;
viewer.querySelector(".close").click();
report.closed = !viewer.open;
done();
)js";

constexpr const char* kWithoutWebGl = R"js(
HTMLCanvasElement.prototype.getContext = () => null;
document.querySelector("figure.turnable").click();
report.message = viewer.querySelector(".message").getBoundingClientRect().height > 0;
report.canvas = viewer.querySelector("canvas").getBoundingClientRect().height > 0;
report.link = viewer.querySelector(".bottom a").getAttribute("href");
done();
)js";

class ReportInBrowserSlow : public testing::InBrowser {
 protected:
  testing::MadeUpSweep sweep_{folder_.path()};
};

TEST_F(ReportInBrowserSlow, FitsItsWindowAndTurnsItsMeshes) {
  const std::string page = sweep_.page(folder_.path());
  for (const int width : {1280, 400}) {
    const testing::Visit visited = visit(page, width, std::string(kProbe) + kLookAround);
    EXPECT_EQ(visited.console, "") << "at " << width;
    const nlohmann::json& report = visited.report;
    ASSERT_TRUE(report.is_object()) << "the page's script did not come to its end at " << width;
    SCOPED_TRACE(json_text(report));
    EXPECT_EQ(report["width"], width);
    EXPECT_LE(report["scrollWidth"], width);
    EXPECT_LE(report["scrollWidthOpen"], width);
    EXPECT_GE(report["smallestText"], 11);
    EXPECT_EQ(report["chartsBeyondPanels"], 0);
    for (const nlohmann::json& share : report["chartShares"]) EXPECT_GT(share, 0.85);
    EXPECT_EQ(report["labelsUnderWhiskers"], 0);
    EXPECT_EQ(report["open"], true);
    EXPECT_GT(report["inked"], 0.1) << "a red ball fills much of the viewer";
    EXPECT_EQ(report["turnedByKey"], true);
    EXPECT_EQ(report["turnedByPointer"], true);
    EXPECT_LT(report["pinched"], report["inked"]) << "two pointers came closer";
    EXPECT_EQ(report["againAsAtFirst"], true);
    EXPECT_GT(report["zoomed"], report["inked"]);
    EXPECT_LT(report["wheeled"], report["zoomed"]);
    EXPECT_EQ(report["title"], sweep_.units[0].samples[1].prompt);
    EXPECT_EQ(report["link"], "samples/ball-1.glb");
    EXPECT_EQ(report["closed"], true);
  }
}

TEST_F(ReportInBrowserSlow, NamesTheFileWhereThereIsNoWebGl) {
  const testing::Visit visited =
      visit(sweep_.page(folder_.path()), 1280, std::string(kProbe) + kWithoutWebGl);
  EXPECT_EQ(visited.console, "");
  ASSERT_TRUE(visited.report.is_object());
  EXPECT_EQ(visited.report["message"], true);
  EXPECT_EQ(visited.report["canvas"], false);
  EXPECT_EQ(visited.report["link"], "samples/ball-0.glb");
}

// What the other tests rely on: mistakes and requests for what lies outside are seen.
TEST_F(ReportInBrowserSlow, TheConsoleTellsOfMistakesAndOfAnythingFromOutside) {
  const std::string page = sweep_.page(folder_.path());
  EXPECT_NE(visit(page, 1280, "nowhere.to.be.found();").console.find("nowhere"), std::string::npos);
  const std::string outside =
      "const i = new Image(); i.src = 'file:///nothing.png'; document.body.append(i);";
  EXPECT_NE(visit(page, 1280, outside).console.find("Content Security Policy"), std::string::npos);
}

}  // namespace
}  // namespace omni::evaluation
