#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "omni/core/error.h"
#include "omni/evaluation/run_plot.h"

namespace omni::evaluation::testing {

// Two runs of different stages, the first with a name that HTML would misread, and one that has only begun.
inline std::vector<PlottedRun> plotted_runs() {
  const auto lines = [](const char* stage, int first, int last, double rate) {
    std::string text;
    for (int step = first; step <= last; step += 10) {
      const double loss = 2 + 3 * std::exp(-step / 300.0) + 0.2 * std::sin(step * 1.7);
      text += concat("{\"stage\":\"", stage, "\",\"step\":", step, ",\"progress\":0.1,\"loss\":", loss,
                     ",\"loss text->shape\":", loss - 0.3, ",\"loss_text\":", loss + 1,
                     ",\"accuracy_text\":", 1 / loss, ",\"tokens\":", 81920 * step,
                     ",\"learning_rate\":", 1e-4 * step / last, ",\"gradient_norm\":", 1 / loss,
                     ",\"seconds\":", step / rate, ",\"tokens_per_second\":", 81920 * rate,
                     ",\"memory_gb\":1.5}\n");
    }
    return parse_run_curves(text);
  };
  return {{"a <b> & c", lines("pretrain", 10, 2000, 2)},
          {"a-rather-long-name-of-a-run-without-a-space-in-it/out/finetune", lines("finetune", 10, 900, 3)},
          {"just begun", lines("finetune", 10, 10, 3)}};
}

}  // namespace omni::evaluation::testing
