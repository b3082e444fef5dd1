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

bool fill(const StatePiece& piece, at::IntArrayRef stored, const ReadElements& read) {
  const at::IntArrayRef wanted = piece.parameter->value.sizes();
  if (stored.size() != wanted.size() ||
      (!stored.empty() && (stored.slice(1) != wanted.slice(1) || stored[0] > wanted[0])))
    return false;
  const std::int64_t there = std::clamp<std::int64_t>(c10::multiply_integers(stored) - piece.elements.first,
                                                      0, piece.elements.count);
  at::Tensor values = at::zeros({piece.elements.count}, at::kFloat);
  if (there > 0)
    read(piece.elements.first, {values.mutable_data_ptr<float>(), static_cast<std::size_t>(there)});
  piece.values.copy_(values);
  return true;
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
    const at::Tensor stored = nn::to_tensor(file.at(name)).to(at::kFloat);
    const auto copy = [&](std::int64_t first, std::span<float> target) {
      std::copy_n(stored.const_data_ptr<float>() + first, target.size(), target.data());
    };
    if (stored.dim() == 0 || !fill(piece, stored.sizes(), copy))
      fail(ErrorKind::input, file.name(), ": optimizer tensor '", name,
           "' has another shape than the parameter");
  }
}

}  // namespace omni::optimizer
