#pragma once

#include "omni/generation/token_program.h"

namespace omni::generation {

// The next `count` choices of a program, which are settled, as a session draws them: `unseen` holds the token
// that each row shows before the first one, `first_sequence` is the session's for the program's first row.
model::DecodeStretch settled_stretch(const TokenProgram& program,
                                     std::span<const std::vector<model::DecodeToken>> unseen,
                                     std::int64_t first_sequence, std::int64_t count);

}  // namespace omni::generation
