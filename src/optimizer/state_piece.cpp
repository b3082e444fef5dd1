#include "omni/optimizer/state_piece.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::optimizer {
std::vector<StatePiece> pieces_of(const std::vector<SectionState>& states,
                                  const nn::ParameterStore& parameters) {
  std::vector<StatePiece> pieces;
  for (const SectionState& state : states)
    for (const nn::OwnedPiece& piece : nn::owned_pieces(*state.section))
      pieces.push_back({&parameters.all()[piece.parameter], state.kind, piece.elements,
                        state.values.narrow(0, piece.first, piece.elements.count)});
  return pieces;
}

nn::NamedTensors named_state(const std::vector<SectionState>& states, const nn::ParameterStore& parameters) {
  nn::NamedTensors tensors;
  for (const SectionState& state : states) {
    ensure(!state.section->is_sharded(), "a sharded state is named by one rank alone");
    for (const nn::ParameterSection::Member& member : state.section->members) {
      const nn::Parameter& parameter = parameters.all()[member.parameter];
      tensors.emplace_back(concat(parameter.name, ".", state.kind),
                           state.values.narrow(0, member.first, member.count).view(parameter.value.sizes()));
    }
  }
  return tensors;
}

void load_state(const SafetensorsFile& file, const std::vector<SectionState>& states,
                const nn::ParameterStore& parameters) {
  for (const StatePiece& piece : pieces_of(states, parameters)) {
    const std::string name = concat(piece.parameter->name, ".", piece.kind);
    const at::Tensor stored = nn::to_tensor(file.at(name));
    const at::IntArrayRef shape = piece.parameter->value.sizes();
    if (stored.dim() == 0 || stored.dim() != static_cast<std::int64_t>(shape.size()) ||
        stored.sizes().slice(1) != shape.slice(1) || stored.size(0) > shape[0])
      fail(ErrorKind::input, file.name(), ": optimizer tensor '", name,
           "' has another shape than the parameter");
    const std::int64_t there =
        std::clamp<std::int64_t>(stored.numel() - piece.elements.first, 0, piece.elements.count);
    piece.values.zero_();
    piece.values.narrow(0, 0, there)
        .copy_(stored.view(-1).narrow(0, std::min(piece.elements.first, stored.numel()), there));
  }
}

}  // namespace omni::optimizer
