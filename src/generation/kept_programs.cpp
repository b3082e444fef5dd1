#include "kept_programs.h"

#include <utility>

namespace omni::generation {
namespace {

// Whether the program could have made these choices one after the other.
bool fits(const TokenProgram& program, const DrawnChoices& drawn) {
  if (drawn.tokens.empty()) return true;
  const std::unique_ptr<TokenProgram> own = program.copy();
  for (const std::int32_t token : drawn.tokens) {
    if (own->finished() || !own->choice().allowed.contains(token)) return false;
    own->choose(token);
  }
  return true;
}

}  // namespace

ProgramScores run_kept_programs(const model::Transformer& model,
                                std::span<const std::unique_ptr<TokenProgram>> programs,
                                std::span<const DrawPlace> places, ProgramOptions options,
                                DrawKeeper* keeper) {
  if (keeper == nullptr) return run_programs(model, programs, options);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    DrawnChoices begun = keeper->begun(places[i]);
    if (!fits(*programs[i], begun)) {
      keeper->refuse(places[i]);
      begun = {};
    }
    options.begun.push_back(std::move(begun));
  }
  options.on_drawn = [&](std::span<const DrawnChoices> drawn, bool ended) {
    keeper->note(places, drawn, ended);
  };
  return run_programs(model, programs, options);
}

}  // namespace omni::generation
