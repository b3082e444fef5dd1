#include "omni/generation/token_program.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "omni/core/interrupt.h"
#include "settled_stretch.h"

namespace omni::generation {
namespace {

using model::DecodePrompt;
using model::DecodeToken;

// Programs that grow in one session, each over neighbouring sequences.
class ProgramRun {
 public:
  ProgramRun(const model::Transformer& model, std::span<const std::unique_ptr<TokenProgram>> programs,
             const model::DecodePrecision& precision)
      : programs_(programs),
        first_(first_sequences(programs)),
        log_probabilities_(programs.size(), 0),
        session_(model, first_.back(), capacity(programs), precision),
        unseen_(static_cast<std::size_t>(first_.back())) {}

  void prefill();
  // One choice of each program, or those of a stretch: how many were made; 0 once all programs are finished.
  std::int64_t step();
  std::vector<double> log_probabilities() && { return std::move(log_probabilities_); }

 private:
  using Programs = std::span<const std::unique_ptr<TokenProgram>>;
  static std::vector<std::int64_t> first_sequences(Programs programs);
  static std::int64_t capacity(Programs programs);
  std::vector<std::size_t> open_programs() const;
  std::int64_t draw_stretch();
  std::int64_t choose_by_logits();
  void choose(std::size_t program, std::span<const std::vector<float>> logits);
  void take_unseen(std::size_t program);

  Programs programs_;
  std::vector<std::int64_t> first_;  // of each program, and one past the last one's
  std::vector<double> log_probabilities_;
  model::DecodeSession session_;
  std::vector<std::vector<DecodeToken>>
      unseen_;                        // of each sequence: chosen and forced, not shown to the model
  std::vector<std::size_t> refused_;  // the open programs whose stretch the session refused last
};

std::vector<std::int64_t> ProgramRun::first_sequences(Programs programs) {
  std::vector<std::int64_t> first = {0};
  for (const auto& program : programs) first.push_back(first.back() + program->row_count());
  return first;
}

std::int64_t ProgramRun::capacity(Programs programs) {
  std::int64_t longest = 0;
  for (const auto& program : programs) longest = std::max(longest, program->capacity());
  return longest;
}

// Equal prompts (samples of one prompt, rows without conditions) are computed once and copied.
void ProgramRun::prefill() {
  std::vector<DecodePrompt> prompts(static_cast<std::size_t>(first_.back()));
  std::map<std::pair<const void*, std::vector<std::int32_t>>, std::int64_t> first_with;
  std::vector<std::pair<std::int64_t, std::int64_t>> copies;
  for (std::size_t p = 0; p < programs_.size(); ++p) {
    for (std::int64_t row = 0; row < programs_[p]->row_count(); ++row) {
      const std::int64_t sequence = first_[p] + row;
      DecodePrompt prompt = programs_[p]->take_prompt(row);
      std::vector<std::int32_t> tokens;
      // Features in a token's place are a function of the text: what tells them from the tokens is enough.
      for (const DecodeToken& token : prompt.tokens)
        tokens.push_back(token.embedded.defined() ? -1 - token.token : token.token);
      const void* features = prompt.features.defined() ? prompt.features.const_data_ptr() : nullptr;
      const auto [found, is_new] = first_with.emplace(std::pair(features, std::move(tokens)), sequence);
      if (is_new) {
        prompts[static_cast<std::size_t>(sequence)] = std::move(prompt);
      } else {
        copies.emplace_back(found->second, sequence);
      }
    }
  }
  session_.prefill(prompts);
  for (const auto& [from, to] : copies) session_.copy_sequence(from, to);
}

std::vector<std::size_t> ProgramRun::open_programs() const {
  std::vector<std::size_t> open;
  for (std::size_t p = 0; p < programs_.size(); ++p)
    if (!programs_[p]->finished()) open.push_back(p);
  return open;
}

// Nothing is asked after the last choice.
void ProgramRun::take_unseen(std::size_t number) {
  TokenProgram& program = *programs_[number];
  for (std::int64_t row = 0; row < program.row_count(); ++row)
    unseen_[static_cast<std::size_t>(first_[number] + row)] =
        program.finished() ? std::vector<DecodeToken>() : program.take_unseen(row);
}

std::int64_t ProgramRun::step() {
  const auto waits = [](const std::vector<DecodeToken>& tokens) { return !tokens.empty(); };
  if (std::any_of(unseen_.begin(), unseen_.end(), waits)) {
    if (const std::int64_t drawn = draw_stretch(); drawn > 0) return drawn;
    session_.append(unseen_);
  }
  return choose_by_logits();
}

// 0 where the host has to make the next choice: rows that differ in number, or several tokens at once.
std::int64_t ProgramRun::draw_stretch() {
  std::int64_t count = session_.longest_stretch();
  if (count == 0) return 0;
  const std::vector<std::size_t> open = open_programs();
  if (open == refused_) return 0;
  for (const std::size_t p : open) {
    if (programs_[p]->row_count() != programs_[open[0]]->row_count()) return 0;
    for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s)
      if (unseen_[static_cast<std::size_t>(s)].size() != 1) return 0;
    count = std::min(count, programs_[p]->settled_choices());
  }
  std::vector<model::DecodeStretch> stretches;
  for (const std::size_t p : open) {
    const auto rows = std::span(unseen_).subspan(static_cast<std::size_t>(first_[p]),
                                                 static_cast<std::size_t>(programs_[p]->row_count()));
    stretches.push_back(settled_stretch(*programs_[p], rows, first_[p], count));
  }
  const auto drawn = session_.draw(stretches);
  if (!drawn) {
    // Looking ahead again would be in vain while the rows are these. A single choice may be refused for its
    // place, as a text's is, and costs no look ahead.
    if (count > 1) refused_ = open;
    return 0;
  }
  for (const std::vector<kernels::DrawnToken>& tokens : *drawn) {
    for (std::size_t i = 0; i < open.size(); ++i) {
      TokenProgram& program = *programs_[open[i]];
      kernels::require_drawn(tokens[i].fault, program.describe_place());
      log_probabilities_[open[i]] += tokens[i].log_probability;
      program.choose(tokens[i].token);
      take_unseen(open[i]);
    }
  }
  return count * static_cast<std::int64_t>(open.size());
}

std::int64_t ProgramRun::choose_by_logits() {
  std::vector<std::int64_t> sequences;
  std::vector<sequence::AllowedTokens> allowed;
  const std::vector<std::size_t> open = open_programs();
  for (const std::size_t p : open) {
    for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s) {
      sequences.push_back(s);
      allowed.push_back(programs_[p]->choice().allowed);
    }
  }
  if (open.empty()) return 0;
  const std::vector<std::vector<float>> logits = session_.logits(sequences, allowed);
  std::size_t used = 0;
  for (const std::size_t p : open) {
    const auto rows = static_cast<std::size_t>(programs_[p]->row_count());
    choose(p, std::span(logits).subspan(used, rows));
    used += rows;
    take_unseen(p);
  }
  return static_cast<std::int64_t>(open.size());
}

