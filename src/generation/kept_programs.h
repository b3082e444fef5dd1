#pragma once

#include "omni/generation/drawn_choices.h"
#include "omni/generation/token_program.h"

namespace omni::generation {

// As run_programs(). With a keeper, programs[i] goes on with what it has of places[i], and the keeper is told what is
// drawn.
ProgramScores run_kept_programs(const model::Transformer& model,
                                std::span<const std::unique_ptr<TokenProgram>> programs,
                                std::span<const DrawPlace> places, ProgramOptions options,
                                DrawKeeper* keeper);

}  // namespace omni::generation
