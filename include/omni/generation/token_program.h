#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "omni/generation/drawn_choices.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_precision.h"
#include "omni/model/decode_session.h"

namespace omni::generation {

// A choice that a program leaves to sampling. Nothing is owned; good until the program goes on.
struct TokenChoice {
  sequence::AllowedTokens allowed;
  std::span<const double> guidance;  // a weight per condition (see kernels::SamplingInput): rows - 1 of them
  const kernels::SamplingSettings* sampling = nullptr;
  kernels::SamplingKey key;
};

// One sample on its way, token by token: what the model is shown, what may be chosen, and what is not chosen
// but forced. Its rows are sequences that stay in step: the last one becomes the sample, guidance compares it
// with those before it, each of which has one condition less than the next.
class TokenProgram {
 public:
  virtual ~TokenProgram() = default;

  virtual std::int64_t row_count() const = 0;  // 1 without guidance
  virtual std::int64_t capacity() const = 0;   // positions of the longest row, at most

  // What a row shows the model before the first choice. Asked once per row, before all else. Samples of one
  // prompt share it: equal tokens after the same features.
  virtual model::DecodePrompt take_prompt(std::int64_t row) = 0;

  virtual bool finished() const = 0;  // there is no choice left; the rest is for open programs
  virtual TokenChoice choice() const = 0;
  virtual std::string describe_place() const = 0;  // for error messages
  // How many choices, this one included, come one right after the other at places that do not depend on what
  // is chosen: a device can make them without asking.
  virtual std::int64_t settled_choices() const = 0;
  virtual void choose(std::int32_t token) = 0;
  // What was chosen of a row and forced after it: what the model has not seen.
  virtual std::vector<model::DecodeToken> take_unseen(std::int64_t row) = 0;
  // An equal program, to look ahead with.
  virtual std::unique_ptr<TokenProgram> copy() const = 0;
};

struct ProgramOptions {
  model::DecodePrecision precision;
  // Called after each step or stretch with the number of choices made, and first with that of `begun`.
  std::function<void(std::int64_t)> on_tokens;
  // What was drawn of each program before, which it could have chosen; empty: all begin.
  std::vector<DrawnChoices> begun = {};
  // Called with all that is drawn of each program by now: after each step or stretch, and when drawing has ended.
  std::function<void(std::span<const DrawnChoices>, bool ended)> on_drawn = {};
};

struct ProgramScores {
  std::vector<double> log_probabilities;  // of each program, in nats; of those that finished()
  bool interrupted = false;               // by Ctrl-C, which left the others where they were
  std::vector<double> seconds;  // of each: an even share of the time that all took, and what it took before
};

// Runs programs side by side to their ends. Where the session has steps on a GPU (see DecodeSession::draw()),
// choices are made there, as many at a time as are settled in all programs, with the same result. The score of
// one is the sum of the log-probabilities of its choices, under the guided logits before temperature and filters.
// A program's tokens depend on it and the model alone: what runs beside it changes nothing but rounding, and in
// fp32 on a CPU not even that. Ctrl-C is looked for between steps and stretches, which take at most
// DecodeSession::longest_stretch() choices of each program. What was drawn before is shown to the model again, many
// tokens at a time, by the operations of single steps: on a CPU with the same bits. So a program that was interrupted
// ends with the tokens and the score of one that was not.
ProgramScores run_programs(const model::Transformer& model,
                           std::span<const std::unique_ptr<TokenProgram>> programs,
                           const ProgramOptions& options = {});

}  // namespace omni::generation
