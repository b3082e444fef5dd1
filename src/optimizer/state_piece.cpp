#include "omni/optimizer/state_piece.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::optimizer {
namespace {

std::string name_of(const StatePiece& piece) { return concat(piece.parameter->name, ".", piece.kind); }

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> named_state(const std::vector<StatePiece>& pieces) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const StatePiece& piece : pieces) {
    ensure(piece.elements.count == piece.parameter->value.numel(), "'", name_of(piece),
           "' is kept by several ranks");
    tensors.emplace_back(name_of(piece), piece.values.view(piece.parameter->value.sizes()));
  }
  return tensors;
}

void load_state(const SafetensorsFile& file, const std::vector<StatePiece>& pieces) {
  for (const StatePiece& piece : pieces) {
    const at::Tensor stored = nn::to_tensor(file.at(name_of(piece)));
    const at::IntArrayRef shape = piece.parameter->value.sizes();
    if (stored.dim() == 0 || stored.dim() != static_cast<std::int64_t>(shape.size()) ||
        stored.sizes().slice(1) != shape.slice(1) || stored.size(0) > shape[0])
      fail(ErrorKind::input, file.name(), ": optimizer tensor '", name_of(piece),
           "' has another shape than the parameter");
    const std::int64_t there =
        std::clamp<std::int64_t>(stored.numel() - piece.elements.first, 0, piece.elements.count);
    piece.values.zero_();
    piece.values.narrow(0, 0, there)
        .copy_(stored.view(-1).narrow(0, std::min(piece.elements.first, stored.numel()), there));
  }
}

}  // namespace omni::optimizer
