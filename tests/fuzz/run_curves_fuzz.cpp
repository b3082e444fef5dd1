// Lines of metrics.jsonl: whatever they hold becomes curves, and curves become a page of bounded size.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/evaluation/run_plot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace omni::evaluation;
  const RunCurves curves = parse_run_curves({reinterpret_cast<const char*>(data), size});
  if (!std::is_sorted(curves.steps.begin(), curves.steps.end())) std::abort();
  for (const auto& [name, curve] : curves.metrics) {
    if (curve.points.size() != curve.values.size() || curve.points.empty()) std::abort();
    if (curve.points.back() >= curves.steps.size()) std::abort();
  }
  constexpr std::size_t kPage = 64 << 10, kPerByte = 1 << 12;
  for (const PlotAxis axis : {PlotAxis::steps, PlotAxis::tokens, PlotAxis::hours})
    if (run_plot_page({{"fuzz", curves}}, {.axis = axis, .smoothing = 0.5}).size() > kPage + kPerByte * size)
      std::abort();
  return 0;
}