void ProgramRun::choose(std::size_t number, std::span<const std::vector<float>> logits) {
  TokenProgram& program = *programs_[number];
  const TokenChoice choice = program.choice();
  const std::string place = program.describe_place();
  const std::vector<std::span<const float>> rows(logits.begin(), logits.end());
  kernels::SamplingInput input;
  input.rows = rows;
  input.guidance = choice.guidance;
  input.place = place;
  const kernels::SampledToken sampled = kernels::sample_token(input, *choice.sampling, choice.key);
  log_probabilities_[number] += sampled.log_probability;
  program.choose(choice.allowed.token(sampled.index));
}

}  // namespace

ProgramScores run_programs(const model::Transformer& model,
                           std::span<const std::unique_ptr<TokenProgram>> programs,
                           const ProgramOptions& options) {
  if (programs.empty()) return {};
  if (interrupt_requested()) return {std::vector<double>(programs.size()), true};
  const auto begun = std::chrono::steady_clock::now();
  const c10::InferenceMode no_gradients;
  ProgramRun run(model, programs, options.precision);
  run.prefill();
  bool interrupted = false;
  while (!(interrupted = interrupt_requested())) {
    const std::int64_t chosen = run.step();
    if (chosen == 0) break;
    if (options.on_tokens) options.on_tokens(chosen);
  }
  const bool whole =
      std::all_of(programs.begin(), programs.end(), [](const auto& p) { return p->finished(); });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  return {std::move(run).log_probabilities(), interrupted && !whole,
          taken.count() / static_cast<double>(programs.size())};
}

}  // namespace omni::generation
