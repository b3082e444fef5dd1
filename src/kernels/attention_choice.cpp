#include "attention_choice.h"

#include <algorithm>

namespace omni::kernels {

const MeasuredPath* fitting_path(std::span<const MeasuredPath> table, const AttentionCase& attention) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const MeasuredPath& m) {
    return m.gpu == attention.gpu && m.head_size == attention.head_size &&
           m.least_document_rows <= attention.document_rows && (attention.causal || !m.causal_only);
  });
  return found == table.end() ? nullptr : &*found;
}

std::span<const MeasuredPath> measured_paths() { return {}; }

}  // namespace omni::kernels
