#include "settled_stretch.h"

namespace omni::generation {
namespace {

model::SettledChoice settled(const TokenProgram& program, std::vector<model::DecodeToken> shown) {
  const TokenChoice choice = program.choice();
  return {.shown = std::move(shown),
          .allowed = choice.allowed,
          .guidance = {choice.guidance.begin(), choice.guidance.end()},
          .sampling = *choice.sampling,
          .key = choice.key};
}

}  // namespace

// Whatever is chosen on the way, places are the same: the first token will do.
model::DecodeStretch settled_stretch(const TokenProgram& program,
                                     std::span<const std::vector<model::DecodeToken>> unseen,
                                     std::int64_t first_sequence, std::int64_t count) {
  model::DecodeStretch stretch;
  std::vector<model::DecodeToken> shown;
  for (const std::vector<model::DecodeToken>& tokens : unseen) {
    stretch.sequences.push_back(first_sequence + static_cast<std::int64_t>(shown.size()));
    shown.push_back(tokens.front());
  }
  stretch.choices.push_back(settled(program, shown));
  if (count == 1) return stretch;
  const std::unique_ptr<TokenProgram> ahead = program.copy();
  for (std::int64_t i = 1; i < count; ++i) {
    ahead->choose(ahead->choice().allowed.token(0));
    for (std::size_t row = 0; row < shown.size(); ++row)
      shown[row] = ahead->take_unseen(static_cast<std::int64_t>(row)).front();
    stretch.choices.push_back(settled(*ahead, shown));
  }
  return stretch;
}

}  // namespace omni::generation
